"""Addresses and tokens."""

from __future__ import annotations

import time

import pytest

from loadtest.target import Target
from protocol import tokens

SECRET = "s" * 32


def test_addresses() -> None:
    assert Target("http://127.0.0.1:8080/", "k", SECRET).connect == "ws://127.0.0.1:8080/v1/connect"
    assert Target("https://care.example", "k", SECRET).connect == "wss://care.example/v1/connect"


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "ws://x", "http://", "http://x/path", "http://x?q", "http://x#f"]
)
def test_what_is_no_address_of_a_server(url: str) -> None:
    with pytest.raises(ValueError, match="the address of a server"):
        Target(url, "k", SECRET)


def test_a_short_secret_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Target("http://x", "k", "short")


def test_tokens_are_good_for_who_they_are_for() -> None:
    target = Target("http://x", "k", SECRET)
    keys = {"k": (tokens.api_key(SECRET),)}
    claims = tokens.verify(target.participant_token("anna", "therapist"), keys, now=time.time())
    assert (claims.sub, claims.role, claims.scope) == ("anna", "therapist", "")
    back_end = tokens.verify(target.back_end_token(), keys, now=time.time())
    assert back_end.allows("rooms")
    assert back_end.allows("sessions")


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(Target("http://x", "k", SECRET))
