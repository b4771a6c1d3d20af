"""The checks of single values."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from config import checks

SECRET = "s" * checks.MIN_SECRET_BYTES


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (
            checks.host,
            ["localhost", "rtc.example.org", "0.0.0.0", "::"],
            ["", "a b", "http://a", "a:80", "[::1]"],
        ),
        (checks.address, ["0.0.0.0", "127.0.0.1", "::1"], ["", "localhost", "1.2.3", "1.2.3.4:5"]),
        (checks.addresses, [(), ("203.0.113.7", "2001:db8::1")], [("host",), ("0.0.0.0",), ("::",), ("",)]),
        (
            checks.web_url,
            ["https://a.example", "http://127.0.0.1:8080/base"],
            [
                "",
                "a.example",
                "ftp://a",
                "https://",
                "https://a:port",
                "https://a/?q",
                "https://a/#f",
                "https://[::1",
            ],
        ),
        (
            checks.origins,
            [(), ("https://a.example", "http://localhost:3000")],
            [("https://a.example/",), ("*",), ("https://u@a.example",), ("null",)],
        ),
        (
            checks.store_url,
            [
                "sqlite:///rapport.db",
                "sqlite:////var/lib/rapport.db",
                "postgresql://rapport@localhost/rapport",
                "postgresql://rapport@db-1:5432,[::1]:5433/rapport?sslmode=verify-full&sslrootcert=/etc/ca.pem",
                "postgresql://rapport@/rapport?host=/run/postgresql",
            ],
            [
                "",
                "sqlite:///",
                "sqlite://",
                "sqlite:///folder/",
                "rapport.db",
                "postgresql://db",
                "postgresql://db/name",
                "postgresql://user@db",
                "postgresql://user:secret@db/name",
                "postgresql://user@db:port/name",
                "postgresql://user@/name",
                "postgresql://user@/name?host=db",
                "postgresql://user@db/name?password=secret",
                "postgresql://user@db/name?sslmode",
                "postgresql://user@db/name#here",
                "postgresql://user@[db/name",
                "postgres://user@db/name",
            ],
        ),
        (checks.one_line, ["Session", "Besprechung, 2"], ["", " ", "a\nb", "a\x00", "a" * 101]),
        (
            checks.bus_url,
            [
                "memory://",
                "redis://localhost",
                "rediss://10.0.0.7:6380/3",
                "redis://[::1]:6379",
                "redis+sentinel://a:26379,b/main",
                "rediss+cluster://a:7000,b:7001",
            ],
            [
                "",
                "memory",
                "memory://x",
                "redis://",
                "redis://a,b",
                "redis://a/x",
                "redis://user:secret@a",
                "redis://a?db=1",
                "redis://a:port",
                "redis+sentinel://a",
                "redis+cluster://a/1",
                "redis+other://a",
                "http://a",
            ],
        ),
        (checks.bus_keys, [None, "k" * 32, f"{'k' * 32} {'l' * 32}"], ["", " ", "k" * 31, f"{'k' * 32} l"]),
        (checks.password, [None, "a", "p>w#1"], ["", "a b", "a\n"]),
        (checks.bus_prefix, ["rapport", "a.b-c_9"], ["", "a:b", "{a}", "a" * 65]),
        (
            checks.api_keys,
            [{}, {"platform-1": SECRET}, {"a": "\N{SNOWMAN}" * 11}],
            [{"a": SECRET[:-1]}, {"": SECRET}, {"a b": SECRET}, {"a" * 65: SECRET}],
        ),
        (
            checks.jwks_urls,
            [{}, {"idp": "https://idp.example/jwks.json"}, {"idp": "http://127.0.0.1:99/jwks"}],
            [{"idp": "http://idp.example/jwks"}, {"": "https://idp.example"}, {"idp": "nonsense"}],
        ),
        (
            checks.turn_urls,
            [(), ("turn:turn.example.org", "turns:[2001:db8::1]:443?transport=tcp", "turn:192.0.2.1:3478")],
            [("turn.example.org",), ("stun:a.example",), ("turn:",), ("turn:a?transport=sctp",)],
        ),
        (checks.shared_secret, [None, SECRET], ["", SECRET[:-1]]),
        (checks.bearer, [None, "a" * 16], ["", "a" * 15, "a" * 513, "with a space in it"]),
    ],
)
def test_check(check: Callable[[object], str | None], good: list[object], bad: list[object]) -> None:
    assert [value for value in good if check(value)] == []
    assert [value for value in bad if not check(value)] == []


def test_a_short_secret_is_not_quoted() -> None:
    assert "hush" not in (checks.api_keys({"a": "hush"}) or "")


@pytest.mark.parametrize(
    ("host", "loopback", "unspecified"),
    [
        ("127.0.0.1", True, False),
        ("127.8.8.8", True, False),
        ("::1", True, False),
        ("localhost", True, False),
        ("0.0.0.0", False, True),
        ("::", False, True),
        ("192.0.2.1", False, False),
        ("example.org", False, False),
    ],
)
def test_loopback_and_unspecified(host: str, loopback: bool, unspecified: bool) -> None:
    assert checks.is_loopback(host) is loopback
    assert checks.is_unspecified(host) is unspecified
