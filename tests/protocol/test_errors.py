"""The table of errors: stable, complete, and nothing twice."""

from __future__ import annotations

import pytest

from protocol import errors


def test_codes_and_names_are_unique() -> None:
    kinds = errors.error_kinds()
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert len({kind.name for kind in kinds}) == len(kinds)
    closes = errors.close_codes()
    assert len({close.code for close in closes}) == len(closes)
    assert len({close.name for close in closes}) == len(closes)


@pytest.mark.parametrize("kind", errors.error_kinds(), ids=lambda kind: kind.name)
def test_every_error_says_what_it_is_and_what_to_do(kind: errors.ErrorKind) -> None:
    assert kind.meaning
    assert kind.hint
    assert 400 <= kind.status <= 599
    assert 1000 <= kind.code < 2000
    assert errors.kind_named(kind.name) is kind


def test_close_codes_below_4500_ask_the_client_back() -> None:
    assert errors.DRAIN.reconnect
    assert errors.RATE.reconnect
    assert not errors.NOT_AUTHORISED.reconnect
    assert not errors.REPLACED.reconnect
    assert all(4000 <= close.code <= 4999 for close in errors.close_codes())


def test_a_protocol_error_falls_back_on_its_meaning() -> None:
    error = errors.ProtocolError(errors.NO_SUCH_ROOM)
    assert error.detail == errors.NO_SUCH_ROOM.meaning
    assert str(error).startswith("no_such_room: ")
