"""Everything that the server can do is done with canaries in it, on a server in a process of its own.

Names and contents may be in the store, which is not looked at, and reach those they are for. They are in no
log line, metric, audit entry, delivery to a webhook or error. Ids are in audit entries and deliveries, and in
no log line and no metric.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

import pytest
import pytest_asyncio
from aiortc import RTCPeerConnection
from websockets.exceptions import ConnectionClosed

from config.webhooks import TYPES
from protocol.frames import AnyRequest
from signaling.http.api import ENDPOINTS
from signaling.http.blobs_api import BLOBS
from tests.canaries.planting import (
    METRICS_TOKEN,
    Canaries,
    Person,
    World,
    bearer,
    names_in,
    planted,
    raw,
    seal,
)
from tests.faults.processes import ROOT, kill
from tests.signaling.blob_kit import member
from tests.signaling.door_client import JSON, door_client
from tests.signaling.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOM, SESSION, ANNA, BEN, INES = "ident-room", "ident-session", "ident-anna", "ident-ben", "ident-ines"
AWAY = {"zone": "UTC", "office": []}
DAY_MS = 86_400_000


class Traces:
    """What a server leaves behind, by where."""

    def __init__(self, word: Canaries) -> None:
        self.word = word
        self.logs = b""
        self.metrics = b""
        self.audit = b""
        self.deliveries = b""
        self.errors: list[bytes] = []
        self.store = b""
        self.asked: set[str] = set()
        self.told: set[str] = set()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traces(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traces]:
    """Those of a server on which everything was done."""
    folder = tmp_path_factory.mktemp("canaries")
    async with planted(folder, Canaries()) as world:
        left = Traces(world.word)
        await prepare(world)
        anna, ben = await world.person(ANNA, "therapist"), await world.person(BEN, "client")
        await hold(world, anna, ben)
        await around(world, anna, ben)
        await plan(anna)
        await seal(world)
        await attach(world)
        await administer(world, left)
        await provoke(world, anna)
        await told(world)
        left.metrics = await metrics(world)
        pages = await audit_pages(world)
    files = [path.read_bytes() for path in folder.glob("rapport.db-checkpoints*")]
    left.audit = b"\n".join([*pages, *files, *await audit_command(folder)])
    left.logs = world.server.said
    left.errors, left.asked = world.errors, world.asked
    left.deliveries = b"\n".join(got.body + repr(got.headers).encode() for got in world.there.received)
    left.told = {got.json["type"] for got in world.there.received}
    left.store = b"".join(path.read_bytes() for path in folder.glob("rapport.db*") if path.is_file())
    yield left


async def prepare(world: World) -> None:
    """A room whose therapist is away, with words of its own, and a session that asks for a consent."""
    word = world.word
    people = [{"account": ANNA, "role": "therapist"}, {"account": BEN, "role": "client"}]
    await world.call("createRoom", {"room": ROOM, "members": people})
    policy = {"consents": [{"kind": "terms", "version": "2"}]}
    await world.call("changeRoom", {"policy": policy}, room=ROOM)
    await world.call("setHours", {"hours": AWAY}, account=ANNA)
    await world.call("setReply", {"text": word("reply"), "emergency": word("emergency")}, room=ROOM)
    attendees = [{"account": INES, "role": "interpreter"}]
    spec = {"session": SESSION, "length_seconds": 1200, "modality": "video", "attendees": attendees}
    await world.call("createSession", spec, room=ROOM)


async def hold(world: World, anna: Person, ben: Person) -> None:
    """The session, with every command there is, and what people say in it."""
    word, here = world.word, {"session": SESSION}
    await ben.ok("session.late", minutes=5, **here)
    await anna.ok("session.join", **here)
    assert (await ben.no("session.join", **here))["name"] == "consent_required"
    for given in (True, False, True):
        await ben.ok("session.consent", kind="terms", version="2", given=given, **here)
    await ben.ok("session.join", **here)
    await anna.ok("session.deny", account=BEN, **here)
    await ben.ok("session.join", **here)
    await anna.ok("session.admit", accounts=[BEN], **here)
    await anna.ok("session.send_back", account=BEN, **here)
    await anna.ok("session.admit", accounts=[BEN], **here)
    for who in (anna, ben):
        await who.ok("session.get", **here)
        await who.say(word("chat"), **here)
        await who.ok("signal.send", room=ROOM, body={"kind": "opaque", "data": word("signal").encode()})
        await who.ok("signal.send", room=ROOM, body={"kind": "typing", "active": True})
    await offer(world, anna)
    for answer in ("session.decline", "session.accept"):
        await ben.ok("session.propose", modality="audio", **here)
        await anna.ok(answer, modality="audio", **here)
    await anna.ok("session.modality", modality="video", **here)
    await ben.ok("session.urgent", active=True, **here)
    await anna.ok("session.urgent", active=False, **here)
    await anna.ok("session.extend", minutes=5, mid=anna.mid(), **here)
    await ben.ok("session.leave", **here)
    await anna.ok("session.end", **here)
    await ben.no("session.rate", score=1, comment=word("comment"), technical=word("technical"), **here)
    await ben.ok("session.rate", score=1, comment=word("comment"), **here)
    await anna.ok("session.rate", score=4, technical=True, **here)


async def offer(world: World, anna: Person) -> None:
    """Descriptions of media, good and bad ones."""
    peer = RTCPeerConnection()
    peer.addTransceiver("audio")
    sdp = (await peer.createOffer()).sdp
    await peer.close()
    named = sdp.replace("s=-", f"s={world.word('title')}", 1)
    named = re.sub("(cname|msid):[^ \r]+", lambda found: f"{found[1]}:{world.word('track')}", named)
    await anna.ok("media.offer", session=SESSION, sdp=named)
    for relay in (await anna.ok("media.relays", session=SESSION))["relays"]:
        world.word.add(relay["credential"])
    await anna.ok("media.leave", session=SESSION)
    for bad in (
        world.word("sdp"),
        sdp.replace("m=audio", f"m={world.word('media')}"),
        sdp[:60] + world.word("cut"),
    ):
        await anna.no("media.offer", session=SESSION, sdp=bad)
    (worker,) = world.server.workers()
    kill(worker)


async def around(world: World, anna: Person, ben: Person) -> None:
    """Between sessions: letters, urgent ones, an automatic reply, the inbox, hours and preferences."""
    await anna.ok("inbox.get")
    await ben.say(world.word("letter"))
    await ben.event("auto_reply")
    urgent = await ben.say(world.word("urgent"), urgent=True)
    await anna.ok("urgent.acknowledge", room=ROOM, offset=urgent)
    await anna.ok("room.read", room=ROOM, offset=urgent)
    await anna.ok("room.get", room=ROOM)
    await anna.ok("room.history", room=ROOM)
    await anna.ok("hours.get")
    await anna.ok("hours.set", hours=AWAY)
    await anna.ok("preferences.get")
    await anna.ok("preferences.set", typing=True, receipts=True, delivered=True)
    await anna.ok("room.receipts", room=ROOM)
    await anna.ok("push.get")
    await anna.no("push.set", endpoint=f"https://nowhere.example/{world.word('endpoint')}")
    await anna.ok("push.set", endpoint=f"https://push.services.mozilla.com/{world.word('endpoint')}")
    await anna.ok("push.clear")
    await ben.ok("push.set")
    await anna.say(world.word("rung"))
    await anna.ok("notes.open", room=ROOM)
    await anna.ok("time.get")
    await anna.ok("token.refresh", token=bearer(ANNA, "therapist", name=world.word("claim")))


async def plan(anna: Person) -> None:
    """Sessions that a therapist schedules."""
    soon_ms = int(time.time() * 1000) + DAY_MS
    plan = {"room": ROOM, "length_ms": 3_000_000, "modality": "video", "mid": anna.mid()}
    scheduled = await anna.ok("session.schedule", starts_ms=soon_ms, **plan)
    session = scheduled["view"]["session"]
    await anna.ok("session.move", session=session, starts_ms=soon_ms + DAY_MS, length_ms=3_000_000)
    await anna.ok("session.cancel", session=session)
    await anna.ok("session.list", day=time.strftime("%Y-%m-%d"), zone="Europe/Berlin")
    starts = time.strftime("%Y-%m-%dT15:00", time.gmtime(time.time() + 9 * 86_400))
    series = {
        "room": ROOM,
        "mid": anna.mid(),
        "starts": starts,
        "zone": "Europe/Berlin",
        "rule": "FREQ=WEEKLY",
    }
    planned = await anna.ok("series.plan", length_ms=3_000_000, modality="audio", **series)
    await anna.ok("series.list", room=ROOM)
    first = starts.replace("-", "").replace(":", "")
    await anna.ok("series.cut", series=planned["series"], occurrence=first)


async def attach(world: World) -> None:
    """Attachments, as they should be and as they should not; one is left in the folder."""
    word = world.word
    async with member(world.server.url, bearer(ANNA, "therapist"), Rapport_Device="ident-device") as anna:
        data = word("attachment").encode() * 100
        names = [await anna.put(ROOM, data + end) for end in (b"", b"more")]
        assert (await anna.get(names[0])).body == data
        assert (await anna.get(names[0], Range="bytes=0-99")).status == 206
        assert (await anna.ask("HEAD", f"/v1/blobs/{names[0]}")).status == 200
        await world.call("deleteBlob", room=ROOM, blob=names[0])
        upload = await anna.upload(ROOM, data)
        answers = [
            await anna.patch(upload, 5, data),
            await anna.patch(upload, 0, data[::-1]),
            await anna.get(names[1], Range="bytes=9999999-"),
            await anna.begin(word("unknown"), data),
            await anna.begin(ROOM, data, sha256=word("hash")),
            await anna.begin(ROOM, data, **{word("field"): word("value")}),
        ]
        for endpoint in BLOBS:
            path = re.sub(r"{\w+}", lambda _: word("id"), endpoint.path)
            odd = {"Upload_Offset": word("offset"), "Range": word("range"), "Rapport_Device": word("device")}
            answers.append(await anna.ask(endpoint.method, path, word("body").encode(), **odd))
        assert all(answer.status >= 400 for answer in answers)
        world.errors += [answer.body + repr(dict(answer.headers)).encode() for answer in answers]


async def administer(world: World, left: Traces) -> None:
    """Every operation of the API, answered as asked."""
    call, word = world.call, world.word
    await call("addMember", {"account": INES, "role": "guest"}, room=ROOM)
    await call("removeMember", room=ROOM, account=INES)
    await call("revoke", {"device": "ident-device"}, account=INES)
    await call("reinstate", {"device": "ident-device"}, account=INES)
    for name in ("getRoom", "listMembers", "listSessions", "getReply"):
        await call(name, room=ROOM)
    await call("listRooms")
    await call("getSession", session=SESSION)
    await call("getHours", account=ANNA)
    starts = time.strftime("%Y-%m-%dT09:00", time.gmtime(time.time() + 7 * 86_400))
    series: dict[str, Any] = {"starts": starts, "zone": "Europe/Berlin", "rule": "FREQ=WEEKLY;COUNT=9"}
    series |= {"series": "ident-series", "length_seconds": 3000, "modality": "video"}
    await call("createSeries", series, room=ROOM)
    await call("listSeries", room=ROOM)
    await call("getSeries", series="ident-series")
    first = starts.replace("-", "").replace(":", "")
    occurrence = {"series": "ident-series", "occurrence": first}
    await call("getOccurrence", **occurrence)
    later_ms = int(time.time() * 1000) + 6 * DAY_MS
    await call("moveOccurrence", {"starts_ms": later_ms}, **occurrence)
    await call("cancelOccurrence", **occurrence)
    listed = [one["session"].partition(".") for one in (await call("listSessions", room=ROOM))["items"]]
    names = [name for planned, _, name in listed if planned == "ident-series"]
    third, second = sorted(names)[2:0:-1]
    then = {name: value for name, value in series.items() if name != "series"}
    await call(
        "splitSeries", {"occurrence": third, "then": then | {"starts": local(third)}}, series="ident-series"
    )
    await call("cutSeries", {"occurrence": second}, series="ident-series")
    await call("createSession", {"session": "ident-other"} | spec(later_ms), room=ROOM)
    await call("moveSession", {"starts_ms": later_ms + DAY_MS}, session="ident-other")
    await call("stopSession", session="ident-other")
    await call("listAccountSessions", account=ANNA)
    path = (await call("giveCalendar", account=ANNA))["path"]
    left.word.add(path.removeprefix("/v1/calendar/").removesuffix(".ics"))
    world.note(await world.api.get(path))
    world.note(await world.api.get(f"/v1/calendar/{word('feed')}.ics"))
    await call("takeCalendar", account=ANNA)
    always = f"?from_ms=0&until_ms={2**52}"
    for query in ("", "&format=csv"):
        await call("listUsage", query=always + query)
    for query in ("", "&technical=true"):
        await call("listRatings", query=always + query)
    await keep(world)
    await call("placeHold", {"kind": "room", "id": ROOM})
    await call("listHolds")
    await call("releaseHold", kind="room", id=ROOM)
    await call("listCheckpoints")
    await call("breakGlass", {"scope": "usage", "reason": f"at night: {word('reason')}"})
    await call("replayDeliveries", {"state": "delivered"})
    waiting = (await call("listDeliveries", state="waiting"))["items"]
    unheard = [one["delivery"] for one in waiting if one["endpoint"] == "nobody"]
    await call("dropDeliveries", {"deliveries": unheard[:1]})


async def keep(world: World) -> None:
    """Private notes, times to keep, what there is of one account, and the end of another."""
    call = world.call
    await call("openNotes", {"account": ANNA}, room=ROOM)
    await call(
        "createRoom", {"room": "ident-empty", "members": [{"account": "ident-gone", "role": "client"}]}
    )
    await call("eraseAccount", {}, account="ident-gone")
    await call("setRetention", {"days": 1}, room="ident-empty")
    await call("getRetention", room="ident-empty")
    await call("deleteRoom", room="ident-empty")
    assert "ident-device" in await call("exportAccount", account=ANNA)


def spec(starts_ms: int) -> dict[str, Any]:
    return {"starts_ms": starts_ms, "length_seconds": 1200, "modality": "video"}


def local(name: str) -> str:
    """The local time that an occurrence is named by."""
    return f"{name[:4]}-{name[4:6]}-{name[6:8]}T{name[9:11]}:{name[11:13]}"


async def provoke(world: World, anna: Person) -> None:
    """Everything that is refused, on every path."""
    await refused_requests(world, anna)
    await bad_frames(world)
    await bad_tokens(world)
    for name in ("room", "session", "account"):
        await refused_calls(world, name)
    for data in (
        f"GET /{world.word('line')} HTTP/9.9\r\n\r\n",
        f"{world.word('method')}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\n{world.word('header')}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {world.word('length')}\r\n\r\n",
        f"POST /v1/rooms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{world.word('chunk')}\r\n",
        f"GET /v1/rooms HTTP/1.1\r\nHost: x\r\nCookie: a={world.word('cookie')}\r\nConnection: close\r\n\r\n",
    ):
        world.errors.append(await raw(world.server.url, data.encode()))


async def refused_requests(world: World, anna: Person) -> None:
    """Each request of the protocol, with words where there should be ids, numbers and bodies."""
    text = await world.person(ANNA, "therapist", JSON)
    for request in get_args(AnyRequest):
        op, names = request.__struct_config__.tag, request.__struct_fields__
        wanted = [name for name in names if name != "id"]
        for who in (anna, text):
            word = world.word("id")
            fields = dict.fromkeys(wanted, word) | {word: word}
            await who.client.send({"op": op, "id": 900_000, **fields})
            reply = await who.client.expect(lambda frame: frame.get("id") == 900_000)
            world.errors.append(repr(reply).encode())
        if set(wanted) & {"room", "session"}:
            word = f"Jane Doe {world.word('unknown')}"
            unknown = {name: word for name in wanted if name in {"room", "session"}}
            await anna.client.send({"op": op, "id": 900_001, **unknown})
            world.errors.append(repr(await anna.client.expect(lambda f: f.get("id") == 900_001)).encode())
    await anna.no("hours.set", hours=AWAY | {"zone": world.word("zone")})
    await anna.no("session.list", day=world.word("d")[:10], zone=world.word("zone"))
    await anna.no(world.word("op"))


async def bad_frames(world: World) -> None:
    """Bytes that are no frames, before and after the hello."""
    for data in (
        world.word("frame").encode(),
        b"\xd9\xff" + world.word("frame").encode(),
        world.word("text"),
        f'{{"op": "{world.word("op")}", "id": 1}}',
        f'{{"op": "hello", "token": "{world.word("token")}", "device": "{world.word("device")}"}}',
        f'{{"op": "hello", "device": 1, "{world.word("key")}": 2}}',
    ):
        protocol = JSON if isinstance(data, str) else "rapport.v1.msgpack"
        async with door_client(world.server.connect, protocol) as stranger:
            await stranger.socket.send(data)
            try:
                while True:
                    world.errors.append(repr(await stranger.receive()).encode())
            except ConnectionClosed as closed:
                world.errors.append(repr(closed).encode())


async def bad_tokens(world: World) -> None:
    """Tokens that are none, that are somebody else's, that have run out."""
    good = bearer("backend", "operator", name=world.word("claim"))
    for token in (
        world.word("token"),
        f"{world.word('token')}.{world.word('token')}.{world.word('token')}",
        good[:-8] + "AAAAAAAA",
        bearer(world.word("account"), world.word("role")),
        bearer(world.word("account"), "operator", exp=1),
        bearer(world.word("id"), "client"),
        bearer(world.word("id"), "operator", scope=world.word("scope")),
        bearer(world.word("account"), "operator", iss=world.word("issuer")),
    ):
        world.word.add(token.rpartition(".")[2] or token)
        await world.refused("GET", "/v1/rooms", Authorization=f"Bearer {token}")


