"""What may come over a connection to a receiver: anything, and none of it costs more than a little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.webhooks.exchange import (
    MAX_HEAD_BYTES,
    MAX_INTERIM,
    Address,
    Disconnected,
    Exchange,
    Head,
    NotHttp,
    Unanswered,
    address_of,
)

ADDRESS = address_of("http://127.0.0.1:8000/hook")
INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def begun() -> Exchange:
    exchange = Exchange(ADDRESS)
    exchange.request({"Rapport-Id": "a"}, b"{}")
    return exchange


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://a.example", Address("a.example", 443, True, "/", "a.example")),
        ("https://a.example:8443/x/y", Address("a.example", 8443, True, "/x/y", "a.example:8443")),
        ("http://[::1]:99/hook", Address("::1", 99, False, "/hook", "[::1]:99")),
        ("http://localhost", Address("localhost", 80, False, "/", "localhost")),
    ],
)
def test_addresses(url: str, address: Address) -> None:
    assert address_of(url) == address


def test_a_request_as_it_goes_out() -> None:
    assert Exchange(ADDRESS).request({"Rapport-Id": "a"}, b"{}") == (
        b"POST /hook HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nRapport-Id: a\r\nContent-Length: 2\r\n\r\n{}"
    )


def test_one_request_after_another() -> None:
    exchange = Exchange(ADDRESS)
    for _ in range(3):
        exchange.request({}, b"{}")
        assert exchange.receive(b"HTTP/1.1 200 OK\r\nContent-Le") is None
        assert exchange.receive(b"ngth: 5\r\n\r\nhe") == Head(200, 0)
        assert not exchange.finish()
        assert exchange.finish(b"llo")


def test_a_response_that_ends_with_its_connection_ends_it() -> None:
    exchange = begun()
    assert exchange.receive(b"HTTP/1.1 200 OK\r\n\r\nhello") == Head(200, 0)
    assert not exchange.finish()
    assert not exchange.finish(b" and more")


def test_what_follows_a_response_unasked_is_not_taken_for_the_next() -> None:
    exchange = begun()
    assert exchange.receive(OK + OK) == Head(204, 0)
    assert not exchange.finish()


def test_interim_responses_are_read_so_many_times() -> None:
    assert begun().receive(INTERIM * MAX_INTERIM + OK) == Head(204, 0)
    with pytest.raises(NotHttp):
        begun().receive(INTERIM * (MAX_INTERIM + 1) + OK)


def test_heads_are_read_up_to_a_size() -> None:
    exchange = begun()
    assert exchange.receive(b"HTTP/1.1 200 OK\r\nX: ") is None
    with pytest.raises(NotHttp):
        exchange.receive(b"x" * MAX_HEAD_BYTES)


def test_a_connection_that_ends() -> None:
    with pytest.raises(Disconnected):
        begun().receive(b"")
    exchange = begun()
    exchange.receive(b"HTTP/1.1 2")
    with pytest.raises(NotHttp):
        exchange.receive(b"")


@given(
    st.lists(
        st.binary(min_size=1, max_size=200) | st.sampled_from([INTERIM, OK, b"HTTP/1.1 ", b"\r\n"]),
        max_size=20,
    )
)
def test_anything_gives_a_head_or_our_error(chunks: list[bytes]) -> None:
    exchange = begun()
    for chunk in chunks:
        try:
            head = exchange.receive(chunk)
        except Unanswered:
            return
        if head is not None:
            assert 200 <= head.status <= 999
            exchange.finish()
            for rest in chunks:
                exchange.finish(rest)
            return
