"""A node's door without the rest of the node: real store, bus and sockets, scripted sessions and media."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from config.settings import (
    KeySettings,
    LimitSettings,
    PushSettings,
    ReplySettings,
    ServerSettings,
    TokenSettings,
    WebhookSettings,
)
from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import Place, Role
from protocol.frames import Answer, Relays
from protocol.schedule import ScheduleRequest, ScheduleResult, SessionDay, SessionList
from protocol.sessions import SessionRequest, SessionView
from protocol.tokens import Claims, mint
from relay.bus.local import LocalBus
from relay.sqlite.store import SqliteStore
from signaling.access import Access
from signaling.around import Around
from signaling.audit.origin import Origin
from signaling.caller import Caller
from signaling.dispatch import Dispatcher
from signaling.door.acks import Acks
from signaling.door.hub import Hub
from signaling.door.shared import Shared
from signaling.door.websocket import Door
from signaling.http.problems import problems
from signaling.key_sets import KeySets
from signaling.keys.service import KeysService
from signaling.observe.metrics import Metrics
from signaling.push.ringer import Surroundings
from signaling.push.service import PushService
from signaling.quotas import JoinAttempts
from signaling.rooms import Rooms
from signaling.timebase import Timebase

KEY, SECRET = "test", "a secret for tests that is long enough"

# Wide enough that only the tests of rates meet them.
GENEROUS = LimitSettings(
    requests_per_second=1e6,
    requests_burst=1_000_000,
    account_requests_per_second=1e6,
    account_requests_burst=1_000_000,
    joins_per_second=10_000.0,
    joins_burst=10_000,
)


class ScriptedSessions:
    """Sessions named ``<room>/<anything>`` exist; the rest does not. Notes what it is asked."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.closed: list[Caller] = []
        self.asked: list[tuple[str, str]] = []
        self.broken = False

    def _view(self, what: str, session: str) -> SessionView:
        self.asked.append((what, session))
        if self.broken:
            raise RuntimeError("canary-in-an-exception")
        room, slash, _ = session.partition("/")
        if not slash:
            raise ProtocolError(errors.NO_SUCH_SESSION)
        return SessionView(session, room, "live", "chat", 0, 0, 0, 0, 0)

    async def perform(self, caller: Caller, request: SessionRequest) -> SessionView:
        what = str(request.__struct_config__.tag).removeprefix("session.")
        view = self._view(what, request.session)
        if what in {"join", "leave"}:
            place: Place = "inside" if what == "join" else "outside"
            self.hub.placed(caller.account, [str(caller.connection)], view.session, view.room, place)
        return view

    async def rate(self, caller: Caller, session_id: str, score: int, *, technical: bool) -> None:
        self._view("rate", session_id)

    async def waiting(self, account: str, rooms: Sequence[str]) -> dict[str, str]:
        return {}

    async def connection_closed(self, caller: Caller, *, for_good: bool = False) -> None:
        self.closed.append(caller)


class ScriptedAppointments:
    """Nobody has a session at any time."""

    async def perform(self, caller: Caller, request: ScheduleRequest) -> ScheduleResult | SessionView:
        if isinstance(request, SessionList):
            return SessionDay(0, 0)
        raise ProtocolError(errors.NO_SUCH_SESSION)


class ScriptedMedia:
    """Answers every offer with itself; can be held up."""

    def __init__(self) -> None:
        self.hold: asyncio.Event | None = None

    async def offer(self, caller: Caller, session_id: str, sdp: str) -> Answer:
        if self.hold is not None:
            await self.hold.wait()
        return Answer(sdp, 1)

    async def relays(self, caller: Caller, session_id: str) -> Relays:
        return Relays((), 0)

    async def leave(self, caller: Caller, session_id: str) -> None:
        return None


