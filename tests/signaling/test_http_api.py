"""The API for back ends over real HTTP: rooms, members, sessions, revocations, and how to get them wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from protocol.fields import Role
from protocol.tokens import Claims, mint
from relay.errors import Overloaded, StoreClosed, StoreError, StoreFull
from signaling.node import Node
from tests.signaling.door_client import door_client
from tests.signaling.nodes import SECRET, BackEnd, back_end, running_node, settings, token

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    async with running_node(settings(tmp_path_factory.mktemp("node"))) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def api(node: Node) -> AsyncIterator[BackEnd]:
    async with back_end(node) as api:
        yield api


async def test_a_room_from_its_creation_to_its_members(api: BackEnd) -> None:
    created = await api.post(
        "/v1/rooms", {"room": "r1", "members": [{"account": "anna", "role": "therapist"}]}
    )
    assert (created.status, created.json, created.headers["Location"]) == (
        201,
        {"room": "r1"},
        "/v1/rooms/r1",
    )
    shown = (await api.get("/v1/rooms/r1")).json
    assert (shown["room"], shown["head"]) == ("r1", 1)

    added = await api.post("/v1/rooms/r1/members", {"account": "ben", "role": "client"})
    assert (added.status, added.json) == (201, {"account": "ben", "role": "client"})
    again = await api.post("/v1/rooms/r1/members", {"account": "ben", "role": "client"})
    assert again.status == 201
    members = (await api.get("/v1/rooms/r1/members")).json["items"]
    assert [(one["account"], one["role"]) for one in members] == [("anna", "therapist"), ("ben", "client")]

    assert (await api.ask("DELETE", "/v1/rooms/r1/members/ben")).status == 204
    assert (await api.ask("DELETE", "/v1/rooms/r1/members/ben")).refusal == (404, "no_such_member")
    assert (await api.get("/v1/rooms/r1")).json["head"] == 3


async def test_the_server_chooses_ids_that_are_left_out(api: BackEnd) -> None:
    room = (await api.post("/v1/rooms", {})).json["room"]
    session = await api.session(room)
    assert (await api.get(f"/v1/sessions/{session['session']}")).json["room"] == room


async def test_lists_come_in_pages_without_gaps_or_repeats(api: BackEnd) -> None:
    await api.room("listed", **{f"a{n}": "client" for n in range(7)})
    for n in range(7):
        await api.session(
            "listed", session=f"listed-{n}", starts_ms=int(time.time() * 1000) + 60_000 * (n % 3)
        )

    async def listed(path: str, what: str) -> list[str]:
        found, query = list[str](), "?limit=3"
        while True:
            page = (await api.get(path + query)).json
            found += [item[what] for item in page["items"]]
            if "next" not in page:
                return found
            assert len(page["items"]) == 3
            query = f"?limit=3&cursor={page['next']}"

    assert await listed("/v1/rooms/listed/members", "account") == [f"a{n}" for n in range(7)]
    sessions = await listed("/v1/rooms/listed/sessions", "session")
    assert sessions == [f"listed-{n}" for n in (0, 3, 6, 1, 4, 2, 5)]
    rooms = await listed("/v1/rooms", "room")
    assert rooms == sorted(rooms)
    assert "listed" in rooms


async def test_a_session_from_its_schedule_to_its_cancellation(api: BackEnd) -> None:
    await api.room("r2")
    starts_ms = int(time.time() * 1000) + 86_400_000
    created = await api.post(
        "/v1/rooms/r2/sessions",
        {
            "session": "s2",
            "starts_ms": starts_ms,
            "length_seconds": 2700,
            "modality": "video",
            "invited": ["ben"],
        },
    )
    assert created.status == 201
    assert created.headers["Location"] == "/v1/sessions/s2"
    assert created.json == {
        "session": "s2",
        "room": "r2",
        "state": "scheduled",
        "modality": "video",
        "starts_ms": starts_ms,
        "opens_ms": starts_ms - 600_000,
        "agreed_end_ms": starts_ms + 2_700_000,
        "cap_ms": starts_ms + 2_700_000,
        "invited": ["ben"],
    }
    assert (await api.get("/v1/sessions/s2")).json == created.json
    cancelled = (await api.ask("DELETE", "/v1/sessions/s2")).json
    assert (cancelled["state"], cancelled["reason"]) == ("cancelled", "cancelled")
    assert (await api.ask("DELETE", "/v1/sessions/s2")).json == cancelled


@pytest.mark.parametrize("length_seconds", [0, -600, 7 * 86_400, 2**63, 600.5, "600", None])
async def test_impossible_lengths_are_refused(api: BackEnd, length_seconds: object) -> None:
    await api.post("/v1/rooms", {"room": "lengths"})
    body = {"length_seconds": length_seconds, "modality": "chat"}
    answer = await api.post("/v1/rooms/lengths/sessions", body)
    assert answer.refusal == (400, "invalid_field")
    assert "length_seconds" in answer.json["detail"]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"length_seconds": 600 * 60}, "minutes long"),
        ({"starts_ms": 1}, "past"),
        ({"starts_ms": 4_000_000_000_000}, "days ahead"),
    ],
)
async def test_impossible_times_are_refused(api: BackEnd, spec: dict[str, int], problem: str) -> None:
    await api.post("/v1/rooms", {"room": "times"})
    body = {"length_seconds": 600, "modality": "chat"} | spec
    answer = await api.post("/v1/rooms/times/sessions", body)
    assert answer.refusal == (400, "session_times")
    assert problem in answer.json["detail"]


async def test_the_same_key_gives_the_same_answer_once(api: BackEnd) -> None:
    body = {"members": [{"account": "anna", "role": "therapist"}]}
    first = await api.post("/v1/rooms", body, key="one")
    again = await api.ask(
        "POST", "/v1/rooms", b' {"members":[{"role":"therapist","account":"anna"}] }', key="one"
    )
    assert (again.status, again.json, again.headers["Location"]) == (
        201,
        first.json,
        first.headers["Location"],
    )
    room = first.json["room"]
    assert (await api.post("/v1/rooms", {}, key="one")).refusal == (409, "idempotency_differs")
    assert (await api.post(f"/v1/rooms/{room}/members", body["members"][0], key="one")).refusal == (
        409,
        "idempotency_differs",
    )
    session = {"length_seconds": 600, "modality": "chat"}
    made = await asyncio.gather(
        *(api.post(f"/v1/rooms/{room}/sessions", session, key="race") for _ in range(8))
    )
    assert {answer.status for answer in made} == {201}
    assert len({answer.json["session"] for answer in made}) == 1
    assert len((await api.get(f"/v1/rooms/{room}/sessions")).json["items"]) == 1


async def test_a_refusal_is_not_kept_under_its_key(api: BackEnd) -> None:
    body = {"account": "ben", "role": "client"}
    assert (await api.post("/v1/rooms/late/members", body, key="early")).refusal == (404, "no_such_room")
    await api.post("/v1/rooms", {"room": "late"})
    assert (await api.post("/v1/rooms/late/members", body, key="early")).status == 201


async def test_a_post_needs_a_good_key(api: BackEnd) -> None:
    assert (await api.post("/v1/rooms", {}, key="")).refusal == (400, "invalid_field")
    assert (await api.post("/v1/rooms", {}, key="k" * 129)).refusal == (400, "invalid_field")
    del_key = await api._http.post(
        api.url + "/v1/rooms", json={}, headers={"Authorization": f"Bearer {api.bearer}"}
    )
    assert (await del_key.json())["name"] == "idempotency_missing"


CHAT = {"length_seconds": 600, "modality": "chat"}
CROWD = [{"account": f"a{n}", "role": "client"} for n in range(65)]


@pytest.mark.parametrize(
    ("path", "body", "refusal"),
    [
        ("/v1/rooms", b"", (400, "malformed")),
        ("/v1/rooms", b"{", (400, "malformed")),
        ("/v1/rooms", b"\xff\xfe", (400, "malformed")),
        ("/v1/rooms", b"[" * 5000, (400, "invalid_field")),
        ("/v1/rooms", b'{"members":' + b'{"a":' * 5000, (400, "invalid_field")),
        ("/v1/rooms", [], (400, "invalid_field")),
        ("/v1/rooms", {"name": "Anna"}, (400, "invalid_field")),
        ("/v1/rooms", {"room": ""}, (400, "invalid_field")),
        ("/v1/rooms", {"room": "a b"}, (400, "invalid_field")),
        ("/v1/rooms", {"room": "a\n"}, (400, "invalid_field")),
        ("/v1/rooms", {"room": ".."}, (400, "invalid_field")),
        ("/v1/rooms", {"room": "x" * 65}, (400, "invalid_field")),
        ("/v1/rooms", {"members": [{"account": "a", "role": "operator"}]}, (400, "invalid_field")),
        ("/v1/rooms", {"members": [{"account": "a", "role": "client"}] * 2}, (400, "invalid_field")),
        ("/v1/rooms", {"members": CROWD}, (400, "invalid_field")),
        ("/v1/rooms", b'{"room":"' + b"x" * 70_000 + b'"}', (413, "too_large")),
        ("/v1/rooms/taken/sessions", {"length_seconds": 0, "modality": "chat"}, (400, "invalid_field")),
        ("/v1/rooms/taken/sessions", {"length_seconds": 604_800, "modality": "chat"}, (400, "invalid_field")),
        ("/v1/rooms/taken/sessions", {"length_seconds": 1.5, "modality": "chat"}, (400, "invalid_field")),
        ("/v1/rooms/taken/sessions", {"length_seconds": 600, "modality": "smoke"}, (400, "invalid_field")),
        ("/v1/rooms/taken/sessions", CHAT | {"invited": ["zoe"]}, (404, "no_such_member")),
        ("/v1/rooms/none/sessions", CHAT, (404, "no_such_room")),
        ("/v1/rooms/a%20b/members", {"account": "a", "role": "client"}, (400, "invalid_field")),
        ("/v1/rooms", {"room": "taken"}, (409, "already_exists")),
        ("/v1/nothing", {}, (404, "not_found")),
        ("/v1/sessions/taken", {}, (405, "method_not_allowed")),
    ],
)  # fmt: skip
async def test_bad_requests_are_refused_by_name(
    api: BackEnd, path: str, body: object, refusal: tuple[int, str]
) -> None:
    await api.post("/v1/rooms", {"room": "taken"}, key="taken")
    assert (await api.post(path, body)).refusal == refusal


async def test_a_body_that_is_not_json_by_its_type_is_refused(api: BackEnd) -> None:
    answer = await api.ask("POST", "/v1/rooms", b"{}", Content_Type="text/plain")
    assert answer.refusal == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "invalid_field"),
        ("limit=201", "invalid_field"),
        ("limit=-1", "invalid_field"),
        ("limit=%D9%A1", "invalid_field"),
        ("page=2", "invalid_field"),
        ("cursor=", "cursor_invalid"),
        ("cursor=!!!", "cursor_invalid"),
        ("cursor=" + "A" * 600, "cursor_invalid"),
        ("cursor=WzFd", "cursor_invalid"),
    ],
)
async def test_bad_pages_are_refused_by_name(api: BackEnd, query: str, name: str) -> None:
    assert (await api.get(f"/v1/rooms?{query}")).refusal == (400, name)


def signed(
    *, key: str = "dev", role: Role = "operator", seconds: float = 99, secret: str = SECRET, **claims: Any
) -> str:
    """A token for the scope ``rooms`` unless said otherwise."""
    return mint(Claims(key, "b", role, time.time() + seconds, **{"scope": "rooms"} | claims), secret)


@pytest.mark.parametrize(
    ("bearer", "refusal"),
    [
        ("", (401, "token_missing")),
        ("nonsense", (401, "token_malformed")),
        (signed(seconds=-60), (401, "token_expired")),
        (signed(nbf=time.time() + 3600, seconds=7200), (401, "token_not_yet_valid")),
        (signed(secret=SECRET + "!"), (401, "token_signature")),
        (signed(key="who"), (401, "token_unknown_key")),
        (signed(seconds=10**8), (401, "token_lifetime")),
        (signed(role="therapist", seconds=999), (403, "forbidden")),
        (signed(scope="sessions", seconds=999), (403, "token_scope")),
        (signed(room="r", seconds=999), (403, "token_scope")),
    ],
)
async def test_bad_tokens_are_refused_by_name(node: Node, bearer: str, refusal: tuple[int, str]) -> None:
    async with back_end(node, bearer) as stranger:
        answer = await stranger.get("/v1/rooms")
        assert answer.refusal == refusal
        assert ("WWW-Authenticate" in answer.headers) == (refusal[0] == 401)
        assert bearer not in answer.text or not bearer


async def test_a_token_for_one_room_or_session_reaches_no_other(api: BackEnd, node: Node) -> None:
    await api.room("mine")
    await api.room("yours")
    await api.session("mine", session="in-mine")
    await api.session("yours", session="in-yours")
    async with back_end(node, token(room="mine")) as own:
        assert (await own.get("/v1/rooms/mine")).status == 200
        assert (await own.get("/v1/rooms/yours")).refusal == (403, "token_scope")
        assert (await own.post("/v1/rooms", {"room": "third"})).refusal == (403, "token_scope")
        assert (await own.get("/v1/sessions/in-mine")).status == 200
        assert (await own.get("/v1/sessions/in-yours")).refusal == (403, "token_scope")
        assert (await own.ask("DELETE", "/v1/sessions/in-yours")).refusal == (403, "token_scope")
    async with back_end(node, token(session="in-mine")) as own:
        assert (await own.get("/v1/sessions/in-mine")).status == 200
        assert (await own.get("/v1/sessions/in-yours")).refusal == (403, "token_scope")


async def test_one_who_is_removed_from_a_room_is_out_of_its_session_at_once(api: BackEnd, node: Node) -> None:
    await api.room("leaving")
    await api.session("leaving", session="left")
    async with door_client(f"{node.url.replace('http', 'ws')}/v1/connect") as ben:
        await ben.hello(token("ben", "client"))
        joined = await ben.request("session.join", session="left")
        assert joined["result"]["present"] == ["ben"]
        await api.ask("DELETE", "/v1/rooms/leaving/members/ben")
        await ben.op("removed")
        assert (await ben.request("session.join", session="left"))["name"] == "no_such_session"
    assert "present" not in (await api.get("/v1/sessions/left")).json


async def test_a_revoked_account_is_cut_off_and_can_be_let_in_again(api: BackEnd, node: Node) -> None:
    await api.room("barred", mia="client", tom="therapist")
    await api.session("barred", session="cut")
    url = f"{node.url.replace('http', 'ws')}/v1/connect"
    async with door_client(url) as mia:
        await mia.hello(token("mia", "client"))
        await mia.request("session.join", session="cut")
        answer = await api.post("/v1/accounts/mia/revoke", {})
        assert (answer.status, answer.json) == (200, {"account": "mia"})
        assert await mia.close_code() == 4503
    assert "present" not in (await api.get("/v1/sessions/cut")).json
    async with door_client(url) as mia:
        assert (await mia.hello(token("mia", "client")))["name"] == "revoked"
    await api.post("/v1/accounts/mia/reinstate", {})
    async with door_client(url) as mia:
        assert (await mia.hello(token("mia", "client")))["op"] == "welcome"


async def test_a_revoked_device_is_out_of_the_session_at_once_and_others_stay(
    api: BackEnd, node: Node
) -> None:
    await api.room("devices", lea="client", max="therapist")
    await api.session("devices", session="two-devices")
    url = f"{node.url.replace('http', 'ws')}/v1/connect"
    async with door_client(url) as lost, door_client(url) as kept:
        await lost.hello(token("lea", "client"), "lost")
        await kept.hello(token("max", "therapist"), "kept")
        await lost.request("session.join", session="two-devices")
        await kept.request("session.join", session="two-devices")
        await api.post("/v1/accounts/lea/revoke", {"device": "lost"})
        assert await lost.close_code() == 4503
        await kept.expect(lambda frame: frame.get("body", {}).get("present") == ["max"])
    async with door_client(url) as again:
        assert (await again.hello(token("lea", "client"), "another"))["op"] == "welcome"


async def test_problems_are_problem_documents_and_nothing_is_cached(api: BackEnd) -> None:
    answer = await api.get("/v1/rooms/none")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in answer.headers
    page, _, name = answer.json["type"].partition("#")
    kinds = (await api.get(page)).json
    assert next(kind["code"] for kind in kinds if kind["name"] == name) == answer.json["code"]
    assert (await api.ask("PUT", "/v1/rooms")).headers["Allow"] == "GET,HEAD,POST"


async def test_the_pages_for_a_trial_are_for_development_only(api: BackEnd) -> None:
    assert (await api.post("/dev/session", {})).refusal == (404, "not_found")
    assert (await api.get("/")).refusal == (404, "not_found")


@pytest.mark.parametrize(
    ("error", "refusal", "line"),
    [
        (StoreFull(), (507, "store_full"), "request_not_served"),
        (Overloaded(), (503, "overloaded"), "request_not_served"),
        (StoreClosed(), (503, "going_away"), "request_not_served"),
        (StoreError("canary"), (500, "internal"), "request_not_served"),
        (RuntimeError("canary"), (500, "internal"), "request_failed"),
    ],
)
async def test_what_the_store_cannot_do_is_told_and_the_next_request_is_served(
    api: BackEnd,
    node: Node,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    refusal: tuple[int, str],
    line: str,
) -> None:
    async def fails(*_: object) -> None:
        raise error

    with monkeypatch.context() as failing, capture_logs() as logged:
        failing.setattr(node.store, "commit", fails)
        answer = await api.post("/v1/rooms", {"room": "canary"})
        assert answer.refusal == refusal
        assert answer.json["temporary"]
    assert "canary" not in answer.text + str(logged)
    # What the node does by itself meanwhile, such as saying that it lives, fails as well.
    assert [one["event"] for one in logged if one["event"].startswith("request")] == [line]
    assert (await api.post("/v1/rooms", {})).status == 201
