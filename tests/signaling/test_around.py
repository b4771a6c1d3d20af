"""Around sessions over the WebSocket and HTTP: inbox and its signals, urgent messages, hours, preferences."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from config.settings import ReplySettings
from signaling.inbox.entries import page
from tests.signaling.door_client import DoorClient, Frame, door_client
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token

WORDS = ReplySettings("We are away.", "Call 142.")
AWAY = {"zone": "UTC", "office": []}
People: TypeAlias = tuple[DoorClient, DoorClient, BackEnd]


@pytest.fixture
async def people(tmp_path: Path) -> AsyncIterator[People]:
    """A therapist and a client who share the rooms ``a`` and ``b``, connected, and their back end."""
    async with running_node(settings(tmp_path, replies=WORDS)) as node, back_end(node) as api:
        for room in ("a", "b"):
            await api.room(room)
        url = f"{node.url.replace('http', 'ws', 1)}/v1/connect"
        async with door_client(url) as anna, door_client(url) as ben:
            await anna.hello(token("anna", "therapist"))
            await ben.hello(token("ben", "client"))
            yield anna, ben, api


async def rooms(client: DoorClient) -> dict[str, Frame]:
    answer = await client.request("inbox.get")
    return {entry["room"]: entry for entry in answer["result"]["rooms"]}


async def changed(client: DoorClient, room: str, **fields: Any) -> Frame:
    """The next ``inbox`` signal of a room that says this."""

    def says(frame: Frame) -> bool:
        body = frame.get("body", {})
        if frame["op"] != "signal" or body["kind"] != "inbox" or frame["room"] != room:
            return False
        return all(body["entry"].get(name) == value for name, value in fields.items())

    entry: Frame = (await client.expect(says))["body"]["entry"]
    return entry


def signalled(kind: str) -> Any:
    return lambda frame: frame["op"] == "signal" and frame["body"]["kind"] == kind


async def test_an_inbox_tells_what_waits_and_orders_by_it(people: People) -> None:
    anna, ben, api = people
    session = await api.session("a", invited=["anna", "ben"])
    assert list(await rooms(anna)) == ["a", "b"]
    sent = (await ben.message("b", b"x"))["result"]
    shown = await rooms(anna)
    assert list(shown) == ["b", "a"]
    assert shown["b"]["unanswered"] == {"offset": sent["offset"], "at_ms": sent["at_ms"]}
    assert (shown["b"]["unread"], shown["b"]["online"], shown["b"]["role"]) == (1, ["ben"], "therapist")
    assert shown["a"]["session"]["session"] == session["session"]
    urgent = (await ben.message("a", b"y", urgent=True))["result"]
    shown = await rooms(anna)
    assert list(shown) == ["a", "b"]
    assert shown["a"]["urgent"] == [{"offset": urgent["offset"], "at_ms": urgent["at_ms"], "sender": "ben"}]


async def test_pages_of_an_inbox(people: People) -> None:
    anna, _, _ = people
    first = (await anna.request("inbox.get", limit=1))["result"]
    assert ([one["room"] for one in first["rooms"]], first["more"]) == (["a"], True)
    second = (await anna.request("inbox.get", limit=1, after="a"))["result"]
    assert ([one["room"] for one in second["rooms"]], "more" in second) == (["b"], False)
    assert page([], "a", 5) == ([], False)
    assert (await anna.request("inbox.get", limit=513))["name"] == "invalid_field"


async def test_an_inbox_is_kept_current(people: People) -> None:
    anna, ben, api = people
    await rooms(anna)
    sent = (await ben.message("a", b"x"))["result"]
    entry = await changed(anna, "a", unread=1)
    assert entry["unanswered"]["offset"] == sent["offset"]
    await anna.request("room.read", room="a", offset=sent["offset"])
    assert (await changed(anna, "a", read=sent["offset"])).get("unread", 0) == 0
    await anna.message("a", b"answer")
    assert "unanswered" not in await changed(anna, "a", head=sent["offset"] + 1)
    await api.session("b")
    assert "session" in await changed(anna, "b")
    await api.room("c")
    assert (await changed(anna, "c"))["role"] == "therapist"


async def test_who_has_not_asked_is_not_told(people: People) -> None:
    anna, ben, _ = people
    await rooms(anna)
    await ben.message("a", b"x")
    await changed(anna, "a", unread=1)
    await ben.request("time.get")
    assert not [frame for frame in ben.seen if signalled("inbox")(frame)]


async def test_an_urgent_message_stands_out_until_a_therapist_acknowledges_it(
    people: People,
) -> None:
    anna, ben, _ = people
    offset = (await ben.message("a", b"x", urgent=True))["result"]["offset"]
    place = {"room": "a", "offset": offset}
    assert (await ben.request("urgent.acknowledge", **place))["name"] == "forbidden"
    refused = await anna.request("urgent.acknowledge", room="a", offset=1)
    assert refused["name"] == "not_urgent"
    assert (await anna.request("urgent.acknowledge", room="x", offset=1))["name"] == "no_such_room"
    for _ in range(2):
        assert (await anna.request("urgent.acknowledge", **place))["op"] == "ok"
    history = (await ben.request("room.history", room="a"))["result"]["events"]
    noted = [event["body"] for event in history if event["body"]["kind"] == "acknowledged"]
    assert noted == [{"kind": "acknowledged", "offset": offset, "account": "anna"}]
    assert "urgent" not in (await rooms(anna))["a"]
    assert [event["body"].get("urgent") for event in history if event["offset"] == offset] == [True]


async def test_an_urgent_session_raises_its_room_until_the_mark_is_cleared(people: People) -> None:
    anna, ben, api = people
    first = await api.session("b", session="first")
    await api.session("b", session="held", starts_ms=first["starts_ms"] + 60_000)
    await ben.message("a", b"x")
    assert list(await rooms(anna)) == ["a", "b"]
    for person in (anna, ben):
        await person.request("session.join", session="held")
    assert (await ben.request("session.urgent", session="held", active=True))["op"] == "ok"
    held = await anna.expect(lambda f: f.get("body", {}).get("entry", {}).get("session", {}).get("urgent"))
    assert held["body"]["entry"]["session"]["session"] == "held", "it goes before one that begins earlier"
    shown = await rooms(anna)
    assert list(shown) == ["b", "a"]
    assert shown["b"]["session"] == held["body"]["entry"]["session"]
    await anna.request("session.urgent", session="held", active=False)
    assert list(await rooms(anna)) == ["a", "b"]
    assert (await rooms(anna))["b"]["session"]["session"] == "first"


async def test_what_a_therapist_marks_as_urgent_needs_nobody(
    people: People,
) -> None:
    anna, _, _ = people
    await anna.message("a", b"x", urgent=True)
    assert "urgent" not in (await rooms(anna))["a"]


async def test_therapists_are_not_seen_typing_or_reading_unless_they_choose_so(
    people: People,
) -> None:
    anna, ben, _ = people
    offset = (await ben.message("a", b"x"))["result"]["offset"]
    assert (await anna.request("preferences.get"))["result"] == {
        "of": "preferences",
        "typing": False,
        "receipts": False,
        "delivered": False,
    }
    typing = {"room": "a", "body": {"kind": "typing", "active": True}}
    await anna.request("signal.send", **typing)
    await anna.request("room.read", room="a", offset=offset)
    assert (await anna.expect(signalled("read")))["body"]["offset"] == offset
    await anna.request("preferences.set", typing=True, receipts=True)
    await anna.request("signal.send", **typing)
    await anna.request("room.read", room="a", offset=offset)
    await ben.expect(signalled("typing"))
    await ben.expect(signalled("read"))
    await ben.request("time.get")
    assert not [frame for frame in ben.seen if signalled("typing")(frame) or signalled("read")(frame)]


async def test_clients_are_seen_until_they_choose_otherwise(
    people: People,
) -> None:
    anna, ben, _ = people
    typing = {"room": "a", "body": {"kind": "typing", "active": True}}
    await ben.request("signal.send", **typing)
    await anna.expect(signalled("typing"))
    await ben.request("room.read", room="a", offset=1)
    await anna.expect(signalled("read"))
    await ben.request("preferences.set", typing=False, receipts=False)
    await ben.request("signal.send", **typing)
    await ben.request("room.read", room="a", offset=2)
    await anna.request("time.get")
    assert not [frame for frame in anna.seen if signalled("typing")(frame) or signalled("read")(frame)]
    assert (await rooms(ben))["a"]["read"] == 2


async def test_hours_are_kept_and_answered_for(people: People) -> None:
    anna, ben, _ = people
    assert (await anna.request("hours.get"))["result"] == {"of": "hours"}
    kept = (await anna.request("hours.set", hours=AWAY))["result"]
    assert (kept["hours"], kept["away"]) == (AWAY, True)
    assert (await anna.request("hours.get"))["result"] == kept
    assert (await ben.request("hours.set", hours=AWAY))["name"] == "forbidden"
    assert (await anna.request("hours.set", hours=AWAY | {"zone": "Europe/Atlantis"}))[
        "name"
    ] == "hours_invalid"
    for number in range(5):
        await ben.message("a", b"%d" % number, urgent=number == 2)
    reply = await ben.expect(lambda f: f["op"] == "event" and f["body"]["kind"] == "auto_reply")
    assert reply["body"] == {"kind": "auto_reply", "text": "We are away.", "emergency": "Call 142."}
    assert "sender" not in reply


async def test_quiet_hours_stand_in_the_inbox(people: People) -> None:
    anna, _, _ = people
    always = [{"day": day, "starts": 0, "ends": 1440} for day in range(7)]
    await anna.request("hours.set", hours={"zone": "Asia/Tokyo", "quiet": always})
    assert (await anna.request("inbox.get"))["result"]["quiet_until_ms"] > 0


async def test_back_ends_keep_hours_and_words(people: People) -> None:
    _, ben, api = people
    assert (await api.get("/v1/accounts/anna/hours")).json == {}
    kept = await api.post("/v1/accounts/anna/hours", {"hours": AWAY})
    assert (kept.status, kept.json["away"]) == (200, True)
    assert (await api.get("/v1/accounts/anna/hours")).json["hours"] == AWAY
    refused = await api.post("/v1/accounts/anna/hours", {"hours": AWAY | {"zone": "Nowhere"}})
    assert refused.refusal == (400, "hours_invalid")
    assert (await api.get("/v1/rooms/a/reply")).json == {"text": "We are away.", "emergency": "Call 142."}
    own = {"text": "On leave.", "emergency": "Call 112."}
    assert (await api.post("/v1/rooms/a/reply", own)).json == own
    assert (await api.get("/v1/rooms/a/reply")).json == own
    assert (await api.post("/v1/rooms/x/reply", own)).refusal == (404, "no_such_room")
    assert (await api.post("/v1/rooms/a/reply", {"text": "x" * 2001})).refusal == (400, "invalid_field")
    await ben.message("a", b"x")
    reply = await ben.expect(lambda f: f["op"] == "event" and f["body"]["kind"] == "auto_reply")
    assert reply["body"]["text"] == "On leave."
