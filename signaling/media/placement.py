"""Which worker carries which session: a value that changes with what happens, without I/O."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a session's media is."""

    slot: int
    """Which of the node's workers."""
    generation: int
    """Which life of the session's media this is."""


@dataclass(frozen=True, slots=True)
class Place:
    """A participant's peer connection, and whom to tell about it."""

    connection: str
    room: str


@dataclass(slots=True)
class _Seated:
    seat: Seat
    places: dict[str, Place] = field(default_factory=dict)


class Placement:
    """The sessions on the workers of one node. A slot is up while its process can be asked."""

    def __init__(self) -> None:
        self._load: dict[int, int] = {}  # participants by slot, for the slots that are up
        self._sessions: dict[str, _Seated] = {}

    @property
    def load(self) -> dict[int, int]:
        """Participants by slot, for the slots that are up."""
        return dict(self._load)

    def up(self, slot: int) -> None:
        """A worker is ready for sessions."""
        self._load[slot] = 0

    def down(self, slot: int) -> dict[str, dict[str, Place]]:
        """A worker is gone: the participants of its sessions, which have no seat from now on."""
        self._load.pop(slot, None)
        stranded = {name: held for name, held in self._sessions.items() if held.seat.slot == slot}
        for name in stranded:
            del self._sessions[name]
        return {name: held.places for name, held in stranded.items()}

    def choose(self) -> int | None:
        """The slot with the fewest participants; None while all are down."""
        return min(self._load, key=lambda slot: (self._load[slot], slot), default=None)

    def seat(self, session: str) -> Seat | None:
        """Where a session's media is."""
        held = self._sessions.get(session)
        return held.seat if held else None

    def place(self, session: str, account: str) -> Place | None:
        """A participant's place in a session's media."""
        held = self._sessions.get(session)
        return held.places.get(account) if held else None

    def take(self, session: str, seat: Seat) -> None:
        """A session goes onto a worker that is up."""
        self._sessions[session] = _Seated(seat)

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
        """A session is over; where it was, if it had media."""
        held = self._sessions.pop(session, None)
        if held is None:
            return None
        self._load[held.seat.slot] -= len(held.places)
        return held.seat
