"""Which worker carries which session: a value that changes with what happens, without I/O."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from protocol.fields import Modality


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a session's media is."""

    slot: int
    """Which of the node's workers."""
    generation: int
    """Which life of the session's media this is."""


@dataclass(frozen=True, slots=True)
class Place:
    """A participant's peer connection: which connection has offered it, with which of its requests."""

    connection: str
    number: int

    def follows(self, known: Place | None) -> bool:
        """Whether nothing that the same connection sent later is known already."""
        return known is None or known.connection != self.connection or known.number < self.number


@dataclass(slots=True)
class _Seated:
    seat: Seat
    modality: Modality | None = None
    places: dict[str, Place] = field(default_factory=dict)


class Placement:
    """The sessions on the workers of one node. A slot is up while its process can be asked.

    A slot with ``capacity`` participants takes no further session; those that it has may still grow.
    """

    def __init__(self, capacity: int = sys.maxsize) -> None:
        self._capacity = capacity
        self._load: dict[int, int] = {}  # participants by slot, for the slots that are up
        self._sessions: dict[str, _Seated] = {}
        self._lost: dict[str, int] = {}  # generations that ended with their workers, by session

    @property
    def load(self) -> dict[int, int]:
        """Participants by slot, for the slots that are up."""
        return dict(self._load)

    @property
    def sessions(self) -> tuple[str, ...]:
        """The sessions that have a seat."""
        return tuple(self._sessions)

    def up(self, slot: int) -> None:
        """A worker is ready for sessions."""
        self._load[slot] = 0

    def down(self, slot: int) -> dict[str, dict[str, Place]]:
        """A worker is gone: the participants of its sessions, which have no seat from now on."""
        self._load.pop(slot, None)
        stranded = {name: held for name, held in self._sessions.items() if held.seat.slot == slot}
        for name, held in stranded.items():
            del self._sessions[name]
            self._lost[name] = held.seat.generation
        return {name: held.places for name, held in stranded.items()}

    def choose(self) -> int | None:
        """The slot with the fewest participants; None while all are down or full."""
        fit = [slot for slot, load in self._load.items() if load < self._capacity]
        return min(fit, key=lambda slot: (self._load[slot], slot), default=None)

    def seat(self, session: str) -> Seat | None:
        """Where a session's media is."""
        held = self._sessions.get(session)
        return held.seat if held else None

    def lost(self, session: str) -> int | None:
        """The life of a session's media that has ended with its worker, if no other has begun here."""
        return self._lost.get(session)

    def modality(self, session: str) -> Modality | None:
        """What is forwarded of a session; None before its worker has been told."""
        held = self._sessions.get(session)
        return held.modality if held else None

    def place(self, session: str, account: str) -> Place | None:
        """A participant's place in a session's media."""
        return self.places(session).get(account)

    def places(self, session: str) -> Mapping[str, Place]:
        """The places in a session's media as they are now, by account."""
        held = self._sessions.get(session)
        return dict(held.places) if held else {}

    def take(self, session: str, seat: Seat) -> None:
        """A session without a seat goes onto a worker that is up."""
        self._sessions[session] = _Seated(seat)
        self._lost.pop(session, None)

    def switch(self, session: str, modality: Modality) -> None:
        """The worker of a session that has a seat is told what to forward."""
        self._sessions[session].modality = modality

    def enter(self, session: str, account: str, place: Place) -> None:
        """A participant of a seated session offers."""
        held = self._sessions[session]
        if account not in held.places:
            self._load[held.seat.slot] += 1
        held.places[account] = place

    def leave(self, session: str, account: str) -> Seat | None:
        """A participant is gone; where its peer connection was, if it had one."""
        held = self._sessions.get(session)
        if held is None or held.places.pop(account, None) is None:
            return None
        self._load[held.seat.slot] -= 1
        return held.seat

    def release(self, session: str) -> Seat | None:
        """A session is not here any more; where it was, if it had media."""
        self._lost.pop(session, None)
        held = self._sessions.pop(session, None)
        if held is None:
            return None
        self._load[held.seat.slot] -= len(held.places)
        return held.seat
