"""Series over a real WebSocket; what is refused there is refused over HTTP for the same reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from protocol.fields import Role
from signaling.node import Node
from tests.signaling.door_client import DoorClient, door_client, new_mid
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

TODAY = datetime.now(UTC).date()
MINUTE_MS = 60_000
AHEAD_DAYS = 60


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    async with running_node(settings(tmp_path_factory.mktemp("node"))) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def api(node: Node) -> AsyncIterator[BackEnd]:
    async with back_end(node) as api:
        yield api


@asynccontextmanager
async def connected(node: Node, account: str = "anna", role: Role = "therapist") -> AsyncIterator[DoorClient]:
    """An app that has been welcomed."""
    async with door_client(node.url.replace("http", "ws", 1) + "/v1/connect") as door:
        assert (await door.hello(token(account, role)))["op"] == "welcome"
        yield door


def in_days(days: int) -> str:
    """Nine o'clock of a day to come, on whatever clock."""
    return f"{TODAY + timedelta(days=days)}T09:00"


def name(local: str) -> str:
    return local.replace("-", "").replace(":", "")


def plan(room: str, **spec: Any) -> dict[str, Any]:
    """The fields of a request for a weekly series."""
    given = {"room": room, "mid": new_mid(), "starts": in_days(3), "zone": "UTC", "rule": "FREQ=WEEKLY"}
    return given | {"length_ms": 50 * MINUTE_MS, "modality": "video"} | spec


async def scheduled(api: BackEnd, room: str, state: str = "scheduled") -> list[str]:
    """The sessions of a room that stand so."""
    items = (await api.get(f"/v1/rooms/{room}/sessions?limit=200")).json["items"]
    return [item["session"] for item in items if item["state"] == state]


async def test_a_therapist_plans_a_series_changes_single_sessions_and_ends_it(
    node: Node, api: BackEnd
) -> None:
    await api.room("plan")
    async with connected(node) as door:
        asked = plan("plan", skipped=[name(in_days(17))], zones={"client": "Asia/Kathmandu"})
        view = (await door.request("series.plan", **asked))["result"]
        series = view["series"]
        assert series == UUID(bytes=asked["mid"]).hex
        assert (view["skipped"], view["zones"]) == ([name(in_days(17))], {"client": "Asia/Kathmandu"})
        ids = [f"{series}.{name(in_days(day))}" for day in (3, 10, 24, 31)]
        assert (await scheduled(api, "plan"))[:4] == ids
        assert (await door.request("session.get", session=ids[0]))["result"]["zones"] == view["zones"]

        again = (await door.request("series.plan", **asked))["result"]
        assert again == view | {"duplicate": True}
        other = await door.request("series.plan", **asked | {"rule": "FREQ=DAILY"})
        assert other["name"] == "mid_differs"
        listed = (await door.request("series.list", room="plan"))["result"]
        assert listed["series"] == [view]
        behind = (await door.request("series.list", room="plan", after=series))["result"]
        assert "series" not in behind

        # One that is near, and one that is so far ahead that it has not been made yet.
        far = f"{series}.{name(in_days(3 + 7 * 20))}"
        for session in (ids[1], far):
            starts_ms = (await api.get(f"/v1/series/{series}/occurrences/{session[-13:]}")).json["starts_ms"]
            times = {"starts_ms": starts_ms + MINUTE_MS, "length_ms": 30 * MINUTE_MS}
            moved = (await door.request("session.move", session=session, **times))["result"]
            assert moved["view"]["starts_ms"] == starts_ms + MINUTE_MS
        farther = f"{series}.{name(in_days(3 + 7 * 21))}"
        cancelled = (await door.request("session.cancel", session=farther))["result"]
        assert (cancelled["session"], cancelled["state"]) == (farther, "cancelled")

        cut = (await door.request("series.cut", series=series, occurrence=name(in_days(24))))["result"]
        assert cut["before"] == name(in_days(24))
        assert await scheduled(api, "plan") == ids[:2]
        told = await door.expect(
            lambda frame: (
                frame["op"] == "event"
                and frame["body"].get("session") == ids[2]
                and frame["body"].get("change") == "cancelled"
            )
        )
        assert told["body"]["account"] == "anna"
        gone = await door.request("session.cancel", session=f"{series}.{name(in_days(3 + 7 * 30))}")
        assert gone["name"] == "no_such_occurrence"


