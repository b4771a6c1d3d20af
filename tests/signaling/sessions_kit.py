"""Sessions on a real store, with somebody who notes what people are told and whose media is cut."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from protocol.codec import decode_body
from protocol.events import SessionBody
from protocol.fields import Modality, Place, Role
from protocol.sessions import SessionEnd, SessionView
from protocol.signals import Countdown, SignalBody
from protocol.tokens import Claims
from relay.bus.local import LocalBus
from relay.rows import Deadline
from relay.sqlite import SqliteStore
from signaling.caller import Caller
from signaling.rooms import Rooms
from signaling.sessions.bookings import StoredBookings
from signaling.sessions.changes import Changes
from signaling.sessions.commands import Agreed, Limits, Policy
from signaling.sessions.service import Sessions
from signaling.sessions.session import Attendee, Session
from signaling.sessions.telling import Telling
from signaling.sessions.terms import NO_WISHES, Wishes
from signaling.timebase import Timebase
from tests.signaling.sessions_core_kit import TERMS

MINUTE = 60_000
POLICY = Policy(
    TERMS,
    Limits(
        min_length_ms=1,
        max_length_ms=240 * MINUTE,
        max_ahead_ms=400 * 1440 * MINUTE,
        late_start_ms=400 * 1440 * MINUTE,
    ),
)


class Duty:
    """Which sessions fall to a node: all, but for those named."""

    def __init__(self, *others: str) -> None:
        self.acting = True
        self.others = set(others)

    def owns(self, key: str) -> bool:
        return key not in self.others


class HandClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms * 1_000_000

    def wait_ms(self, milliseconds: int) -> None:
        self.ms += milliseconds


@dataclass
class Told:
    """Signals, by whom they were for, and the sessions whose media was to be cut in part or whole."""

    signals: list[tuple[frozenset[str], SignalBody]] = field(default_factory=list)
    media_cut: list[str] = field(default_factory=list)
    places: list[tuple[str, Place]] = field(default_factory=list)

    def signal(self, room: str, accounts: Collection[str], body: SignalBody, sender: str | None) -> None:
        self.signals.append((frozenset(accounts), body))

    def placed(
        self, account: str, connections: Collection[str], session: str, room: str, place: Place
    ) -> None:
        self.places.append((account, place))

    def cut(self, session: Session) -> None:
        self.media_cut.append(session.id)

    def countdowns(self) -> list[tuple[list[str], str]]:
        return [(sorted(who), body.state) for who, body in self.signals if isinstance(body, Countdown)]


class Kit:
    """The sessions of one process, over a store that may have been used before."""

    def __init__(self, path: Path, clock: HandClock | None = None, policy: Policy = POLICY) -> None:
        self.clock = clock or HandClock()
        self.timebase = Timebase(self.clock, self.clock)
        self.store = SqliteStore(path)
        self.told = Told()
        self.deadlines: list[Deadline] = []
        self.rooms = Rooms(self.store, LocalBus(), self.timebase)
        self.telling = Telling(self.store, self.told, self.told, self.timebase)
        self.changes_made = Changes(
            self.store,
            self.rooms,
            self.telling,
            self.timebase,
            self.deadlines.append,
            lambda _: None,
        )
        self.sessions = Sessions(
            self.store, self.changes_made, StoredBookings(self.store), self.timebase, policy
        )

    async def __aenter__(self) -> Self:
        await self.store.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()

    async def room(self, room: str = "r", members: dict[str, Role] | None = None) -> None:
        """A room with a therapist, a client and a guest, unless said otherwise."""
        people: dict[str, Role] = members or {"anna": "therapist", "ben": "client", "cleo": "guest"}
        await self.rooms.create(room, b"", list(people.items()))

    async def scheduled(
        self,
        session: str = "s",
        *,
        room: str = "r",
        in_ms: int = 0,
        length_ms: int = 45 * MINUTE,
        modality: Modality = "video",
        invited: tuple[str, ...] = (),
        attendees: tuple[Attendee, ...] = (),
        wishes: Wishes = NO_WISHES,
    ) -> Session:
        """A session that starts after so many milliseconds."""
        starts_ms = self.clock.ms + in_ms
        agreed = Agreed(session, room, starts_ms, length_ms, modality, invited, attendees, wishes)
        return await self.sessions.create(agreed, lambda _: ())

    async def live(self, session: str = "s") -> None:
        """Bring anna and ben into a session."""
        await self.sessions.join(person("anna", "therapist"), session)
        await self.sessions.join(person("ben", "client"), session)

    async def end(self, caller: Caller, session: str = "s") -> SessionView:
        """End a session."""
        view = await self.sessions.perform(caller, SessionEnd(1, session))
        assert isinstance(view, SessionView)
        return view

    async def fire_due(self) -> list[BaseException | None]:
        """Carry out every deadline that is due, in order."""
        due = await self.store.deadlines(due_before_ms=self.clock.ms + 1, limit=1000)
        failures: list[BaseException | None] = []
        for deadline in due:
            failures += await self.sessions.fire([deadline])
        return failures

    async def log(self, room: str = "r") -> list[SessionBody]:
        """The events of sessions in a room's log."""
        page = await self.store.events(room, after=0, limit=1000, max_bytes=1 << 24)
        bodies = [decode_body(event.body) for event in page.events]
        return [body for body in bodies if isinstance(body, SessionBody)]

    async def changes(self, room: str = "r") -> list[str]:
        """Their names."""
        return [body.change for body in await self.log(room)]


def person(account: str, role: Role, connection: str | None = "", **claims: str) -> Caller:
    """Someone with a connection (None: over HTTP)."""
    proven = Claims("test", account, role, exp=2e9, **claims)  # type: ignore[arg-type]
    return Caller.of(proven, device="d", connection=f"{account}-1" if connection == "" else connection)