class DoorServer:
    """One node's door on a free port."""

    def __init__(
        self,
        path: Path,
        limits: LimitSettings = GENEROUS,
        tokens: TokenSettings | None = None,
        server: ServerSettings | None = None,
        replies: ReplySettings | None = None,
        keys: KeySettings | None = None,
    ) -> None:
        self.limits = limits
        self.timebase = Timebase()
        self.store = SqliteStore(path)
        self.bus = LocalBus()
        self.metrics = Metrics()
        self.noted: list[tuple[str, str]] = []
        """What was to be recorded: actions and their outcomes."""
        self.rooms = Rooms(self.store, self.bus, self.timebase)
        self.hub = Hub(self.store, self.bus, limits, self.timebase, "0123456789abcdef")
        self.sessions, self.media = ScriptedSessions(self.hub), ScriptedMedia()
        settings = tokens or TokenSettings(keys={KEY: SECRET})
        self.key_sets = KeySets(settings.jwks, floor_seconds=0.0)
        self.access = Access(settings, self.store, self.key_sets, self.timebase, self)
        self.around = Around.wired(
            self.store, self.rooms, self.bus, self.hub, self.timebase, replies or ReplySettings()
        )
        self.keys = KeysService(
            self.store,
            self.rooms,
            self.timebase,
            keys or KeySettings(),
            self.hub.keys_changed,
            lambda notices: (),
            self.metrics,
            self.bus.quota,
        )
        self.push = PushService(
            Surroundings(
                self.store,
                self.rooms,
                self.timebase,
                self.around.hours.quiet_until,
                lambda notices: (),
                lambda outcome: None,
            ),
            PushSettings(),
            WebhookSettings(),
            path.with_name("push-key"),
            told=False,
        )
        dispatcher = Dispatcher(
            self.rooms,
            self.hub,
            self.sessions,
            JoinAttempts(self.bus.quota, limits),
            self.sessions,
            ScriptedAppointments(),
            self.media,
            self.access,
            self.around,
            self.keys,
            self.push,
            self.timebase,
            self,
        )
        shared = Shared(
            limits,
            self.store,
            self.hub,
            self.access,
            dispatcher,
            self.timebase,
            Acks(self.store, self.around.receipts.written),
        )
        self.door = Door(shared, server or ServerSettings())
        self.port = 0
        self.send_buffer: int | None = None
        """How much the kernel takes for a connection that does not read; None for as much as it likes."""
        self._runner: web.AppRunner | None = None

    def note(self, by: Origin, action: str, kind: str, name: str, outcome: str, **_: str) -> None:
        """Only kept."""
        self.noted.append((action, outcome))

    async def start(self) -> None:
        """Open everything and listen."""
        await self.store.open()
        self.push.start()
        await self.hub.start()
        await self.door.start()
        app = web.Application(middlewares=[problems])
        app.router.add_get("/v1/connect", self.door.handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        listening = socket.create_server(("127.0.0.1", 0))
        if self.send_buffer is not None:  # inherited by what is accepted
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.send_buffer)
        await web.SockSite(self._runner, listening).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Drain and close everything."""
        assert self._runner is not None
        await self.hub.close_all(errors.DRAIN, 1.0)
        await self._runner.cleanup()
        await self.door.stop()
        await self.around.teller.stop()
        await self.around.receipts.stop()
        await self.hub.stop()
        await self.store.close()

    @property
    def url(self) -> str:
        """Where to connect."""
        return f"ws://127.0.0.1:{self.port}/v1/connect"

    async def room(self, name: str, *accounts: str) -> None:
        """A room whose first member is a therapist, the others clients."""
        roles: list[Role] = ["therapist", *["client"] * (len(accounts) - 1)]  # type: ignore[list-item]
        await self.rooms.create(name, b"", list(zip(accounts, roles, strict=True)))

    def token(self, account: str, role: Role = "client", *, seconds: float = 600, **claims: Any) -> str:
        """A token of the test key."""
        now = self.timebase.now_ms() / 1000
        return mint(Claims(KEY, account, role, now + seconds, **claims), SECRET)


@asynccontextmanager
async def door_server(
    path: Path, send_buffer: int | None = None, keys: KeySettings | None = None, **limits: Any
) -> AsyncIterator[DoorServer]:
    """A running server; ``limits`` differ from the generous ones."""
    server = DoorServer(path, dataclasses.replace(GENEROUS, **limits), keys=keys)
    server.send_buffer = send_buffer
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
