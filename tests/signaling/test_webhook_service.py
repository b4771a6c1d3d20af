"""What is told is written with the change it tells of; what nobody has received is found and told once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from config.settings import WebhookSettings
from protocol.around import Hours, WeeklySpan
from protocol.events import MessageBody
from relay.bus.local import LocalBus
from relay.errors import StoreFull
from relay.inbox import MESSAGE
from relay.sqlite import SqliteStore
from relay.webhooks import Delivery, EndDelivery
from relay.writes import Ack, Append, Outcome, Write
from signaling.hours.service import HoursService, kept
from signaling.rooms import Rooms
from signaling.timebase import Timebase
from signaling.uuid7 import uuid7
from signaling.webhooks import service as service_module
from signaling.webhooks.service import DAY_MS, Webhooks
from signaling.webhooks.unreceived import UnreceivedSearch
from tests.signaling.sessions_kit import MINUTE, Kit
from tests.signaling.waiting import PATIENCE_SECONDS
from tests.signaling.webhook_kit import SECRET

SETTINGS = WebhookSettings(
    endpoints={"all": "https://all.example", "rooms": "https://rooms.example"},
    secrets={"all": SECRET, "rooms": SECRET},
    types={"rooms": "room.*"},
)


class Telling(Kit):
    """Sessions and rooms of one process, whose changes are told."""

    def __init__(self, path: Path, settings: WebhookSettings = SETTINGS) -> None:
        super().__init__(path)
        self.webhooks = Webhooks(settings, self.store, self.timebase, lambda *_: None)
        self.rooms._companions = (self.webhooks,)

    async def __aenter__(self) -> Telling:
        await super().__aenter__()
        return self

    async def deliveries(self, endpoint: str = "all") -> list[Delivery]:
        return list(await self.store.deliveries("waiting", endpoint=endpoint, limit=999))

    async def heard(self, endpoint: str = "all") -> list[tuple[str, str, Any]]:
        """Type, room and data of what waits for an endpoint."""
        bodies = [json.loads(one.body) for one in await self.deliveries(endpoint)]
        return [(body["type"], body.get("room"), body["data"]) for body in bodies]

    async def types(self, endpoint: str = "all") -> list[str]:
        return [kind for kind, _, _ in await self.heard(endpoint)]


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Telling]:
    async with Telling(tmp_path / "store.db") as kit:
        await kit.room()
        yield kit


async def test_members_are_told_to_everyone_who_wants_to_know(kit: Telling) -> None:
    assert await kit.types("rooms") == ["room.member_added"] * 3
    await kit.rooms.remove_member("r", "cleo")
    assert (await kit.heard("rooms"))[-1] == (
        "room.member_removed",
        "r",
        {"account": "cleo", "role": "guest"},
    )
    every, some = await kit.deliveries("all"), await kit.deliveries("rooms")
    assert len(every) == len(some) == 4
    assert len({one.id for one in (*every, *some)}) == 8
    for one in (*every, *some):
        body = json.loads(one.body)
        assert (body["id"], body["type"]) == (one.id, one.type)
        assert one.lane == "r"


async def test_a_session_is_told_from_its_opening_to_its_end(kit: Telling) -> None:
    await kit.scheduled(in_ms=20 * MINUTE)
    assert await kit.types("rooms") == ["room.member_added"] * 3
    kit.clock.wait_ms(12 * MINUTE)
    await kit.fire_due()
    kit.clock.wait_ms(8 * MINUTE)
    await kit.live()
    kit.clock.wait_ms(60 * MINUTE)
    await kit.fire_due()
    told = [one for one in await kit.heard() if one[0].startswith("session.")]
    assert [kind for kind, _, _ in told][:2] == ["session.opened", "session.started"]
    assert told[-1][0] == "session.ended"
    assert told[-1][2]["session"] == "s"
    assert told[-1][2]["reason"] == "completed"
    assert "due_ms" in told[-1][2]


async def test_a_cancelled_session_has_ended_too(kit: Telling) -> None:
    await kit.scheduled(in_ms=60 * MINUTE)
    await kit.sessions.stop("s")
    kind, room, data = (await kit.heard())[-1]
    assert (kind, room, data["reason"], data["state"]) == ("session.ended", "r", "cancelled", "cancelled")


async def test_a_change_that_is_not_durable_is_not_told(
    kit: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await kit.heard()

    async def full(*_: Write) -> tuple[Outcome, ...]:
        raise StoreFull

    with monkeypatch.context() as patched:
        patched.setattr(kit.store, "commit", full)
        with pytest.raises(Exception, match="store_full"):
            await kit.rooms.remove_member("r", "cleo")
    assert await kit.heard() == before


async def test_a_change_and_what_tells_of_it_are_one_commit(
    kit: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[Sequence[Write]] = []
    commit = kit.store.commit

    async def noted(*writes: Write) -> tuple[Outcome, ...]:
        commits.append(writes)
        return await commit(*writes)

    monkeypatch.setattr(kit.store, "commit", noted)
    await kit.rooms.remove_member("r", "cleo")
    (only,) = commits
    assert [type(write).__name__ for write in only] == [
        "RemoveMember",
        "Append",
        "PutDelivery",
        "PutDelivery",
    ]


async def test_messages_are_not_told(kit: Telling) -> None:
    before = await kit.heard()
    body = MessageBody(uuid7(1, bytes(10)), b"canary")
    await kit.rooms.append("r", body, sender="anna", device="d", mid=bytes(16))
    assert await kit.heard() == before


async def test_without_endpoints_nothing_is_written(tmp_path: Path) -> None:
    async with Telling(tmp_path / "store.db", WebhookSettings()) as kit:
        await kit.room()
        assert await kit.deliveries() == []
        assert not kit.webhooks.tells("message.undelivered")
        assert not kit.webhooks.tasks()


async def test_what_ended_long_ago_is_forgotten(kit: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "FORGET_BATCH", 2)
    for one in await kit.deliveries():
        await kit.store.commit(EndDelivery(one.id, 1, "delivered", kit.clock.ms))
    kit.clock.wait_ms(30 * DAY_MS)
    await kit.webhooks.forget()
    assert len(await kit.store.deliveries("delivered", limit=9)) == 3
    kit.clock.wait_ms(1)
    await kit.webhooks.forget()
    assert await kit.store.deliveries("delivered", limit=9) == ()
    assert len(await kit.deliveries("rooms")) == 3


# --- What nobody has received


class Searching:
    """A room in which messages are sent, and the search."""

    def __init__(self, kit: Telling, age_seconds: float = 900.0) -> None:
        self.kit = kit
        hours = HoursService(kit.store, kit.rooms, kit.timebase)
        self.search = UnreceivedSearch(
            kit.store, kit.rooms, kit.timebase, age_seconds, kit.webhooks.deliveries, hours.quiet_until
        )
        self._mid = 0

    async def say(self, sender: str = "anna", body: bytes = b"canary", *, urgent: bool = False) -> None:
        self._mid += 1
        mid, now_ms = self._mid.to_bytes(16, "big"), self.kit.clock.ms
        await self.kit.rooms.commit(Append("r", sender, "d", mid, body, now_ms, MESSAGE, urgent))

    async def quiet(self, account: str, minutes: int) -> None:
        """Let the account have quiet hours from now on, for so many minutes of this day."""
        now = datetime.fromtimestamp(self.kit.clock.ms / 1000, UTC)
        starts = now.hour * 60 + now.minute
        quiet = (WeeklySpan(now.weekday(), starts, starts + minutes),)
        await self.kit.store.commit(kept(account, Hours("UTC", quiet=quiet)))

    async def found(self) -> list[tuple[str, int]]:
        """Who was told of by now, and from which offset on."""
        while await self.search.step():
            pass
        told = [data for kind, _, data in await self.kit.heard() if kind == "message.undelivered"]
        return [(data["account"], data["offset"]) for data in told]


async def test_a_message_that_waits_too_long_is_told_once(kit: Telling) -> None:
    one = Searching(kit)
    await one.say()
    sent_ms = kit.clock.ms
    kit.clock.wait_ms(15 * MINUTE)
    assert await one.found() == []
    kit.clock.wait_ms(1)
    assert await one.found() == [("ben", 4), ("cleo", 4)]
    kit.clock.wait_ms(60 * MINUTE)
    assert await one.found() == [("ben", 4), ("cleo", 4)]
    (delivery,) = [d for d in await kit.deliveries() if d.type == "message.undelivered" and b"ben" in d.body]
    assert json.loads(delivery.body)["data"] == {"account": "ben", "offset": 4, "sent_ms": sent_ms}
    assert b"canary" not in delivery.body


async def test_what_was_received_in_time_is_not_told(kit: Telling) -> None:
    one = Searching(kit)
    await one.say()
    for account in ("ben", "cleo"):
        await kit.store.commit(Ack(account, "phone", "r", kit.store.epoch, 4))
    kit.clock.wait_ms(60 * MINUTE)
    assert await one.found() == []


async def test_after_a_restart_nothing_is_told_twice(kit: Telling, tmp_path: Path) -> None:
    one = Searching(kit)
    await one.say()
    kit.clock.wait_ms(16 * MINUTE)
    assert len(await one.found()) == 2
    await kit.store.close()
    async with Telling(tmp_path / "store.db") as again:
        again.clock.ms = kit.clock.ms + 60 * MINUTE
        assert len(await Searching(again).found()) == 2


async def test_two_nodes_that_search_at_once_tell_once(kit: Telling) -> None:
    one, other = Searching(kit), Searching(kit)
    await one.say()
    kit.clock.wait_ms(16 * MINUTE)
    found = await kit.store.unreceived(appended_before_ms=kit.clock.ms, limit=9)

    class Late:
        async def unreceived(self, **_: Any) -> Any:
            return found

        async def held(self, **_: Any) -> Any:
            return ()

    assert await one.search.step()
    other.search._store = Late()  # type: ignore[assignment]  # read before the first one had written
    assert await other.search.step()
    assert len(await one.found()) == 2


async def test_in_quiet_hours_nobody_is_told_until_they_are_over(kit: Telling) -> None:
    one = Searching(kit)
    await one.quiet("ben", 120)
    await one.say()
    kit.clock.wait_ms(16 * MINUTE)
    assert await one.found() == [("cleo", 4)]
    kit.clock.wait_ms(90 * MINUTE)
    await one.say()
    assert await one.found() == [("cleo", 4)]
    kit.clock.wait_ms(30 * MINUTE)
    assert await one.found() == [("cleo", 4), ("ben", 4)]
    kit.clock.wait_ms(60 * MINUTE)
    assert await one.found() == [("cleo", 4), ("ben", 4)], "once"


async def test_what_was_received_in_quiet_hours_is_not_told_after_them(kit: Telling) -> None:
    one = Searching(kit)
    await one.quiet("ben", 120)
    await one.say()
    kit.clock.wait_ms(16 * MINUTE)
    assert await one.found() == [("cleo", 4)]
    await kit.store.commit(Ack("ben", "phone", "r", kit.store.epoch, 4))
    kit.clock.wait_ms(180 * MINUTE)
    assert await one.found() == [("cleo", 4)]
    assert await kit.store.held(until_ms=kit.clock.ms * 2, limit=9) == ()


async def test_what_is_urgent_is_told_in_quiet_hours(kit: Telling) -> None:
    one = Searching(kit)
    await one.quiet("anna", 240)
    await one.say("ben")
    kit.clock.wait_ms(16 * MINUTE)
    assert await one.found() == [("cleo", 4)]
    await one.say("ben", urgent=True)
    await one.say("ben", urgent=True)
    kit.clock.wait_ms(16 * MINUTE)
    assert sorted(await one.found()) == [("anna", 5), ("cleo", 4), ("cleo", 5)]
    urgent = [data for kind, _, data in await kit.heard() if data.get("urgent")]
    assert [(data["account"], data["offset"]) for data in urgent] == [("anna", 5), ("cleo", 5)]
    kit.clock.wait_ms(600 * MINUTE)
    assert len(await one.found()) == 3, "who was told of what is urgent is told of no more"


async def test_quiet_hours_that_become_longer_or_shorter_are_heeded(kit: Telling) -> None:
    one = Searching(kit)
    await one.quiet("ben", 20)
    await one.quiet("cleo", 600)
    await one.say()
    kit.clock.wait_ms(16 * MINUTE)
    assert await one.found() == []
    await one.quiet("ben", 60)
    await kit.store.commit(kept("cleo", Hours("UTC")))
    kit.clock.wait_ms(16 * MINUTE)
    assert await one.found() == [("cleo", 4)]
    kit.clock.wait_ms(60 * MINUTE)
    assert await one.found() == [("cleo", 4), ("ben", 4)]


async def test_who_was_held_back_is_told_after_a_restart_once(kit: Telling, tmp_path: Path) -> None:
    one = Searching(kit)
    await one.quiet("ben", 120)
    await one.say()
    kit.clock.wait_ms(16 * MINUTE)
    assert await one.found() == [("cleo", 4)]
    await kit.store.close()
    async with Telling(tmp_path / "store.db") as again:
        again.clock.ms = kit.clock.ms + 180 * MINUTE
        first, second = Searching(again), Searching(again)
        await asyncio.gather(first.search.step(), second.search.step())
        assert await first.found() == [("cleo", 4), ("ben", 4)]


async def test_the_search_goes_on_by_itself(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    await store.open()
    timebase = Timebase()
    webhooks = Webhooks(SETTINGS, store, timebase, lambda *_: None)
    rooms = Rooms(store, LocalBus(), timebase, (webhooks,))
    await rooms.create("r", b"", [("anna", "therapist"), ("ben", "client")])
    quiet_until = HoursService(store, rooms, timebase).quiet_until
    search = UnreceivedSearch(store, rooms, timebase, 0.05, webhooks.deliveries, quiet_until)
    task = asyncio.create_task(search.run())
    await rooms.append("r", MessageBody(uuid7(1, bytes(10)), b"m"), sender="anna", device="d", mid=bytes(16))
    async with asyncio.timeout(PATIENCE_SECONDS):
        types: set[str] = set()
        while "message.undelivered" not in types:  # a row is waited for, which nobody announces
            types = {one.type for one in await store.deliveries("waiting", limit=99)}
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    await store.close()
