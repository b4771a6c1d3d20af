"""The connections of this node by account, and what reaches them from the bus.

An event or signal is encoded once for each subprotocol, and every connection is handed the same bytes. A slow
connection never holds up another: handing over never waits.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Protocol, assert_never

from config.settings import LimitSettings
from protocol import errors
from protocol.codec import Subprotocol, encode
from protocol.errors import CloseCode, ProtocolError
from protocol.fields import Place
from protocol.frames import Signal
from protocol.keys import KeysChanged, KeysPart
from protocol.signals import Admission, Late, SignalBody
from relay.bus import (
    Addressed,
    AskNotice,
    Bus,
    ConnectedNotice,
    ConnectionNotice,
    Delivery,
    DirectNotice,
    EventNotice,
    InboxNotice,
    MembershipNotice,
    Notice,
    PlaceNotice,
    PresenceNotice,
    ReplyNotice,
    RevokedNotice,
    SignalNotice,
)
from relay.rows import RoomHead
from relay.store import Store
from relay.token_bucket import TokenBucket
from signaling.cluster.names import CHANCE_BYTES, connection_id, node_of
from signaling.door.framing import EventMessage, SignalMessage
from signaling.door.presence import PresenceTeller
from signaling.timebase import Timebase


class Link(Protocol):
    """A connection as the hub sees it. Nothing here waits, and nothing raises."""

    @property
    def connection(self) -> str:
        """Its id: later connections have greater ones."""

    @property
    def device(self) -> str | None:
        """Whose it is; None before its ``hello``."""

    @property
    def rooms(self) -> Set[str]:
        """The rooms whose events it is to get."""

    def event(self, message: EventMessage) -> None:
        """An event of a room of its account was committed."""

    def compare(self, rooms: Set[str]) -> None:
        """The store was asked which rooms its account is in: begin anew if that was not known."""

    def observed(self, log: RoomHead) -> None:
        """The store was asked how far the log of one of its rooms reaches."""

    def signal(self, notice: SignalNotice, message: SignalMessage) -> None:
        """Somebody signalled."""

    def told(self, what: str, message: SignalMessage) -> None:
        """Its account or device is told something that belongs to no room."""

    def moved(self, notice: MembershipNotice | PlaceNotice) -> None:
        """Its account's place in a room or in a session changed."""

    def end(self, code: CloseCode, error: ProtocolError | None = None) -> None:
        """Close it."""

    def check_progress(self, now: float) -> None:
        """Close it if its socket has taken nothing for too long."""

    def goodbye(self, code: CloseCode, reconnect_after_ms: int) -> None:
        """Close it, and tell it when to come back."""


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """What metrics tell of the connections."""

    connections: int
    """Open now, before and after ``hello``."""
    accounts: int
    """Accounts with a connection on this node."""
    closed: dict[str, int]
    """Connections closed by this side since the start, by the name of the close code."""
    refused: dict[str, int]
    """Requests that were refused since the start, by the name of the error."""


class _Account:
    """The connections of one account, and the rate they share."""

    __slots__ = ("bucket", "links")

    def __init__(self, bucket: TokenBucket) -> None:
        self.links: dict[str, Link] = {}
        self.bucket = bucket


