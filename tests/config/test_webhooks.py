"""The checks of what settings say about webhooks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from config import webhooks
from config.checks import MIN_SECRET_BYTES

SECRET = "s" * MIN_SECRET_BYTES


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (
            webhooks.endpoints,
            [
                {},
                {"platform": "https://a.example/hooks/rapport", "a-1_B": "http://127.0.0.1:8000"},
                {f"e{number}": "https://a.example" for number in range(16)},
            ],
            [
                {"platform": "http://a.example"},
                {"platform": "https://user:pass@a.example"},
                {"platform": "https://user@a.example"},
                {"platform": "https://a.example/?token=1"},
                {"platform": "nonsense"},
                {"platform": "https://a.example/a b"},
                {"platform": "https://a.example/\N{SNOWMAN}"},
                {"platform": "https://a.example/a\r\nHost:b"},
                {"": "https://a.example"},
                {"a b": "https://a.example"},
                {"a.b": "https://a.example"},
                {f"e{number}": "https://a.example" for number in range(17)},
            ],
        ),
        (
            webhooks.secrets,
            [{}, {"a": SECRET}, {"a": f"{SECRET} {SECRET}x"}, {"a": " ".join([SECRET] * 4)}],
            [{"a": ""}, {"a": SECRET[1:]}, {"a": f"{SECRET} short"}, {"a": " ".join([SECRET] * 5)}],
        ),
        (
            webhooks.types,
            [{}, {"a": "session.ended"}, {"a": "session.* room.member_added"}],
            [{"a": ""}, {"a": "session"}, {"a": "session.ended sessions.*"}, {"a": "*"}, {"a": ".*"}],
        ),
    ],
)
def test_check(
    check: Callable[[Mapping[str, str]], str | None],
    good: list[Mapping[str, str]],
    bad: list[Mapping[str, str]],
) -> None:
    assert [value for value in good if check(value)] == []
    assert [value for value in bad if not check(value)] == []


def test_secrets_are_not_quoted() -> None:
    assert "hush" not in (webhooks.secrets({"a": "hush"}) or "")


def test_a_group_stands_for_its_types() -> None:
    assert webhooks.matching("room.*") == {"room.member_added", "room.member_removed"}
    assert webhooks.matching("room.member_added") == {"room.member_added"}
