"""What sessions need of others: somewhere to write, someone who tells people, someone who carries media."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from protocol.signals import SignalBody
from relay.writes import Outcome, Write


class Ledger(Protocol):
    """Where changes are written."""

    async def commit(self, *writes: Write) -> tuple[Outcome, ...]:
        """Apply the writes atomically, then tell the members of the rooms about the events among them."""


class Signals(Protocol):
    """Who tells people something short-lived."""

    def signal(self, room: str, accounts: Collection[str], body: SignalBody, sender: str | None) -> None:
        """Tell every connection of these accounts."""


class MediaPlane(Protocol):
    """Who carries the media of sessions."""

    def close(self, session: str) -> None:
        """Cut the media of a session at once."""

    def remove(self, session: str, account: str) -> None:
        """Cut the media of one participant at once."""