class Hub:
    """All connections of this node."""

    def __init__(self, store: Store, bus: Bus, limits: LimitSettings, timebase: Timebase, node: str) -> None:
        """``node`` is this node's name, which stands in the ids of its connections."""
        self._node = node
        self._store = store
        self._bus = bus
        self._limits = limits
        self._timebase = timebase
        self._links: dict[str, Link] = {}
        self._accounts: dict[str, _Account] = {}
        self._presence = PresenceTeller(store, self.signal)
        self._closed: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._missed: Callable[[], None] = lambda: None
        self._take_call: Callable[[AskNotice | ReplyNotice], None] = lambda notice: None
        self._empty = asyncio.Event()
        self._last_id = 0
        self._watch_rooms: Callable[[Collection[str], str], None] = lambda accounts, room: None
        self.draining = False
        """Whether new connections are turned away."""

    async def start(self) -> None:
        """Begin to receive from the bus, which is started by this."""
        await self._bus.start(self._deliver, self._may_have_missed)

    async def stop(self) -> None:
        """Stop receiving. Connections are closed before, with :meth:`close_all`."""
        await self._presence.stop()
        await self._bus.stop()

    # --- For connections ---

    def next_id(self) -> str:
        """The id of a new connection: in the order of time, and not to be guessed."""
        self._last_id = max(self._last_id + 1, self._timebase.now_ms() << 12)
        return connection_id(self._last_id, self._node, secrets.token_bytes(CHANCE_BYTES))

    def check_entry(self) -> None:
        """``overloaded`` when this node is full, ``going_away`` when it is stopping."""
        if self.draining:
            raise ProtocolError(errors.GOING_AWAY, retry_after_ms=1000)
        if len(self._links) >= self._limits.connections:
            raise ProtocolError(errors.OVERLOADED, "too many connections", retry_after_ms=5000)

    def enter(self, link: Link) -> None:
        """A connection was opened."""
        self._links[link.connection] = link
        self._empty.clear()

    def leave(self, link: Link) -> None:
        """A connection is gone."""
        self._links.pop(link.connection, None)
        if not self._links:
            self._empty.set()

    def attach(self, link: Link, account: str, now: float) -> TokenBucket:
        """A connection has said whose it is: it hears of its account from here on.

        Older connections of the same device are replaced. Returns the bucket that the account's connections
        share. ``rate_limited`` when the account has as many connections here as it may have at all.
        """
        known = self._accounts.get(account)
        if known is None:
            limits = self._limits
            bucket = TokenBucket(limits.account_requests_per_second, limits.account_requests_burst, now)
            known = self._accounts[account] = _Account(bucket)
        devices = sum(other.device != link.device for other in known.links.values())
        if devices >= self._limits.connections_per_account:
            raise ProtocolError(errors.RATE_LIMITED, "too many connections of this account")
        known.links[link.connection] = link
        assert link.device is not None
        self._bus.attach(account, link.device)
        self._bus.publish([account], ConnectedNotice(account, link.device, link.connection))
        return known.bucket

    async def settle(self, account: str) -> None:
        """Wait until what is published on any node reaches an account that was attached.

        ``rate_limited`` when it has too many connections on all nodes together.
        """
        await self._bus.settle()
        if len(await self._bus.devices(account)) > self._limits.connections_per_account:
            raise ProtocolError(errors.RATE_LIMITED, "too many connections of this account")

    def detach(self, link: Link, account: str) -> None:
        """The opposite of :meth:`attach`."""
        known = self._accounts[account]
        del known.links[link.connection]
        if not known.links:
            del self._accounts[account]
        assert link.device is not None
        self._bus.detach(account, link.device)

    def count_closed(self, code: CloseCode) -> None:
        """A connection is closed by this side."""
        self._closed[code.name] += 1

    def count_refused(self, error: str) -> None:
        """A request is refused, with the error of this name."""
        self._refused[error] += 1

    # --- For the rest of the server ---

    def signal(self, room: str, accounts: Collection[str], body: SignalBody, sender: str | None) -> None:
        """Tell every connection of these accounts, on whatever node, something short-lived of a room."""
        self._bus.publish(accounts, self._notice(room, body, sender))

    def placed(
        self, account: str, connections: Collection[str], session: str, room: str, place: Place
    ) -> None:
        """An account is at this place in a session now, with these connections, on whatever node."""
        self._bus.publish([account], PlaceNotice(account, room, session, place, tuple(connections)))

    def keys_changed(self, account: str, device: str | None, what: KeysPart) -> None:
        """Tell one device of an account, or all of them, that something about its keys has changed."""
        body = encode(KeysChanged(what), Subprotocol.MSGPACK)
        self._bus.publish([account], DirectNotice(account, device, f"keys.changed {what}", body))

    def signal_connection(self, connection: str, room: str, body: SignalBody) -> None:
        """Tell one connection, on whatever node; nothing happens if it is gone."""
        notice = ConnectionNotice(connection, self._notice(room, body, None))
        node = node_of(connection)
        if node == self._node:
            self._addressed(notice)
        else:
            self._bus.send(node, notice)

    async def close_all(self, code: CloseCode, reconnect_spread: float) -> None:
        """Turn new connections away, and close all others, which are told when to come back.

        ``reconnect_spread`` is over how many seconds they are spread. Returns when all are gone.
        """
        self.draining = True
        for link in list(self._links.values()):
            spread_ms = int(random.random() * reconnect_spread * 1000)  # noqa: S311 - spreads load, guards nothing
            link.goodbye(code, spread_ms)
        if self._links:
            await self._empty.wait()

    def on_room_changed(self, watch: Callable[[Collection[str], str], None]) -> None:
        """Have ``watch`` told, with accounts and a room, of all that changes a room in inboxes."""
        self._watch_rooms = watch

    def on_missed(self, look: Callable[[], None]) -> None:
        """Have ``look`` told when notices may have been missed."""
        self._missed = look

    def on_call(self, take: Callable[[AskNotice | ReplyNotice], None]) -> None:
        """Have ``take`` told what other nodes ask and reply."""
        self._take_call = take

    def stats(self) -> HubStatistics:
        """For metrics."""
        return HubStatistics(len(self._links), len(self._accounts), dict(self._closed), dict(self._refused))

    def by_account(self) -> Mapping[str, Sequence[Link]]:
        """The connections of each account as they are now."""
        return {account: list(known.links.values()) for account, known in self._accounts.items()}

    def links(self) -> Iterator[Link]:
        """All connections, in no order."""
        return iter(list(self._links.values()))

    # --- From the bus ---

    def _deliver(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._deliver_one(delivery.accounts, delivery.notice)

    def _deliver_one(self, accounts: Collection[str], notice: Notice) -> None:
        match notice:
            case EventNotice():
                self._event(accounts, notice)
            case SignalNotice():
                signal = SignalMessage(notice.body)
                for link in self._of(accounts):
                    link.signal(notice, signal)
            case MembershipNotice() | PlaceNotice():
                for link in self._of(accounts):
                    link.moved(notice)
                self._watch_rooms(accounts, notice.room)
            case InboxNotice(room):
                self._watch_rooms(accounts, room)
            case RevokedNotice():
                self._revoked(notice)
            case ConnectedNotice():
                self._connected(notice)
            case PresenceNotice(account, online):
                self._presence.changed(account, online=online)
            case DirectNotice():
                self._direct(notice)
            case ConnectionNotice() | AskNotice() | ReplyNotice():
                self._addressed(notice)
            case _:
                assert_never(notice)

    def _event(self, accounts: Collection[str], notice: EventNotice) -> None:
        message = EventMessage(notice)
        for link in self._of(accounts):
            link.event(message)
        self._watch_rooms(accounts, notice.room)

    def _addressed(self, notice: Addressed) -> None:
        match notice:
            case ConnectionNotice(connection, signal):
                link = self._links.get(connection)
                if link is not None:
                    link.signal(signal, SignalMessage(signal.body))
            case AskNotice() | ReplyNotice():
                self._take_call(notice)
            case _:
                assert_never(notice)

    def _may_have_missed(self) -> None:
        self._missed()

    def _of(self, accounts: Collection[str]) -> Iterator[Link]:
        for account in accounts:
            known = self._accounts.get(account)
            if known is not None:
                yield from known.links.values()

    def _direct(self, notice: DirectNotice) -> None:
        direct = SignalMessage(notice.body)
        for link in self._of([notice.account]):
            if notice.device is None or link.device == notice.device:
                link.told(notice.key, direct)

    def _revoked(self, notice: RevokedNotice) -> None:
        for link in self._of([notice.account]):
            if notice.device is None or link.device == notice.device:
                link.end(errors.DEVICE_REVOKED, ProtocolError(errors.REVOKED))

    def _connected(self, notice: ConnectedNotice) -> None:
        for link in self._of([notice.account]):
            if link.device == notice.device and link.connection < notice.connection:
                link.end(errors.REPLACED)

    def _notice(self, room: str, body: SignalBody, sender: str | None) -> SignalNotice:
        encoded = encode(Signal(room, body, sender), Subprotocol.MSGPACK)
        about: str = getattr(body, "session", "") or getattr(body, "device", "")
        key = "\0".join((room, sender or "", str(body.__struct_config__.tag), about))
        to_waiting = isinstance(body, Admission | Late)
        return SignalNotice(room, key, sender, encoded, self._timebase.now_ms(), to_waiting)
