"""Usage and ratings of sessions that were really held: over the API, the WebSocket, and in webhooks."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from config.settings import SessionSettings, WebhookSettings
from protocol.fields import Role
from relay.audit_trail import AuditFilter
from signaling.node import Node
from signaling.usage.table import COLUMNS
from tests.signaling.door_client import JSON, DoorClient, door_client
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCOPES = "rooms sessions usage ratings"
ALL = f"from_ms=0&until_ms={1 << 50}"
NOBODY_LISTENS = "http://127.0.0.1:9/hook"
PEOPLE: dict[str, Role] = {"anna": "therapist", "ben": "client", "cleo": "guest"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    given = settings(
        tmp_path_factory.mktemp("node"),
        sessions=SessionSettings(min_minutes=0.001, waiting_room="nobody"),
        webhooks=WebhookSettings(
            endpoints={"platform": NOBODY_LISTENS},
            secrets={"platform": "a secret of webhooks that is long enough"},
            types={"platform": "session.rated session.rated_low"},
        ),
    )
    async with running_node(given) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def api(node: Node) -> AsyncIterator[BackEnd]:
    async with back_end(node, token(scope=SCOPES)) as api:
        yield api


class People:
    """Anna, Ben and Cleo, each with a connection."""

    def __init__(self, node: Node, stack: AsyncExitStack) -> None:
        self._url = f"{node.url.replace('http', 'ws')}/v1/connect"
        self._stack = stack
        self._clients: dict[str, DoorClient] = {}

    async def ask(self, account: str, op: str, session: str, **fields: Any) -> Any:
        """What the server answers: the name of the refusal, or ``ok``."""
        if account not in self._clients:
            # Unread events of all the rooms must not stand before the answer to a close.
            client = await self._stack.enter_async_context(door_client(self._url, JSON, max_queue=None))
            await client.hello(token(account, PEOPLE.get(account, "client")))
            self._clients[account] = client
        reply = await self._clients[account].request(op, session=session, **fields)
        return reply.get("name", reply["op"])

    async def hold(self, session: str) -> None:
        """A session of Anna and Ben, from its beginning to its end."""
        assert [await self.ask(one, "session.join", session) for one in ("anna", "ben")] == ["ok", "ok"]
        assert await self.ask("anna", "session.end", session) == "ok"


@pytest_asyncio.fixture(loop_scope="module")
async def people(node: Node) -> AsyncIterator[People]:
    async with AsyncExitStack() as stack:
        yield People(node, stack)


async def room_with(api: BackEnd, room: str, *sessions: str) -> None:
    await api.room(room, **PEOPLE)
    for session in sessions:
        await api.session(room, session=session, modality="audio")


# --- Usage


async def test_a_session_that_was_held(api: BackEnd, people: People) -> None:
    await room_with(api, "held", "h1")
    await people.hold("h1")
    (item,) = (await api.get(f"/v1/usage?{ALL}&room=held")).json["items"]
    shown = (await api.get("/v1/sessions/h1")).json
    assert (item["session"], item["room"], item["final"]) == ("h1", "held", True)
    assert {name: item[name] for name in ("starts_ms", "live_ms", "ended_ms", "reason")} == {
        name: shown[name] for name in ("starts_ms", "live_ms", "ended_ms", "reason")
    }
    assert item["both_ms"] == item["audio_ms"] == item["ended_ms"] - item["live_ms"]
    assert (item["minutes"], item["video_ms"], item["chat_ms"], item["extended_ms"]) == (0, 0, 0, 0)
    assert item["segments"][-1]["present"] == ["anna", "ben"]
    assert [(one["account"], one["role"]) for one in item["attendances"]] == [
        ("anna", "therapist"),
        ("ben", "client"),
    ]
    assert item.keys().isdisjoint({"code", "modifier", "no_show"})


async def test_a_session_that_goes_on_and_one_to_which_nobody_came(api: BackEnd, people: People) -> None:
    await room_with(api, "unlike", "u1", "u2")
    assert [await people.ask(one, "session.join", "u1") for one in ("anna", "ben")] == ["ok", "ok"]
    await api.ask("DELETE", "/v1/sessions/u2")
    items = {one["session"]: one for one in (await api.get(f"/v1/usage?{ALL}&room=unlike")).json["items"]}
    assert (items["u1"]["final"], items["u1"]["state"]) == (False, "live")
    assert "ends_ms" not in items["u1"]["segments"][-1]
    assert (items["u2"]["final"], items["u2"]["state"]) == (True, "cancelled")
    assert items["u2"]["no_show"] == {"holds": False, "verdict": "before_grace", "waited_ms": {}}


@pytest.mark.parametrize("ask", ["?format=csv", "Accept"])
async def test_csv_has_a_line_for_every_session(api: BackEnd, ask: str) -> None:
    room = f"csv{len(ask)}"
    names = [f"{room}-{number}" for number in range(5)]
    await room_with(api, room, *names)
    if ask == "Accept":
        answer = await api.ask("GET", f"/v1/usage?{ALL}&room={room}", Accept="text/csv")
    else:
        answer = await api.get(f"/v1/usage?{ALL}&room={room}&format=csv")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="usage.csv"'
    assert answer.headers["Cache-Control"] == "no-store"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert sorted(row["session"] for row in rows) == names
    assert all(list(row) == list(COLUMNS) for row in rows)
    assert len((await api.get(f"/v1/usage?{ALL}&room={room}")).json["items"]) == 5


async def test_csv_of_nothing_has_its_header(api: BackEnd) -> None:
    answer = await api.get("/v1/usage?from_ms=5&until_ms=6&format=csv")
    assert answer.text.split("\r\n")[1:] == [""]


async def test_pages_by_account(api: BackEnd, people: People) -> None:
    await room_with(api, "paged", "p1", "p2", "p3")
    await people.hold("p2")
    path = f"/v1/usage?{ALL}&room=paged&account=ben&limit=2"
    first = (await api.get(path)).json
    rest = (await api.get(f"{path}&cursor={first['next']}")).json
    assert [len(first["items"]), len(rest["items"]), "next" in rest] == [2, 1, False]
    assert {one["session"] for one in first["items"] + rest["items"]} == {"p1", "p2", "p3"}
    assert (await api.get(f"/v1/usage?{ALL}&room=paged&account=mona")).json == {"items": []}


async def test_usage_is_by_the_agreed_start(api: BackEnd) -> None:
    await api.room("timed", **PEOPLE)
    starts_ms = int(time.time() * 1000) + 3_600_000
    await api.session("timed", session="t1", starts_ms=starts_ms)
    for from_ms, until_ms, found in (
        (0, starts_ms, 0),
        (starts_ms, starts_ms + 1, 1),
        (starts_ms + 1, 1 << 50, 0),
    ):
        answer = await api.get(f"/v1/usage?room=timed&from_ms={from_ms}&until_ms={until_ms}")
        assert len(answer.json["items"]) == found


@pytest.mark.parametrize(
    "query",
    [
        "",
        "from_ms=0",
        "from_ms=-1&until_ms=5",
        "from_ms=x&until_ms=5",
        f"{ALL}&room=../x",
        f"{ALL}&room=",
        f"{ALL}&format=xml",
        f"{ALL}&limit=0",
        f"{ALL}&from_ms=1",
        f"{ALL}&other=1",
        f"{ALL}&format=csv&limit=5",
        "from_ms=0&until_ms=99999999999999999999",
    ],
)
async def test_usage_asked_for_wrongly(api: BackEnd, query: str) -> None:
    assert (await api.get(f"/v1/usage?{query}")).refusal == (400, "invalid_field")


async def test_a_cursor_of_another_list_is_refused(api: BackEnd) -> None:
    await room_with(api, "cursors", "c1", "c2")
    rooms = (await api.get("/v1/rooms?limit=1")).json["next"]
    assert (await api.get(f"/v1/usage?{ALL}&cursor={rooms}")).refusal == (400, "cursor_invalid")
    assert (await api.get(f"/v1/ratings?{ALL}&cursor={rooms}")).refusal == (400, "cursor_invalid")


@pytest.mark.parametrize("path", ["usage", "ratings"])
async def test_each_list_needs_its_scope(node: Node, path: str) -> None:
    others = "rooms sessions accounts usage ratings".replace(path, "")
    async with back_end(node, token(scope=others)) as api:
        assert (await api.get(f"/v1/{path}?{ALL}")).refusal == (403, "token_scope")
    async with back_end(node, token("anna", "therapist", scope=SCOPES)) as api:
        assert (await api.get(f"/v1/{path}?{ALL}")).refusal == (403, "forbidden")


async def test_a_bound_token_reaches_no_further(api: BackEnd, node: Node) -> None:
    await room_with(api, "bound", "b1")
    async with back_end(node, token(scope=SCOPES, room="bound")) as own:
        assert len((await own.get(f"/v1/usage?{ALL}&room=bound")).json["items"]) == 1
        for query in (ALL, f"{ALL}&room=held", f"{ALL}&room=held&format=csv"):
            assert (await own.get(f"/v1/usage?{query}")).refusal == (403, "token_scope")
        assert (await own.get(f"/v1/ratings?{ALL}")).refusal == (403, "token_scope")
    async with back_end(node, token(scope=SCOPES, session="b1")) as own:
        assert (await own.get(f"/v1/usage?{ALL}&room=bound")).refusal == (403, "token_scope")
        assert (await own.get(f"/v1/ratings?{ALL}")).refusal == (403, "token_scope")


# --- Ratings


async def rated(api: BackEnd, session: str, *, technical: bool) -> list[tuple[str, int]]:
    items = (await api.get(f"/v1/ratings?{ALL}&technical={str(technical).lower()}")).json["items"]
    assert all(one["technical"] is technical for one in items)
    return [(one["account"], one["score"]) for one in items if one["session"] == session]


async def test_each_participant_rates_once_after_the_end(api: BackEnd, people: People) -> None:
    await room_with(api, "rated", "r1")
    assert await people.ask("ben", "session.rate", "r1", score=4) == "session_not_over"
    assert [await people.ask(one, "session.join", "r1") for one in ("anna", "ben")] == ["ok", "ok"]
    assert await people.ask("ben", "session.rate", "r1", score=4) == "session_not_over"
    assert await people.ask("anna", "session.end", "r1") == "ok"
    assert await people.ask("ben", "session.rate", "r1", score=4) == "ok"
    assert await people.ask("ben", "session.rate", "r1", score=1, technical=True) == "already_rated"
    assert await people.ask("anna", "session.rate", "r1", score=2, technical=True) == "ok"
    assert await people.ask("cleo", "session.rate", "r1", score=5) == "not_a_participant"
    assert await people.ask("mona", "session.rate", "r1", score=5) == "no_such_session"
    assert await people.ask("mona", "session.rate", "r0", score=5) == "no_such_session"
    assert await rated(api, "r1", technical=False) == [("ben", 4)]
    assert await rated(api, "r1", technical=True) == [("anna", 2)]


@pytest.mark.parametrize("fields", [{}, {"score": 0}, {"score": 6}, {"score": 2.5}, {"score": "5"}])
async def test_a_score_is_1_to_5(people: People, fields: dict[str, Any]) -> None:
    assert await people.ask("ben", "session.rate", "r1", **fields) == "invalid_field"


async def test_who_has_left_the_room_may_still_rate(api: BackEnd, people: People) -> None:
    await room_with(api, "left", "l1")
    await people.hold("l1")
    await api.ask("DELETE", "/v1/rooms/left/members/ben")
    assert await people.ask("ben", "session.rate", "l1", score=3) == "ok"
    assert await rated(api, "l1", technical=False) == [("ben", 3)]


async def test_a_token_for_another_room_does_not_rate(api: BackEnd, node: Node, people: People) -> None:
    await room_with(api, "here", "e1")
    await people.hold("e1")
    url = f"{node.url.replace('http', 'ws')}/v1/connect"
    for claims, name in (({"room": "rated"}, "no_such_session"), ({"session": "r1"}, "token_scope")):
        async with door_client(url, JSON, max_queue=None) as ben:
            await ben.hello(token("ben", "client", **claims), "elsewhere")
            assert (await ben.request("session.rate", session="e1", score=1))["name"] == name
    assert await rated(api, "e1", technical=False) == []


async def test_ratings_come_in_pages(api: BackEnd, people: People) -> None:
    await room_with(api, "many", "m1", "m2", "m3")
    for session in ("m1", "m2", "m3"):
        await people.hold(session)
        assert await people.ask("ben", "session.rate", session, score=5) == "ok"
    found, query = list[str](), f"{ALL}&limit=2"
    while True:
        page = (await api.get(f"/v1/ratings?{query}")).json
        found += [one["session"] for one in page["items"]]
        if "next" not in page:
            break
        query = f"{ALL}&limit=2&cursor={page['next']}"
    assert len(found) == len(set(found))
    assert [session for session in found if session.startswith("m")] == ["m1", "m2", "m3"]


async def test_nobody_of_the_room_is_told_and_webhooks_are(api: BackEnd, node: Node, people: People) -> None:
    await room_with(api, "quiet", "q1", "q2")
    await people.hold("q1")
    await people.hold("q2")
    head = (await api.get("/v1/rooms/quiet")).json["head"]
    with capture_logs() as logs:
        assert await people.ask("ben", "session.rate", "q1", score=2) == "ok"
        assert await people.ask("anna", "session.rate", "q1", score=3) == "ok"
        assert await people.ask("ben", "session.rate", "q2", score=1, technical=True) == "ok"
        assert await people.ask("ben", "session.rate", "q2", score=1) == "already_rated"
    assert (await api.get("/v1/rooms/quiet")).json["head"] == head
    assert "ben" not in str(logs)
    told = [
        json.loads(one.body)
        for one in await node.store.deliveries("waiting", limit=999)
        if one.lane == "quiet"
    ]
    assert [(one["type"], one["data"]["account"], one["data"]["technical"]) for one in told] == [
        ("session.rated", "ben", False),
        ("session.rated_low", "ben", False),
        ("session.rated", "anna", False),
        ("session.rated", "ben", True),
    ]


async def test_the_audit_trail_knows_who_rated_and_who_read(api: BackEnd, node: Node, people: People) -> None:
    await room_with(api, "audited", "a1")
    await people.hold("a1")
    assert await people.ask("ben", "session.rate", "a1", score=1) == "ok"
    await api.get(f"/v1/ratings?{ALL}")
    await api.get(f"/v1/usage?{ALL}&format=csv")
    asked = AuditFilter(object_kind="session", object_id="a1", action="session.rated")
    (entry,) = await node.store.audit(after=0, limit=9, matching=asked)
    assert (entry.entry.actor, entry.entry.role, entry.entry.outcome) == ("ben", "client", "ok")
    assert (entry.entry.room, entry.entry.subject) == ("audited", "")
    await node.auditor.tick()
    for action in ("http.listRatings", "http.listUsage"):
        assert await node.store.audit(after=0, limit=9, matching=AuditFilter(action=action)), action


async def test_ratings_are_counted_apart(api: BackEnd, people: People) -> None:
    await room_with(api, "counted", "n1")
    await people.hold("n1")

    async def count(kind: str) -> float:
        lines = (await api.get("/metrics")).text.splitlines()
        name = f'rapport_session_ratings_total{{kind="{kind}",score="1"}} '
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    clinical, technical = await count("clinical"), await count("technical")
    assert await people.ask("ben", "session.rate", "n1", score=1, technical=True) == "ok"
    assert await people.ask("ben", "session.rate", "n1", score=1) == "already_rated"
    assert (await count("clinical"), await count("technical")) == (clinical, technical + 1)