async def test_a_session_that_has_begun_is_left_alone_when_its_series_is_cut(
    node: Node, api: BackEnd
) -> None:
    await api.room("begun")
    starts = (datetime.now(UTC) + timedelta(minutes=3)).strftime("%Y-%m-%dT%H:%M")
    async with connected(node) as anna, connected(node, "ben", "client") as ben:
        asked = plan("begun", starts=starts, rule="FREQ=DAILY;COUNT=3")
        series = (await anna.request("series.plan", **asked))["result"]["series"]
        session = f"{series}.{name(starts)}"
        for door in (anna, ben):
            assert (await door.request("session.join", session=session))["op"] == "ok"
        assert (await api.get(f"/v1/sessions/{session}")).json["state"] == "live"
        await anna.request("series.cut", series=series, occurrence=name(starts))
        assert (await api.get(f"/v1/sessions/{session}")).json["state"] == "live"
    assert await scheduled(api, "begun") == []
    assert len(await scheduled(api, "begun", "cancelled")) == 2


async def test_a_series_warns_of_the_therapists_own_sessions_and_tells_nobody_elses(
    node: Node, api: BackEnd
) -> None:
    await api.room("pair", paula="therapist", otto="therapist", ben="client")
    await api.room("others", otto="therapist", cleo="client")
    starts = datetime.fromisoformat(f"{in_days(3)}+00:00")
    starts_ms = int(starts.timestamp() * 1000)
    mine = await api.session("pair", session="mine", starts_ms=starts_ms, invited=["paula", "ben"])
    await api.session("others", session="ottos", starts_ms=starts_ms)
    async with connected(node, "paula") as door:
        view = (await door.request("series.plan", **plan("pair")))["result"]
    assert [one["session"] for one in view["warnings"]] == [mine["session"]]


async def test_only_therapists_of_the_room_plan(node: Node, api: BackEnd) -> None:
    await api.room("rights")
    async with connected(node) as door:
        series = (await door.request("series.plan", **plan("rights")))["result"]["series"]
    far = f"{series}.{name(in_days(3 + 7 * 20))}"
    cut = {"series": series, "occurrence": name(in_days(10))}
    strangers: list[tuple[str, Role, str, str]] = [
        ("ben", "client", "forbidden", "forbidden"),
        ("ben", "therapist", "forbidden", "forbidden"),
        ("anna", "client", "forbidden", "forbidden"),
        ("eve", "therapist", "no_such_room", "no_such_series"),
    ]
    for account, role, of_room, of_series in strangers:
        async with connected(node, account, role) as door:
            assert (await door.request("series.plan", **plan("rights")))["name"] == of_room
            assert (await door.request("series.list", room="rights"))["name"] == of_room
            assert (await door.request("series.cut", **cut))["name"] == of_series
            assert (await door.request("session.cancel", session=far))["name"] == of_series
    assert far not in await scheduled(api, "rights")
    assert not await scheduled(api, "rights", "cancelled")


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"starts": "2020-01-06T09:00"}, "session_times"),
    ({"starts": in_days(800)}, "session_times"),
    ({"starts": "2026-02-30T09:00"}, "invalid_field"),
    ({"starts": "tomorrow"}, "invalid_field"),
    ({"zone": "Mars/Olympus"}, "no_such_zone"),
    ({"zone": "../../etc/passwd"}, "no_such_zone"),
    ({"zones": {"client": "Mars/Olympus"}}, "no_such_zone"),
    ({"rule": "FREQ=SECONDLY;COUNT=1000000000"}, "recurrence_invalid"),
    ({"rule": "FREQ=DAILY;COUNT=1000000000"}, "recurrence_invalid"),
    ({"rule": "FREQ=WEEKLY;INTERVAL=0"}, "recurrence_invalid"),
    ({"rule": "FREQ=WEEKLY;BYSETPOS=1;BYHOUR=1,2,3"}, "recurrence_invalid"),
    ({"rule": "FREQ=WEEKLY;COUNT=3;UNTIL=20991231T000000Z"}, "recurrence_invalid"),
    ({"rule": "FREQ=DAILY;UNTIL=20200101T000000Z"}, "recurrence_invalid"),
    ({"rule": "FREQ=MONTHLY;BYDAY=5XX"}, "recurrence_invalid"),
    ({"rule": "x" * 129}, "invalid_field"),
    ({"invited": ["nobody"]}, "no_such_member"),
    ({"skipped": ["20200101T0900"]}, "no_such_occurrence"),
    ({"skipped": [name(in_days(4))]}, "no_such_occurrence"),
    ({"skipped": [name(in_days(3))]}, "recurrence_invalid"),
]
LENGTHS = [(0, "invalid_field"), (604_800, "invalid_field"), (86_400, "session_times")]