async def refused_calls(world: World, name: str) -> None:
    """Each operation, with words in its address, query, headers and body."""
    for endpoint in ENDPOINTS:
        path = re.sub(r"{\w+}", lambda _: world.word("id"), endpoint.path)
        odd = re.sub(r"{\w+}", lambda _: quote(f"{world.word('odd')} ü/"), endpoint.path)
        word = world.word("body")
        extra: Any = {name: word, word: [word]} if endpoint.body else None
        await world.refused(endpoint.method, path, extra, Accept=world.word("accept"))
        await world.refused(endpoint.method, f"{odd}?{word}={word}&cursor={word}&limit={word}", extra)
        if endpoint.body:
            await world.refused(endpoint.method, path, f'{{"{word}": '.encode())
            await world.refused(endpoint.method, path, b"\xff" + word.encode(), key=word + "ü" * 300)
    await world.refused("GET", f"/v1/{world.word('path')}?{world.word('query')}={world.word('query')}")
    await world.refused("PROPFIND", f"/{world.word('path')}")


async def told(world: World) -> None:
    """Wait until the receiver has heard of everything that there is to hear."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        count = 0
        while not {got.json["type"] for got in world.there.received} >= HEARD:
            count = max(count + 1, len(world.there.received))
            await world.there.until(count)


async def metrics(world: World) -> bytes:
    scraped = await world.api.ask("GET", "/metrics", Authorization=f"Bearer {METRICS_TOKEN}")
    assert scraped.status == 200
    world.note(await world.api.ask("GET", "/metrics", Authorization=f"Bearer {world.word('scraper')}"))
    return scraped.text.encode()


async def audit_pages(world: World) -> list[bytes]:
    """The trail as the API gives it."""
    page = await world.call("listAudit")
    pages = [repr(page).encode()]
    while cursor := page.get("next"):
        page = await world.call("listAudit", query=f"?cursor={cursor}")
        pages.append(repr(page).encode())
    return pages


async def audit_command(folder: Path) -> list[bytes]:
    """The trail as the commands give it, once the server has written all of it."""
    store = f"sqlite:///{folder / 'rapport.db'}"
    said: list[bytes] = []
    for asked in ("export --format jsonl", "export --format csv", "search", "verify"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "signaling.cli", "audit", *asked.split(), "--store", store),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said.append((await process.communicate())[0])
        assert process.returncode == 0, said[-1].decode()
    return said


HEARD = TYPES - {"session.overrun", "session.opened"}
"""What happens here; a session that is over its time differs from others in nothing that is told."""


async def test_everything_was_done(traces: Traces) -> None:
    operations = {endpoint.name for endpoint in ENDPOINTS}
    requests = {request.__struct_config__.tag for request in get_args(AnyRequest)}
    assert (operations | requests) - traces.asked == set(), "what is new is to be done here, too"
    assert traces.told >= HEARD


async def test_the_canaries_were_really_there(traces: Traces) -> None:
    found = " ".join(traces.word.found_in(traces.store))
    for what in ("chat", "letter", "urgent", "reply", "emergency", "reason"):
        assert f"canary-{what}-" in found, what
    assert "canary-sealed-" not in found, "what is sealed is not even there"
    assert b'"level": "debug"' in traces.logs or b'"level": "info"' in traces.logs
    assert b"media_worker_died" in traces.logs
    assert b"break_glass_opened" in traces.logs
    assert len(traces.errors) > 300
    assert names_in(traces.audit)
    assert names_in(traces.deliveries)


async def test_no_log_line_has_a_name_or_a_content(traces: Traces) -> None:
    assert traces.word.found_in(traces.logs) == []
    assert names_in(traces.logs) == []


async def test_no_metric_has(traces: Traces) -> None:
    assert traces.word.found_in(traces.metrics) == []
    assert names_in(traces.metrics) == []
    assert b"rapport_session_changes_total" in traces.metrics


async def test_no_audit_entry_has_but_the_reason_of_breaking_the_glass(traces: Traces) -> None:
    """What has the form of an id may be one, and who asks for it is worth knowing."""
    assert traces.word.found_in(traces.audit, but=["reason", "id"]) == []


async def test_no_delivery_has(traces: Traces) -> None:
    assert traces.word.found_in(traces.deliveries) == []


async def test_no_error_has(traces: Traces) -> None:
    for error in traces.errors:
        assert traces.word.found_in(error) == [], error[:2000]
