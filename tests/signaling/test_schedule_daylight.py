"""Sessions, series, day lists and feeds through the next changes of the clocks, north and south.

What is expected is worked out here from the time zone database, for the changes that come next: nothing of
the server's own arithmetic is used.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from icalendar import Calendar

from config.settings import ScheduleSettings
from signaling.node import Node
from tests.signaling.door_client import door_client
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Sydney", "America/Santiago"]
FORWARD, BACK = timedelta(hours=23), timedelta(hours=25)
"""How long a day is on which the clocks go forward or back."""
TODAY = datetime.now(UTC).date()
HALF = timedelta(minutes=30)
WHOLE = ScheduleSettings(series_ahead_days=400, calendar_ahead_days=400)


class Turn(NamedTuple):
    """A change of the clocks."""

    day: date
    """The day that is shorter or longer."""
    at: datetime
    """The instant, in UTC."""


def begin(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def next_turn(zone: ZoneInfo, length: timedelta) -> Turn:
    """The next change of this kind that is more than a week away."""
    days = [TODAY + timedelta(days=number) for number in range(10, 385)]
    day = next(day for day in days if begin(day + timedelta(days=1), zone) - begin(day, zone) == length)
    # It may be at the very first moment of the day, so the minute before counts as well.
    moments = [begin(day, zone) + timedelta(minutes=minute) for minute in range(-1, 1500)]
    at = next(
        after
        for before, after in pairwise(moments)
        if before.astimezone(zone).utcoffset() != after.astimezone(zone).utcoffset()
    )
    return Turn(day, at)


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    async with running_node(settings(tmp_path_factory.mktemp("node"), schedule=WHOLE)) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def api(node: Node) -> AsyncIterator[BackEnd]:
    async with back_end(node) as api:
        yield api


async def room(api: BackEnd) -> str:
    """A room of its own, whose name is also that of its therapist."""
    name = uuid.uuid4().hex
    return await api.room(name, **{name: "therapist", f"{name}-c": "client"})


async def planned(api: BackEnd, name: str, zone: str, first: datetime, rule: str) -> list[int]:
    """The starts of the sessions of a series that begins at a local time."""
    plan = {"starts": f"{first:%Y-%m-%dT%H:%M}", "zone": zone, "rule": rule, "length_seconds": 3000}
    answer = await api.post(f"/v1/rooms/{name}/series", plan | {"modality": "audio"})
    assert answer.status == 201, answer.text
    items = (await api.get(f"/v1/rooms/{name}/sessions?limit=200")).json["items"]
    return [item["starts_ms"] for item in items]


async def feed(api: BackEnd, account: str) -> list[Any]:
    """The events of an account's feed, as the library reads them."""
    path = (await api.ask("PUT", f"/v1/accounts/{account}/calendar")).json["path"]
    return list(Calendar.from_ical((await api.get(path)).text).walk("VEVENT"))


@pytest.mark.parametrize("length", [FORWARD, BACK])
@pytest.mark.parametrize("zone", ZONES)
async def test_nine_oclock_stays_nine_oclock(api: BackEnd, zone: str, length: timedelta) -> None:
    name, known = await room(api), ZoneInfo(zone)
    day = next_turn(known, length).day - timedelta(days=3)
    first = datetime.combine(day, time(9))
    starts = await planned(api, name, zone, first, "FREQ=WEEKLY;COUNT=3")
    week = timedelta(days=7)
    assert starts[0] == ms(first.replace(tzinfo=known))
    spans = [timedelta(milliseconds=after - before) for before, after in pairwise(starts)]
    assert spans == [week + length - timedelta(days=1), week]
    shown = [event.decoded("DTSTART") for event in await feed(api, name)]
    assert [ms(at) for at in shown] == starts
    local = [at.astimezone(known) for at in shown]
    assert [(at.date(), at.time()) for at in local] == [(day + n * week, time(9)) for n in range(3)]


@pytest.mark.parametrize("length", [FORWARD, BACK])
@pytest.mark.parametrize("zone", ZONES)
async def test_a_time_that_does_not_happen_or_happens_twice(
    api: BackEnd, zone: str, length: timedelta
) -> None:
    name, known = await room(api), ZoneInfo(zone)
    at = next_turn(known, length).at
    if length == FORWARD:  # half an hour into the gap: the clocks still go by the offset from before it
        old = (at - HALF).astimezone(known).utcoffset()
        assert old is not None
        local, expected = (at + HALF).replace(tzinfo=None) + old, at + HALF
    else:  # half an hour before the clocks are set back, and half an hour after it: the first of the two
        local, expected = (at - HALF).astimezone(known).replace(tzinfo=None), at - HALF
    starts = await planned(api, name, zone, local - timedelta(days=1), "FREQ=DAILY;COUNT=3")
    assert starts[1] == ms(expected)
    others = [ms((local + timedelta(days=days)).replace(tzinfo=known)) for days in (-1, 1)]
    assert [starts[0], starts[2]] == others


@pytest.mark.parametrize("length", [FORWARD, BACK])
@pytest.mark.parametrize("zone", ZONES)
async def test_a_day_has_its_sessions_from_its_first_to_its_last_minute(
    node: Node, api: BackEnd, zone: str, length: timedelta
) -> None:
    name, known = await room(api), ZoneInfo(zone)
    day = next_turn(known, length).day
    first, following = begin(day, known), begin(day + timedelta(days=1), known)
    minute = timedelta(minutes=1)
    starts = [ms(at) for at in (first - minute, first, following - minute, following)]
    for starts_ms in starts:
        await api.session(name, starts_ms=starts_ms, length_seconds=900)
    for path in (f"/v1/rooms/{name}", f"/v1/accounts/{name}"):
        items = (await api.get(f"{path}/sessions?day={day}&zone={zone}")).json["items"]
        assert [item["starts_ms"] for item in items] == starts[1:3]
    async with door_client(node.url.replace("http", "ws", 1) + "/v1/connect") as door:
        await door.hello(token(name, "therapist"))
        listed = (await door.request("session.list", day=str(day), zone=zone))["result"]
    assert [view["starts_ms"] for view in listed["sessions"]] == starts[1:3]
    assert timedelta(milliseconds=listed["ends_ms"] - listed["starts_ms"]) == length
    assert [ms(event.decoded("DTSTART")) for event in await feed(api, name)] == starts


async def test_both_sides_see_one_instant_while_only_one_of_them_changes_its_clocks(api: BackEnd) -> None:
    """Between the changes of two zones the same wall clock of one is another one of the other."""
    name, berlin, sydney = await room(api), ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Sydney")
    day = next_turn(berlin, FORWARD).day - timedelta(days=1)
    starts = await planned(api, name, "Europe/Berlin", datetime.combine(day, time(9)), "FREQ=DAILY;COUNT=2")
    shown = [event.decoded("DTSTART") for event in await feed(api, f"{name}-c")]
    assert [ms(at) for at in shown] == starts
    assert [at.astimezone(berlin).hour for at in shown] == [9, 9]
    hours = [at.astimezone(sydney).hour for at in shown]
    assert hours[1] == hours[0] - 1
