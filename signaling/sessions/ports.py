"""What sessions need of others: somewhere to write, someone who tells people, someone who carries media."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from protocol.fields import Place
from protocol.signals import SignalBody
from relay.writes import Outcome, Write
from signaling.sessions.commands import Happened
from signaling.sessions.session import Session


class Ledger(Protocol):
    """Where changes are written."""

    async def commit(self, *writes: Write) -> tuple[Outcome, ...]:
        """Apply the writes atomically, then tell the members of the rooms about the events among them."""


class Signals(Protocol):
    """Who tells people something short-lived, and holds back what is not for them."""

    def signal(self, room: str, accounts: Collection[str], body: SignalBody, sender: str | None) -> None:
        """Tell every connection of these accounts."""

    def placed(
        self, account: str, connections: Collection[str], session: str, room: str, place: Place
    ) -> None:
        """An account is at this place now, with these connections.

        While it waits, all of its connections get nothing of the room but signals that are made for it.
        """


class MediaPlane(Protocol):
    """Who carries the media of sessions."""

    def cut(self, session: Session) -> None:
        """Cut the media of whoever is not in the session any more, and what its modality excludes.

        Begins at once, on whatever node the media is; the store has the session as it is given.
        """


class Companion(Protocol):
    """Someone with something to write together with what happens to sessions."""

    def session_changes(self, session: Session, events: Sequence[Happened], now_ms: int) -> Sequence[Write]:
        """What belongs into the commit in which a session became what it is, by these events."""


class Bookings(Protocol):
    """Who knows what else a therapist has agreed on."""

    async def next_start(self, account: str, *, after_ms: int, before_ms: int) -> int | None:
        """The start of the account's first session that starts within these bounds, both excluded."""