@pytest.mark.parametrize(
    ("spec", "refused"),
    [*IMPOSSIBLE, *[({"length_ms": seconds * 1000}, refused) for seconds, refused in LENGTHS]],
)
async def test_what_cannot_be_planned_over_the_websocket(
    node: Node, api: BackEnd, spec: dict[str, Any], refused: str
) -> None:
    await api.post(
        "/v1/rooms", {"room": "never", "members": [{"account": "anna", "role": "therapist"}]}, key="never"
    )
    async with connected(node) as door:
        answer = await door.request("series.plan", **plan("never", **spec))
        assert (answer["op"], answer["name"]) == ("error", refused)
        assert answer["hint"]
        assert "series" not in (await door.request("series.list", room="never"))["result"]


@pytest.mark.parametrize(
    ("spec", "refused"),
    [*IMPOSSIBLE, *[({"length_seconds": seconds}, refused) for seconds, refused in LENGTHS]],
)
async def test_what_cannot_be_planned_over_http(api: BackEnd, spec: dict[str, Any], refused: str) -> None:
    await api.post("/v1/rooms", {"room": "never-2", "members": []}, key="never-2")
    body = {"starts": in_days(3), "zone": "UTC", "rule": "FREQ=WEEKLY", "modality": "video"}
    answer = await api.post("/v1/rooms/never-2/series", body | {"length_seconds": 3000} | spec)
    assert answer.refusal[1] == refused
    assert (await api.get("/v1/rooms/never-2/series")).json["items"] == []


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({"starts_ms": 1}, "session_times"),
        ({"length_seconds": 0}, "invalid_field"),
        ({"length_seconds": 604_800}, "invalid_field"),
        ({"length_seconds": 86_400}, "session_times"),
        ({"zones": {"therapist": "Mars/Olympus"}}, "no_such_zone"),
        ({"zones": {"observer": "UTC"}}, "invalid_field"),
    ],
)
async def test_what_cannot_be_scheduled_over_http(api: BackEnd, spec: dict[str, Any], refused: str) -> None:
    await api.post("/v1/rooms", {"room": "never-2", "members": []}, key="never-2")
    answer = await api.post("/v1/rooms/never-2/sessions", {"length_seconds": 3000, "modality": "chat"} | spec)
    assert answer.refusal[1] == refused


async def test_a_series_without_an_end_becomes_no_more_sessions_than_are_near(
    node: Node, api: BackEnd
) -> None:
    await api.room("endless")
    async with connected(node) as door:
        asked = plan("endless", rule="FREQ=DAILY", length_ms=MINUTE_MS)
        assert (await door.request("series.plan", **asked))["op"] == "ok"
    await node.schedule.roll()
    assert 0 < len(await scheduled(api, "endless")) <= AHEAD_DAYS


async def test_two_therapists_who_act_at_once(node: Node, api: BackEnd) -> None:
    """Of two who move the same session both are obeyed in turn; who cancels it ends the matter."""
    await api.room("both", anna="therapist", otto="therapist", ben="client")
    async with connected(node) as anna, connected(node, "otto") as otto:
        view = (await anna.request("series.plan", **plan("both", rule="FREQ=WEEKLY;COUNT=1")))["result"]
        session = f"{view['series']}.{name(in_days(3))}"
        starts_ms = (await api.get(f"/v1/sessions/{session}")).json["starts_ms"]
        wishes = [starts_ms + MINUTE_MS, starts_ms + 2 * MINUTE_MS]
        answers = await asyncio.gather(
            *[
                door.request("session.move", session=session, starts_ms=wish, length_ms=50 * MINUTE_MS)
                for door, wish in zip((anna, otto), wishes, strict=True)
            ]
        )
        assert [answer["op"] for answer in answers] == ["ok", "ok"]
        shown = (await api.get(f"/v1/sessions/{session}")).json
        assert shown["starts_ms"] in wishes
        dues = [
            one.due_ms
            for one in await node.store.deadlines(due_before_ms=1 << 50, limit=1000)
            if one.session == session
        ]
        assert dues == [shown["opens_ms"]]

        times = {"starts_ms": starts_ms + 3 * MINUTE_MS, "length_ms": 50 * MINUTE_MS}
        cancelled, moved = await asyncio.gather(
            anna.request("session.cancel", session=session),
            otto.request("session.move", session=session, **times),
        )
        assert cancelled["result"]["state"] == "cancelled"
        assert moved["op"] == "ok" or moved["name"] == "session_over"
    assert (await api.get(f"/v1/sessions/{session}")).json["state"] == "cancelled"
