"""The hub: who is handed what, once, whatever the others do. Connections are scripted, the bus is real."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Set
from pathlib import Path

import pytest

from protocol import errors
from protocol.codec import Subprotocol, encode_body
from protocol.errors import CloseCode, ProtocolError
from protocol.events import MemberBody
from protocol.signals import Countdown, Typing
from relay.bus import (
    Addressed,
    AskNotice,
    ConnectedNotice,
    ConnectionNotice,
    EventNotice,
    MembershipNotice,
    PlaceNotice,
    ReplyNotice,
    RevokedNotice,
    SignalNotice,
)
from relay.bus.local import LocalBus
from relay.rows import RoomHead, StoredEvent
from relay.sqlite import SqliteStore
from signaling.cluster.names import connection_id
from signaling.door.framing import EventMessage, SignalMessage
from signaling.door.hub import Hub
from signaling.timebase import Timebase
from tests.signaling.door_server import GENEROUS


class ScriptedLink:
    """Keeps what it is handed."""

    def __init__(self, hub: Hub, device: str | None) -> None:
        self.hub = hub
        self.connection = hub.next_id()
        self.device = device
        self.rooms: Set[str] = frozenset({"r"})
        self.events: list[EventMessage] = []
        self.signals: list[tuple[SignalNotice, SignalMessage]] = []
        self.memberships: list[MembershipNotice | PlaceNotice] = []
        self.ended: list[tuple[str, int | None]] = []
        self.told_of: list[str] = []
        hub.enter(self)

    def event(self, message: EventMessage) -> None:
        self.events.append(message)

    def observed(self, log: RoomHead) -> None:
        raise AssertionError("the hub does not read the store")

    def compare(self, rooms: Set[str]) -> None:
        raise AssertionError("the hub does not read the store")

    def signal(self, notice: SignalNotice, message: SignalMessage) -> None:
        self.signals.append((notice, message))

    def told(self, what: str, message: SignalMessage) -> None:
        self.told_of.append(what)

    def moved(self, notice: MembershipNotice | PlaceNotice) -> None:
        self.memberships.append(notice)

    def check_progress(self, now: float) -> None:
        raise AssertionError("the hub has no clock")

    def end(self, code: CloseCode, error: ProtocolError | None = None) -> None:
        self.ended.append((code.name, None))

    def goodbye(self, code: CloseCode, reconnect_after_ms: int) -> None:
        self.ended.append((code.name, reconnect_after_ms))
        self.hub.leave(self)


class Stage:
    """A hub on a bus of its own."""

    def __init__(self, store: SqliteStore, **limits: int) -> None:
        self.bus = LocalBus()
        self.hub = Hub(
            store, self.bus, dataclasses.replace(GENEROUS, **limits), Timebase(), "0123456789abcdef"
        )

    def link(self, account: str, device: str = "d") -> ScriptedLink:
        """A connection after its hello."""
        link = ScriptedLink(self.hub, device)
        self.hub.attach(link, account, 0.0)
        return link


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "s.db")
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def stage(store: SqliteStore) -> AsyncIterator[Stage]:
    stage = Stage(store)
    await stage.hub.start()
    yield stage
    await stage.hub.stop()


async def delivered() -> None:
    """The bus delivers at the end of a turn."""
    for _ in range(3):
        await asyncio.sleep(0)


def event(offset: int = 1) -> EventNotice:
    body = encode_body(MemberBody("x", "guest", "added"))
    return EventNotice("r", 1, StoredEvent(offset, None, None, None, body, 5))


async def test_everyone_is_handed_the_same_bytes(stage: Stage) -> None:
    links = [stage.link("ann", "d1"), stage.link("ann", "d2"), stage.link("ben")]
    stranger = stage.link("cara")
    stage.bus.publish(["ann", "ben", "nobody"], event())
    await delivered()
    messages = [message for link in links for message in link.events]
    assert len(messages) == 3
    assert len({id(message.encoded(Subprotocol.MSGPACK)) for message in messages}) == 1
    assert stranger.events == []


async def test_signals_of_one_kind_and_sender_have_one_key(stage: Stage) -> None:
    ben = stage.link("ben")
    stage.hub.signal("r", ["ben"], Typing(active=True), "ann")
    stage.hub.signal("r", ["ben"], Typing(active=False), "ann")
    stage.hub.signal("r", ["ben"], Typing(active=True), "cara")
    for session in ("s", "t"):
        stage.hub.signal("r", ["ben"], Countdown(session, "live", "chat", 1, 2, 3), None)
    await delivered()
    keys = [notice.key for notice, _ in ben.signals]
    assert len(keys) == 5
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4


async def test_a_newer_connection_of_a_device_ends_the_older_ones_and_no_other(stage: Stage) -> None:
    first, other = stage.link("ann", "phone"), stage.link("ann", "tablet")
    second = stage.link("ann", "phone")
    await delivered()
    third = stage.link("ann", "phone")
    stage.bus.publish(["ann"], ConnectedNotice("ann", "phone", second.connection))  # late, from another node
    await delivered()
    assert set(first.ended) == {("replaced", None)}
    assert second.ended == [("replaced", None)]
    assert (other.ended, third.ended) == ([], [])


async def test_revocations_end_a_device_or_an_account(stage: Stage) -> None:
    phone, tablet, ben = stage.link("ann", "phone"), stage.link("ann", "tablet"), stage.link("ben", "phone")
    stage.bus.publish(["ann"], RevokedNotice("ann", "phone"))
    await delivered()
    assert (phone.ended, tablet.ended, ben.ended) == ([("device_revoked", None)], [], [])
    stage.bus.publish(["ann"], RevokedNotice("ann", None))
    await delivered()
    assert (len(tablet.ended), ben.ended) == (1, [])


async def test_ids_go_up_and_cannot_be_guessed(stage: Stage) -> None:
    ids = [stage.hub.next_id() for _ in range(1000)]
    assert ids == sorted(ids)
    assert len({each[-16:] for each in ids}) == 1000


async def test_a_node_and_an_account_have_room_for_so_many(store: SqliteStore) -> None:
    stage = Stage(store, connections=3, connections_per_account=2)
    stage.link("ann", "d1")
    stage.link("ann", "d2")
    stage.hub.check_entry()
    with pytest.raises(ProtocolError) as too_many:
        stage.link("ann", "d3")
    assert too_many.value.kind is errors.RATE_LIMITED
    with pytest.raises(ProtocolError) as full:
        stage.hub.check_entry()
    assert full.value.kind is errors.OVERLOADED
    assert (stage.hub.stats().connections, stage.hub.stats().accounts) == (3, 1)


async def test_an_account_has_room_for_so_many_devices_on_all_nodes_together(store: SqliteStore) -> None:
    stage = Stage(store, connections_per_account=2)
    stage.bus.attach("ann", "d2")  # on other nodes
    stage.link("ann", "d1")
    stage.link("ann", "d2")
    await stage.hub.settle("ann")
    stage.bus.attach("ann", "d3")
    with pytest.raises(ProtocolError) as too_many:
        await stage.hub.settle("ann")
    assert too_many.value.kind is errors.RATE_LIMITED
    await stage.hub.settle("ben")


async def test_who_leaves_is_handed_nothing_more(stage: Stage) -> None:
    phone, tablet = stage.link("ann", "phone"), stage.link("ann", "tablet")
    stage.hub.detach(phone, "ann")
    stage.hub.leave(phone)
    stage.bus.publish(["ann"], event())
    stage.hub.signal_connection(phone.connection, "r", Typing(active=True))
    await delivered()
    assert (len(phone.events), len(tablet.events), phone.signals) == (0, 1, [])
    stage.hub.detach(tablet, "ann")
    stage.hub.leave(tablet)
    assert (stage.hub.stats().connections, stage.hub.stats().accounts) == (0, 0)
    assert await stage.bus.online(["ann"]) == frozenset()


async def test_a_connection_of_another_node_is_signalled_by_way_of_that_node(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone, tablet = stage.link("ann", "phone"), stage.link("ann", "tablet")
    sent: list[tuple[str, Addressed]] = []
    with monkeypatch.context() as patch:
        patch.setattr(stage.bus, "send", lambda node, notice: sent.append((node, notice)))
        stage.hub.signal_connection(connection_id(1, "f" * 16, bytes(8)), "r", Typing(active=True))
        stage.hub.signal_connection("no id of a connection", "r", Typing(active=True))
    (node, notice), _ = sent
    assert (node, phone.signals) == ("f" * 16, [])
    assert isinstance(notice, ConnectionNotice)
    for connection in (phone.connection, "gone"):
        stage.bus.send(stage.bus.node, ConnectionNotice(connection, notice.signal))
    await delivered()
    assert [notice for notice, _ in phone.signals] == [notice.signal]
    assert tablet.signals == []


async def test_what_nodes_ask_each_other_is_handed_on(stage: Stage) -> None:
    taken: list[AskNotice | ReplyNotice] = []
    stage.hub.on_call(taken.append)
    notices = (AskNotice("n", "1", b"question"), ReplyNotice("1", None))
    for notice in notices:
        stage.bus.send(stage.bus.node, notice)
    await delivered()
    assert taken == list(notices)


async def test_a_drain_is_spread_and_ends_when_all_are_gone(stage: Stage) -> None:
    links = [stage.link(f"a{number}") for number in range(50)]
    await stage.hub.close_all(errors.DRAIN, 10.0)
    waits = [link.ended[0][1] for link in links]
    assert all(wait is not None and 0 <= wait <= 10_000 for wait in waits)
    assert len(set(waits)) > 25
    with pytest.raises(ProtocolError) as caught:
        stage.hub.check_entry()
    assert caught.value.kind is errors.GOING_AWAY
    await stage.hub.close_all(errors.DRAIN, 10.0)
