"""Counting connections."""

import pytest

from relay.presence import Presence


def test_an_account_is_online_from_its_first_connection_to_its_last() -> None:
    presence = Presence()
    assert "ann" not in presence
    came = [presence.attach(*each) for each in (("ann", "d"), ("ann", "d"), ("ann", "e"), ("ben", "d"))]
    assert came == [True, False, False, True]
    assert len(presence) == 2
    assert sorted(presence.devices("ann")) == ["d", "e"]
    assert [presence.detach("ann", device) for device in ("d", "e", "d")] == [False, False, True]
    assert list(presence.devices("ann")) == []
    assert "ann" not in presence
    assert "ben" in presence


def test_a_connection_that_was_not_counted_cannot_end() -> None:
    presence = Presence()
    with pytest.raises(KeyError):
        presence.detach("ann", "d")
