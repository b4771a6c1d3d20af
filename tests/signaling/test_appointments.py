"""Scheduling by therapists over a real WebSocket, and moves over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from icalendar import Calendar

from signaling.node import Node
from tests.signaling.door_client import DoorClient, door_client, new_mid
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
TODAY = int(time.time() * 1000) // DAY_MS
"""In days since 1970; the same for all tests, also when they go on after midnight."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    async with running_node(settings(tmp_path_factory.mktemp("node"))) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def api(node: Node) -> AsyncIterator[BackEnd]:
    async with back_end(node) as api:
        yield api


@asynccontextmanager
async def connected(url: str, bearer: str) -> AsyncIterator[DoorClient]:
    """An app that has been welcomed."""
    async with door_client(url.replace("http", "ws", 1) + "/v1/connect") as door:
        assert (await door.hello(bearer))["op"] == "welcome"
        yield door


def now_ms() -> int:
    return int(time.time() * 1000)


def noon_ms(days: int) -> int:
    """Noon in UTC of a day to come."""
    return (TODAY + days) * DAY_MS + 12 * HOUR_MS


def day_of(at_ms: int) -> str:
    """The day of an instant in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


def events(feed: str) -> list[Any]:
    """The events of a calendar feed, as the library reads them."""
    return list(Calendar.from_ical(feed).walk("VEVENT"))


async def scheduled(door: DoorClient, room: str, starts_ms: int, **more: Any) -> Any:
    asked = {"room": room, "mid": new_mid(), "starts_ms": starts_ms, "length_ms": HOUR_MS, "modality": "chat"}
    return await door.request("session.schedule", **(asked | more))


async def test_a_therapist_schedules_moves_lists_and_cancels(node: Node, api: BackEnd) -> None:
    await api.room("desk")
    async with connected(node.url, token("anna", "therapist")) as door:
        mid, starts_ms = new_mid(), noon_ms(3)
        first = (await scheduled(door, "desk", starts_ms, mid=mid))["result"]
        assert first["view"]["starts_ms"] == starts_ms
        again = (await scheduled(door, "desk", starts_ms, mid=mid))["result"]
        assert (again["view"]["session"], again["duplicate"]) == (first["view"]["session"], True)
        other = await scheduled(door, "desk", starts_ms, mid=mid, modality="video")
        assert other["name"] == "mid_differs"

        second = (await scheduled(door, "desk", starts_ms + HOUR_MS // 2))["result"]
        overlap = {
            "session": first["view"]["session"],
            "starts_ms": starts_ms,
            "ends_ms": starts_ms + HOUR_MS,
        }
        assert second["warnings"] == [overlap]
        moved = await door.request(
            "session.move",
            session=second["view"]["session"],
            starts_ms=starts_ms + 2 * HOUR_MS,
            length_ms=HOUR_MS,
        )
        assert moved["result"]["view"]["starts_ms"] == starts_ms + 2 * HOUR_MS
        assert "warnings" not in moved["result"]

        day = day_of(starts_ms)
        listed = (await door.request("session.list", day=day, zone="UTC"))["result"]
        ids = [first["view"]["session"], second["view"]["session"]]
        assert [view["session"] for view in listed["sessions"]] == ids
        assert listed["ends_ms"] - listed["starts_ms"] == DAY_MS
        for _ in range(2):
            cancelled = await door.request("session.cancel", session=ids[0])
            assert (cancelled["result"]["state"], cancelled["result"]["reason"]) == ("cancelled", "cancelled")
        refused = await door.request("session.move", session=ids[0], starts_ms=starts_ms, length_ms=HOUR_MS)
        assert refused["name"] == "session_over"
        told = await door.expect(
            lambda frame: frame["op"] == "event" and frame["body"].get("change") == "cancelled"
        )
        assert told["body"]["account"] == "anna"


async def test_both_sides_see_the_time_zones_of_both(node: Node, api: BackEnd) -> None:
    await api.room("zones")
    both = {"therapist": "Europe/Berlin", "client": "Australia/Sydney"}
    async with connected(node.url, token("anna", "therapist")) as door:
        for zones in ({"client": "Mars/Olympus"}, {"therapist": "../../etc/passwd", "client": "UTC"}):
            refused = await scheduled(door, "zones", noon_ms(30), zones=zones)
            assert refused["name"] == "no_such_zone"
        known = (await scheduled(door, "zones", noon_ms(30), zones=both))["result"]["view"]
        assert known["zones"] == both
        other = (await scheduled(door, "zones", noon_ms(30) + HOUR_MS))["result"]["view"]
        assert "zones" not in other
        ids = {known["session"], other["session"]}
        await door.request("session.move", session=known["session"], starts_ms=noon_ms(31), length_ms=HOUR_MS)
    async with connected(node.url, token("ben", "client")) as door:
        listed = (await door.request("session.list", day=day_of(noon_ms(31)), zone="UTC"))["result"]
        assert [view["zones"] for view in listed["sessions"]] == [both]
    items = (await api.get("/v1/rooms/zones/sessions")).json["items"]
    assert {item["session"]: item.get("zones") for item in items} == dict.fromkeys(ids) | {
        known["session"]: both
    }


async def test_whoever_is_invited_to_one_session_sees_it_and_nothing_else(node: Node, api: BackEnd) -> None:
    await api.room("guests")
    invited = [{"account": "ivo", "role": "interpreter"}, {"account": "pia", "role": "guest"}]
    session = (await api.session("guests", starts_ms=noon_ms(40), attendees=invited))["session"]
    await api.session("guests", starts_ms=noon_ms(40) + 2 * HOUR_MS)
    day, feeds = day_of(noon_ms(40)), []
    for account in ("ivo", "pia"):
        items = (await api.get(f"/v1/accounts/{account}/sessions")).json["items"]
        assert [item["session"] for item in items] == [session]
        async with connected(node.url, token(account, "guest")) as door:
            listed = (await door.request("session.list", day=day, zone="UTC"))["result"]
            assert [view["session"] for view in listed["sessions"]] == [session]
            assert (await door.request("room.get", room="guests"))["name"] == "no_such_room"
            cancel = await door.request("session.cancel", session=session)
            assert cancel["name"] == "no_such_room"
        feeds.append((await api.ask("PUT", f"/v1/accounts/{account}/calendar")).json["path"])
        (event,) = events((await api.get(feeds[-1])).text)
        assert event["DTSTART"].dt == datetime.fromtimestamp(noon_ms(40) / 1000, UTC)
    await api.ask("DELETE", f"/v1/sessions/{session}")
    for path in feeds:
        (event,) = events((await api.get(path)).text)
        assert event["STATUS"] == "CANCELLED"


async def test_a_feed_says_which_revision_of_a_session_it_shows(node: Node, api: BackEnd) -> None:
    await api.room("revised")
    zones = {"therapist": "Europe/Berlin", "client": "Australia/Sydney"}
    session = (await api.session("revised", starts_ms=noon_ms(50), zones=zones))["session"]
    path = (await api.ask("PUT", "/v1/accounts/revised-t/calendar")).json["path"]
    assert events((await api.get(path)).text) == []
    await api.post("/v1/rooms/revised/members", {"account": "revised-t", "role": "therapist"})

    async def shown() -> Any:
        (event,) = events((await api.get(path)).text)
        return event

    first = await shown()
    assert (first["SEQUENCE"], first["STATUS"]) == (0, "CONFIRMED")
    assert str(first["DESCRIPTION"]).endswith(" Europe/Berlin")
    assert first["DTSTAMP"].dt == first["LAST-MODIFIED"].dt
    for _ in range(2):  # the same once more is no change
        await api.ask("PATCH", f"/v1/sessions/{session}", {"starts_ms": noon_ms(51)})
    moved = await shown()
    assert (moved["UID"], moved["SEQUENCE"]) == (first["UID"], 1)
    assert moved["DTSTART"].dt - first["DTSTART"].dt == timedelta(days=1)
    assert moved["LAST-MODIFIED"].dt >= first["LAST-MODIFIED"].dt
    await api.ask("DELETE", f"/v1/sessions/{session}")
    cancelled = await shown()
    assert (cancelled["UID"], cancelled["SEQUENCE"], cancelled["STATUS"]) == (first["UID"], 2, "CANCELLED")


async def test_a_client_may_look_and_not_touch(node: Node, api: BackEnd) -> None:
    await api.room("look")
    session = await api.session("look", starts_ms=noon_ms(5))
    askers = (("ben", "client", "forbidden"), ("ben", "therapist", "forbidden"), ("eve", "therapist", None))
    for account, role, refusal in askers:
        async with connected(node.url, token(account, role)) as door:  # type: ignore[arg-type]  # roles both
            refused = await scheduled(door, "look", noon_ms(5))
            assert refused["name"] == (refusal or "no_such_room")
            for op, more in (("move", {"starts_ms": noon_ms(6), "length_ms": HOUR_MS}), ("cancel", {})):
                answer = await door.request(f"session.{op}", session=session["session"], **more)
                assert answer["name"] == (refusal or "no_such_session")
            day = day_of(noon_ms(5))
            listed = (await door.request("session.list", day=day, zone="UTC"))["result"]
            assert len(listed.get("sessions", ())) == (1 if refusal else 0)
            nowhere = await door.request("session.list", day=day, zone="Mars/Olympus")
            assert nowhere["name"] == "no_such_zone"


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({"starts_ms": 1}, "session_times"),
        ({"starts_ms": noon_ms(500)}, "session_times"),
        ({"length_ms": 0}, "invalid_field"),
        ({"length_ms": 7 * DAY_MS}, "invalid_field"),
        ({"length_ms": DAY_MS}, "session_times"),
        ({"invited": ["nobody"]}, "no_such_member"),
    ],
)
async def test_what_cannot_be_scheduled(node: Node, api: BackEnd, spec: dict[str, Any], refused: str) -> None:
    await api.post(
        "/v1/rooms", {"room": "never", "members": [{"account": "anna", "role": "therapist"}]}, key="n"
    )
    async with connected(node.url, token("anna", "therapist")) as door:
        answer = await scheduled(door, "never", **({"starts_ms": noon_ms(3)} | spec))
        assert answer["name"] == refused


@pytest.mark.parametrize(
    ("times", "refused"),
    [
        ({"starts_ms": 1}, "session_times"),
        ({"starts_ms": noon_ms(500)}, "session_times"),
        ({"starts_ms": -1}, "invalid_field"),
        ({"length_seconds": 0}, "invalid_field"),
        ({"length_seconds": 604_800}, "invalid_field"),
        ({"length_seconds": 86_400}, "session_times"),
    ],
)
async def test_to_where_a_session_cannot_be_moved(
    node: Node, api: BackEnd, times: dict[str, int], refused: str
) -> None:
    await api.post(
        "/v1/rooms", {"room": "stays", "members": [{"account": "anna", "role": "therapist"}]}, key="stays"
    )
    spec = {"session": "stays", "starts_ms": noon_ms(3), "length_seconds": 600, "modality": "chat"}
    before = (await api.post("/v1/rooms/stays/sessions", spec, key="stays-1")).json
    asked = {"starts_ms": noon_ms(4), "length_seconds": 600} | times
    assert (await api.ask("PATCH", "/v1/sessions/stays", asked)).refusal[1] == refused
    async with connected(node.url, token("anna", "therapist")) as door:
        answer = await door.request(
            "session.move",
            session="stays",
            starts_ms=asked["starts_ms"],
            length_ms=asked["length_seconds"] * 1000,
        )
    assert answer["name"] == refused
    assert (await api.get("/v1/sessions/stays")).json == before


async def test_what_is_moved_is_there_and_said_rightly(node: Node, api: BackEnd) -> None:
    await api.room("right")
    session = (await api.session("right", starts_ms=noon_ms(3)))["session"]
    there = f"/v1/sessions/{session}"
    for path, body, refusal in (
        ("/v1/sessions/none", {"starts_ms": noon_ms(4)}, (404, "no_such_session")),
        (there, {}, (400, "invalid_field")),
        (there, {"starts_ms": noon_ms(4), "modality": "audio"}, (400, "invalid_field")),
        (there, b"{", (400, "malformed")),
    ):
        assert (await api.ask("PATCH", path, body)).refusal == refusal
    for bearer in (token(room="other"), token(session="other"), token(scope="rooms")):
        api.bearer = bearer
        answer = await api.ask("PATCH", there, {"starts_ms": noon_ms(4)})
        assert answer.refusal == (403, "token_scope")
    api.bearer = token("anna", "therapist")
    answer = await api.ask("PATCH", there, {"starts_ms": noon_ms(4)})
    assert answer.refusal == (403, "forbidden")


async def test_a_token_for_one_room_or_session_schedules_nowhere_else(node: Node, api: BackEnd) -> None:
    for room in ("here", "there"):
        await api.room(room)
    session = (await api.session("here", starts_ms=noon_ms(70)))["session"]
    elsewhere = (await api.session("there", starts_ms=noon_ms(70)))["session"]
    times = {"starts_ms": noon_ms(71), "length_ms": HOUR_MS}
    for claims, of_room, of_session in (
        ({"room": "here"}, "token_scope", "no_such_session"),
        ({"session": session}, "token_scope", "token_scope"),
    ):
        async with connected(node.url, token("anna", "therapist", **claims)) as door:
            assert (await scheduled(door, "there", noon_ms(70)))["name"] == of_room
            for op, more in (("move", times), ("cancel", {})):
                answer = await door.request(f"session.{op}", session=elsewhere, **more)
                assert answer["name"] == of_session
            listed = (await door.request("session.list", day=day_of(noon_ms(70)), zone="UTC"))["result"]
            assert [view["session"] for view in listed["sessions"]] == [session]
            for day in ("", "2026-02-30", "9999-12-31", "tomorrow"):
                answer = await door.request("session.list", day=day, zone="UTC")
                assert answer["name"] == "invalid_field"


async def test_a_moved_session_keeps_nothing_of_its_old_time(node: Node, api: BackEnd) -> None:
    await api.room("moved")
    session = (await api.session("moved", starts_ms=now_ms() + 601_500, length_seconds=600))["session"]
    starts_ms = noon_ms(4)
    answer = await api.ask("PATCH", f"/v1/sessions/{session}", {"starts_ms": starts_ms})
    assert (answer.json["starts_ms"], answer.json["opens_ms"]) == (starts_ms, starts_ms - 600_000)
    assert answer.json["agreed_end_ms"] == starts_ms + 600_000
    dues = {
        one.kind: one.due_ms
        for one in await node.store.deadlines(due_before_ms=1 << 50, limit=1000)
        if one.session == session
    }
    assert dues == {"window_opened": starts_ms - 600_000}
    # Another one with the old time opens, and the one that was moved does not.
    other = (await api.session("moved", starts_ms=now_ms() + 601_500, length_seconds=600))["session"]
    async with asyncio.timeout(30):
        while (await api.get(f"/v1/sessions/{other}")).json["state"] != "open":  # noqa: ASYNC110 - over HTTP
            await asyncio.sleep(0.05)
    assert (await api.get(f"/v1/sessions/{session}")).json["state"] == "scheduled"
    same = await api.ask("PATCH", f"/v1/sessions/{session}", {"starts_ms": starts_ms})
    assert same.json == answer.json


async def test_two_who_move_at_once_move_one_after_the_other(api: BackEnd) -> None:
    await api.room("race")
    session = (await api.session("race", starts_ms=noon_ms(3)))["session"]
    wishes = [noon_ms(day) for day in range(4, 12)]
    answers = await asyncio.gather(
        *(api.ask("PATCH", f"/v1/sessions/{session}", {"starts_ms": wish}) for wish in wishes)
    )
    assert [answer.json["starts_ms"] for answer in answers] == wishes
    assert (await api.get(f"/v1/sessions/{session}")).json["starts_ms"] in wishes


async def test_what_has_begun_is_neither_moved_nor_cancelled(node: Node, api: BackEnd) -> None:
    await api.room("begun")
    session = (await api.session("begun"))["session"]
    async with (
        connected(node.url, token("anna", "therapist")) as anna,
        connected(node.url, token("ben", "client")) as ben,
    ):
        await anna.request("session.join", session=session)
        await ben.request("session.join", session=session)
        await anna.request("session.admit", session=session, accounts=["ben"])
        for op, more in (("move", {"starts_ms": noon_ms(6), "length_ms": HOUR_MS}), ("cancel", {})):
            answer = await anna.request(f"session.{op}", session=session, **more)
            assert answer["name"] == "session_begun"
    late = await api.ask("PATCH", f"/v1/sessions/{session}", {"starts_ms": noon_ms(6)})
    assert late.refusal == (409, "session_begun")


async def test_one_session_of_a_series_is_moved_and_stays_there(node: Node, api: BackEnd) -> None:
    await api.room("one")
    day = datetime.fromtimestamp(noon_ms(3) / 1000, UTC).strftime("%Y-%m-%dT%H:%M")
    body = {"series": "one", "starts": day, "zone": "UTC", "rule": "FREQ=DAILY;COUNT=3"}
    await api.post("/v1/rooms/one/series", body | {"length_seconds": 600, "modality": "audio"})
    name = day.replace("-", "").replace(":", "")
    path = f"/v1/series/one/occurrences/{name}"
    moved = await api.ask("PATCH", path, {"starts_ms": noon_ms(9), "length_seconds": 900})
    assert (moved.json["session"], moved.json["starts_ms"]) == (f"one.{name}", noon_ms(9))
    await node.schedule.roll()
    shown = (await api.get(path)).json
    assert (shown["starts_ms"], shown["agreed_end_ms"]) == (noon_ms(9), noon_ms(9) + 900_000)
