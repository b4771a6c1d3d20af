"""Counting connections."""

import pytest

from relay.presence import Presence


def test_an_account_is_online_from_its_first_connection_to_its_last() -> None:
    presence = Presence()
    assert "ann" not in presence
    assert [presence.attach("ann"), presence.attach("ann"), presence.attach("ben")] == [True, False, True]
    assert len(presence) == 2
    assert [presence.detach("ann"), presence.detach("ann")] == [False, True]
    assert "ann" not in presence
    assert "ben" in presence


def test_a_connection_that_was_not_counted_cannot_end() -> None:
    presence = Presence()
    with pytest.raises(KeyError):
        presence.detach("ann")
