"""Scheduling over real HTTP: days, overlaps, series with their exceptions, calendar feeds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from icalendar import Calendar
from structlog.testing import capture_logs

from signaling.node import Node
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

BERLIN = ZoneInfo("Europe/Berlin")
TODAY = datetime.now(BERLIN).date()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("node")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(folder: Path) -> AsyncIterator[Node]:
    async with running_node(settings(folder)) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def api(node: Node) -> AsyncIterator[BackEnd]:
    async with back_end(node) as api:
        yield api


def in_days(days: int, clock: str = "09:00") -> str:
    """A local time in Berlin."""
    return f"{TODAY + timedelta(days=days)}T{clock}"


def at_ms(local: str) -> int:
    return int(datetime.fromisoformat(local).replace(tzinfo=BERLIN).timestamp() * 1000)


def name(local: str) -> str:
    return local.replace("-", "").replace(":", "")


def weekly(starts: str, **spec: Any) -> dict[str, Any]:
    plan = {"starts": starts, "zone": "Europe/Berlin", "rule": "FREQ=WEEKLY", "length_seconds": 3000}
    return plan | {"modality": "video"} | spec


def events(feed: str) -> list[Any]:
    """The events of a feed, as the library reads them."""
    return list(Calendar.from_ical(feed).walk("VEVENT"))


async def begun(api: BackEnd, room: str, **spec: Any) -> tuple[str, str]:
    """A room with a weekly series of the same name; its first local time."""
    await api.room(room, **{f"{room}-t": "therapist", f"{room}-c": "client"})
    starts = in_days(3)
    answer = await api.post(f"/v1/rooms/{room}/series", weekly(starts, series=room, **spec))
    assert answer.status == 201, answer.text
    return room, starts


async def sessions(api: BackEnd, room: str, state: str = "scheduled") -> list[str]:
    items = (await api.get(f"/v1/rooms/{room}/sessions?limit=200")).json["items"]
    return [item["session"] for item in items if item["state"] == state]


# --- Days and overlaps


async def test_a_day_of_a_zone_is_listed_for_a_room_and_for_an_account(api: BackEnd) -> None:
    for room in ("day-1", "day-2"):
        await api.room(room, **{"day-t": "therapist", f"{room}-c": "client"})
    day = in_days(5)[:10]
    starts = {"late": f"{day}T23:30", "first": f"{day}T00:00", "next": f"{in_days(6)[:10]}T00:00"}
    for session, local in starts.items():
        await api.session("day-1", session=session, starts_ms=at_ms(local))
    await api.session("day-2", session="elsewhere", starts_ms=at_ms(f"{day}T12:00"), invited=["day-t"])

    async def listed(path: str, zone: str = "Europe/Berlin") -> list[str]:
        items = (await api.get(f"{path}/sessions?day={day}&zone={zone}")).json["items"]
        return [item["session"] for item in items]

    assert await listed("/v1/rooms/day-1") == ["first", "late"]
    assert await listed("/v1/accounts/day-t") == ["first", "elsewhere", "late"]
    assert await listed("/v1/accounts/day-2-c") == []  # not invited
    assert "late" not in await listed("/v1/rooms/day-1", "Australia/Sydney")
    page = (await api.get(f"/v1/accounts/day-t/sessions?day={day}&zone=Europe/Berlin&limit=2")).json
    rest = f"/v1/accounts/day-t/sessions?day={day}&zone=Europe/Berlin&limit=2&cursor={page['next']}"
    assert [item["session"] for item in (await api.get(rest)).json["items"]] == ["late"]
    everything = (await api.get("/v1/accounts/day-t/sessions")).json["items"]
    assert [item["session"] for item in everything] == ["first", "elsewhere", "late", "next"]


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("day=2026-02-30&zone=Europe/Berlin", "invalid_field"),
        ("day=9999-12-31&zone=Europe/Berlin", "invalid_field"),
        ("day=2026-02-03", "invalid_field"),
        ("zone=Europe/Berlin", "invalid_field"),
        ("day=2026-02-03&zone=Mars/Olympus", "no_such_zone"),
        ("day=2026-02-03&zone=..%2F..%2Fetc%2Fpasswd", "no_such_zone"),
        ("day=2026-02-03&zone=Europe/Berlin&hour=3", "invalid_field"),
    ],
)
async def test_a_day_that_is_none(api: BackEnd, query: str, refused: str) -> None:
    assert (await api.get(f"/v1/accounts/anna/sessions?{query}")).refusal == (400, refused)


async def test_a_therapist_who_is_busy_is_a_warning_and_no_refusal(api: BackEnd) -> None:
    for room in ("busy-1", "busy-2", "busy-3"):
        other = "busy-t" if room != "busy-3" else "free-t"
        await api.room(room, **{other: "therapist", "busy-c": "client"})
    starts_ms = at_ms(in_days(9))
    first = await api.session("busy-1", session="busy", starts_ms=starts_ms, length_seconds=3000)
    assert "warnings" not in first
    second = await api.session("busy-2", starts_ms=starts_ms + 2_999_000)
    assert second["warnings"] == [
        {"session": "busy", "starts_ms": starts_ms, "ends_ms": starts_ms + 3_000_000}
    ]
    assert "warnings" not in await api.session("busy-2", starts_ms=starts_ms + 3_000_000 + 600_000)
    assert "warnings" not in await api.session("busy-3", starts_ms=starts_ms)
    await api.ask("DELETE", "/v1/sessions/busy")
    assert "warnings" not in await api.session("busy-1", starts_ms=starts_ms)
    series = await api.post("/v1/rooms/busy-2/series", weekly(in_days(9)))
    assert len(series.json["warnings"]) == 2


# --- Series


async def test_a_series_becomes_sessions_for_the_time_ahead(api: BackEnd) -> None:
    room, starts = await begun(api, "series-1")
    days = [3 + 7 * week for week in range(9) if 3 + 7 * week < 60]
    expected = [f"{room}.{name(in_days(day))}" for day in days]
    assert (await sessions(api, room))[: len(days) - 1] == expected[: len(days) - 1]
    first = (await api.get(f"/v1/sessions/{expected[0]}")).json
    assert (first["starts_ms"], first["modality"]) == (at_ms(starts), "video")
    # The clock on the wall stays the same, whatever happens to the clocks meanwhile.
    for day, session in zip(days, expected, strict=True):
        shown = (await api.get(f"/v1/sessions/{session}")).json
        assert shown["starts_ms"] == at_ms(in_days(day))
    shown = (await api.get("/v1/series/series-1")).json
    assert shown == weekly(starts) | {"series": "series-1", "room": room}
    assert (await api.get(f"/v1/rooms/{room}/series")).json["items"] == [shown]


async def test_the_same_series_is_planned_once(api: BackEnd, node: Node) -> None:
    await api.room("series-2")
    body = weekly(in_days(2), series="series-2", rule="FREQ=WEEKLY;COUNT=3")
    first = await api.post("/v1/rooms/series-2/series", body, key="once")
    assert await api.post("/v1/rooms/series-2/series", body, key="once") == first
    again = await api.post("/v1/rooms/series-2/series", body)
    assert again.refusal == (409, "already_exists")
    await node.schedule.roll()
    assert len(await sessions(api, "series-2")) == 3


async def test_one_session_of_a_series_is_cancelled_and_stays_so(api: BackEnd, node: Node) -> None:
    room, _ = await begun(api, "series-3")
    path = f"/v1/series/{room}/occurrences"
    near, far = name(in_days(10)), name(in_days(3 + 7 * 20))
    for occurrence in (near, far, far):
        answer = await api.ask("DELETE", f"{path}/{occurrence}")
        assert (answer.json["session"], answer.json["state"]) == (f"{room}.{occurrence}", "cancelled")
    await node.schedule.roll()
    assert await sessions(api, room, "cancelled") == [f"{room}.{near}", f"{room}.{far}"]
    assert f"{room}.{near}" not in await sessions(api, room)
    for wrong in (name(in_days(11)), "99999999T9999", "x"):
        assert (await api.ask("DELETE", f"{path}/{wrong}")).refusal == (404, "no_such_occurrence")
    years_ahead = (await api.get(f"{path}/{name(in_days(3 + 7 * 60))}")).refusal
    assert years_ahead == (400, "session_times")


async def test_this_and_following_are_cancelled(api: BackEnd) -> None:
    room, _ = await begun(api, "series-4")
    kept = [f"{room}.{name(in_days(day))}" for day in (3, 10)]
    far = name(in_days(3 + 7 * 20))
    await api.get(f"/v1/series/{room}/occurrences/{far}")
    body = {"occurrence": name(in_days(17))}
    cut = await api.post(f"/v1/series/{room}/cut", body, key="cut")
    assert (cut.status, cut.json["before"]) == (200, name(in_days(17)))
    assert await api.post(f"/v1/series/{room}/cut", body, key="cut") == cut
    assert await sessions(api, room) == kept
    assert f"{room}.{far}" in await sessions(api, room, "cancelled")
    gone = await api.get(f"/v1/series/{room}/occurrences/{name(in_days(24))}")
    assert gone.refusal == (404, "no_such_occurrence")


async def test_this_and_following_are_held_at_another_time(api: BackEnd) -> None:
    room, starts = await begun(api, "series-5", skipped=[name(in_days(24))])
    then = weekly(in_days(18, "17:30"), series="series-5b", rule="FREQ=WEEKLY;COUNT=3", length_seconds=1800)
    body = {"occurrence": name(in_days(17)), "then": then}
    split = await api.post(f"/v1/series/{room}/split", body, key="split")
    assert (split.status, split.headers["Location"]) == (201, "/v1/series/series-5b")
    assert (await api.post(f"/v1/series/{room}/split", body, key="split")).json == split.json
    assert await sessions(api, room) == [
        *(f"{room}.{name(in_days(day))}" for day in (3, 10)),
        *(f"series-5b.{name(in_days(day, '17:30'))}" for day in (18, 25, 32)),
    ]
    assert (await api.get(f"/v1/series/{room}")).json["starts"] == starts
    lost = {"occurrence": name(in_days(3)), "then": weekly(in_days(4), series="series-5b")}
    refused = await api.post(f"/v1/series/{room}/split", lost)
    assert refused.refusal == (409, "already_exists")
    assert (await api.get(f"/v1/series/{room}")).json["before"] == name(in_days(17))


async def test_two_who_change_a_series_at_once_change_it_one_after_the_other(api: BackEnd) -> None:
    room, _ = await begun(api, "series-6")
    bodies = [{"occurrence": name(in_days(day))} for day in (10, 17, 24)]
    answers = await asyncio.gather(*(api.post(f"/v1/series/{room}/cut", body) for body in bodies))
    assert {answer.status for answer in answers} <= {200, 409}
    assert all(answer.refusal[1] == "series_changed" for answer in answers if answer.status == 409)
    before = min(answer.json["before"] for answer in answers if answer.status == 200)
    assert (await api.get(f"/v1/series/{room}")).json["before"] == before
    assert all(session < f"{room}.{before}" for session in await sessions(api, room))


@pytest.mark.parametrize(
    ("spec", "refused"),
    [
        ({"starts": "2020-01-06T09:00"}, (400, "session_times")),
        ({"starts": "2026-02-30T09:00"}, (400, "invalid_field")),
        ({"starts": "tomorrow"}, (400, "invalid_field")),
        ({"zone": "Mars/Olympus"}, (400, "no_such_zone")),
        ({"rule": "FREQ=SECONDLY;COUNT=10000000000"}, (400, "recurrence_invalid")),
        ({"rule": "FREQ=MONTHLY;BYDAY=5XX"}, (400, "recurrence_invalid")),
        ({"rule": "x" * 129}, (400, "invalid_field")),
        ({"length_seconds": 0}, (400, "invalid_field")),
        ({"length_seconds": 604_800}, (400, "invalid_field")),
        ({"length_seconds": 86_400}, (400, "session_times")),
        ({"invited": ["nobody"]}, (404, "no_such_member")),
        ({"skipped": ["20200101T0900"]}, (404, "no_such_occurrence")),
        ({"series": "x" * 49}, (400, "invalid_field")),
        ({"series": ".."}, (400, "invalid_field")),
    ],
)
async def test_a_series_that_is_not_possible(
    api: BackEnd, spec: dict[str, Any], refused: tuple[int, str]
) -> None:
    await api.post("/v1/rooms", {"room": "impossible", "members": []}, key="impossible")
    answer = await api.post("/v1/rooms/impossible/series", weekly(in_days(3)) | spec)
    assert answer.refusal == refused
    assert (await api.get("/v1/rooms/impossible/series")).json["items"] == []


async def test_a_room_has_no_more_series_than_allowed(api: BackEnd) -> None:
    await api.room("many")
    body = weekly(in_days(3), rule="FREQ=WEEKLY;COUNT=10")
    for _ in range(20):
        assert (await api.post("/v1/rooms/many/series", body)).status == 201
    assert (await api.post("/v1/rooms/many/series", body)).refusal == (409, "too_many_series")


async def test_what_is_not_there_and_what_a_token_is_not_for(api: BackEnd) -> None:
    room, starts = await begun(api, "series-7")
    assert (await api.get("/v1/series/none")).refusal == (404, "no_such_series")
    assert (await api.get("/v1/rooms/none/series")).refusal == (404, "no_such_room")
    assert (await api.post("/v1/rooms/none/series", weekly(starts))).refusal == (404, "no_such_room")
    cut = {"occurrence": name(starts)}
    for bearer in (token(room="other"), token(session="other"), token(scope="rooms")):
        api.bearer = bearer
        assert (await api.post(f"/v1/series/{room}/cut", cut)).refusal == (403, "token_scope")
        assert (await api.ask("PUT", f"/v1/accounts/{room}-t/calendar")).refusal == (403, "token_scope")
    api.bearer = token("series-7-t", "therapist")
    assert (await api.ask("PUT", f"/v1/accounts/{room}-t/calendar")).refusal == (403, "forbidden")


# --- Calendar feeds


async def test_a_feed_tells_when_and_nothing_else(api: BackEnd, folder: Path) -> None:
    await api.room("Geheimraum", Therapeutin="therapist", Klient="client")
    starts_ms = int(time.time()) // 60 * 60_000 + 3 * 86_400_000
    await api.session("Geheimraum", session="Geheimsitzung", starts_ms=starts_ms, length_seconds=2700)
    given = await api.ask("PUT", "/v1/accounts/Klient/calendar")
    path = given.json["path"]
    assert len(path) == len("/v1/calendar/.ics") + 43

    api.bearer = ""
    with capture_logs() as logs:
        feed = await api.get(path)
        assert (await api.get(path.replace(".ics", "x.ics"))).refusal == (404, "not_found")
    assert feed.headers["Content-Type"].startswith("text/calendar")
    (event,) = events(feed.text)
    assert event["DTSTART"].dt == datetime.fromtimestamp(starts_ms / 1000, UTC)
    assert event["DTEND"].dt - event["DTSTART"].dt == timedelta(minutes=45)
    assert (str(event["SUMMARY"]), event["STATUS"]) == ("Session", "CONFIRMED")
    for word in ("Geheim", "Therapeutin", "Klient"):
        assert word not in feed.text

    key = path[len("/v1/calendar/") : -len(".ics")]
    metrics = (await api.get("/metrics")).text
    assert "/v1/calendar/{key}.ics" in metrics
    assert all(key not in text for text in (metrics, str(logs)))
    files = [file for file in folder.glob("rapport.db*") if file.is_file()]
    assert files
    assert all(key.encode() not in file.read_bytes() for file in files)


async def test_a_feed_is_sent_again_only_when_it_has_changed(api: BackEnd) -> None:
    await api.room("feed-2", **{"feed-2-t": "therapist"})
    session = await api.session("feed-2", starts_ms=at_ms(in_days(4)))
    path = (await api.ask("PUT", "/v1/accounts/feed-2-t/calendar")).json["path"]
    first = await api.get(path)
    same = await api.ask("GET", path, If_None_Match=first.headers["ETag"])
    assert (same.status, same.text, same.headers["ETag"]) == (304, "", first.headers["ETag"])
    await api.ask("DELETE", f"/v1/sessions/{session['session']}")
    changed = await api.ask("GET", path, If_None_Match=first.headers["ETag"])
    assert changed.status == 200
    (before,) = events(first.text)
    (after,) = events(changed.text)
    assert (after["UID"], after["STATUS"]) == (before["UID"], "CANCELLED")
    assert after["SEQUENCE"] > before["SEQUENCE"]


async def test_an_address_can_be_changed_and_closed_and_is_barred_with_its_account(api: BackEnd) -> None:
    account = "/v1/accounts/feed-3"
    paths = [(await api.ask("PUT", f"{account}/calendar")).json["path"] for _ in range(2)]
    assert len(set(paths)) == 2
    assert (await api.get(paths[0])).refusal == (404, "not_found")
    assert (await api.get(paths[1])).status == 200
    await api.post(f"{account}/revoke", {})
    assert (await api.get(paths[1])).refusal == (404, "not_found")
    await api.post(f"{account}/reinstate", {})
    assert (await api.get(paths[1])).status == 200
    for _ in range(2):
        assert (await api.ask("DELETE", f"{account}/calendar")).status == 204
    assert (await api.get(paths[1])).refusal == (404, "not_found")


@pytest.mark.parametrize("key", ["x", "A" * 43, "A" * 42 + "%2F", "%00" * 43, "../../etc/passwd", "A" * 4000])
async def test_an_address_that_was_guessed(api: BackEnd, key: str) -> None:
    assert (await api.get(f"/v1/calendar/{key}.ics")).refusal == (404, "not_found")


async def test_who_plans_and_who_gives_addresses_is_recorded(api: BackEnd, node: Node) -> None:
    room, starts = await begun(api, "recorded")
    await api.post(f"/v1/series/{room}/cut", {"occurrence": name(starts)})
    for method in ("PUT", "DELETE"):
        await api.ask(method, "/v1/accounts/recorded-t/calendar")
    found = await node.store.audit(after=0, limit=10_000)
    actions = [one.entry.action for one in found if one.entry.object_id in {"recorded", "recorded-t"}]
    expected = ["series.planned", "series.cut", "calendar.given", "calendar.taken"]
    assert [action for action in actions if action in expected] == expected
