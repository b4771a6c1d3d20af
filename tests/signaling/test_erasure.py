"""Erasing accounts: over HTTP, in one step, and what is said of what stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from protocol import errors
from protocol.errors import ProtocolError
from relay.audit_trail import AuditFilter
from relay.documents import PutDocument
from relay.ratings import PutRating, Rating
from relay.writes import AddMember
from signaling.erasure import ATTEMPTS, Erasure
from signaling.hours.service import HOURS
from signaling.node import Node
from signaling.notes import notes_beside
from tests.signaling.door_client import Frame, door_client
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token
from tests.signaling.test_export import exported, of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCOPE = "rooms sessions accounts holds export erase"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    async with running_node(settings(tmp_path_factory.mktemp("erasure"))) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def api(node: Node) -> AsyncIterator[BackEnd]:
    async with back_end(node, token(scope=SCOPE)) as api:
        yield api


def socket_url(node: Node) -> str:
    return f"{node.url.replace('http', 'ws')}/v1/connect"


async def erase(api: BackEnd, account: str, **more: Any) -> dict[str, Any]:
    answer = await api.post(f"/v1/accounts/{account}/erase", {}, **more)
    assert answer.status == 200, answer.text
    erased: dict[str, Any] = answer.json
    return erased


def _removed(frame: Frame) -> str | None:
    """Whom the log of a room tells to be gone."""
    body = frame["body"] if frame["op"] == "event" else {}
    return body["account"] if body.get("change") == "removed" else None


async def test_an_account_is_barred_out_of_its_rooms_and_forgotten(node: Node, api: BackEnd) -> None:
    for room in ("a1", "a2"):
        await api.room(room, ada="therapist", abe="client")
    session = (await api.session("a1"))["session"]
    await node.store.commit(
        PutDocument(HOURS, "abe", b"own"), PutRating(Rating(session, "abe", "clinical", b"", 5))
    )
    async with door_client(socket_url(node)) as abe, door_client(socket_url(node)) as ada:
        await abe.hello(token("abe", "client"))
        await ada.hello(token("ada", "therapist"))
        assert (await abe.request("message.send", room="a1", mid=bytes(16), data=b"x"))["op"] == "ok"
        erased = await erase(api, "abe")
        assert erased == {
            "account": "abe", "rooms": 2, "events": 1, "blobs": 0, "sessions": 1, "records": 2
        }  # fmt: skip
        seen = [await ada.expect(lambda frame: _removed(frame) == "abe") for _ in range(2)]
        assert {frame["room"] for frame in seen} == {"a1", "a2"}
        assert await abe.close_code() == errors.DEVICE_REVOKED.code
    async with door_client(socket_url(node)) as abe:
        assert (await abe.hello(token("abe", "client")))["op"] == "error"
    assert await node.store.documents(HOURS, ["abe"]) == {}
    assert await node.store.ratings_of("abe", limit=9) == ()
    about = AuditFilter(object_kind="account", object_id="abe")
    found = await node.store.audit(after=0, limit=99, matching=about)
    assert {"account.revoked", "account.erased", "member.removed.client"} <= {
        one.entry.action for one in found
    }


async def test_what_stays_is_in_an_export(api: BackEnd, node: Node) -> None:
    await api.room("b1", bea="therapist", bob="client")
    attended, missed = [(await api.session("b1"))["session"] for _ in range(2)]
    async with door_client(socket_url(node)) as bea, door_client(socket_url(node)) as bob:
        await bob.hello(token("bob", "client"))
        assert (await bob.request("session.join", session=attended))["op"] == "ok"
        await bea.hello(token("bea", "therapist"))
        await bea.message("b1", b"before")
        await erase(api, "bob")
        await bea.message("b1", b"after")
    lines = await exported(api, "bob")
    assert of(lines, "membership") == []
    (left,) = of(lines, "departure")
    assert (left["room"], left["role"]) == ("b1", "client")
    assert [one["offset"] for one in of(lines, "event")] == list(range(1, left["through"] + 1))
    assert left["head"] > left["through"], "nothing of what it could not read"
    sessions = [one["session"] for one in of(lines, "session")]
    assert sessions == [attended], f"not {missed}"


async def test_it_can_be_said_again(api: BackEnd, node: Node) -> None:
    await api.room("c1", cleo="client")
    first = await erase(api, "cleo", key="erase-cleo")
    log = (await node.store.heads(["c1"]))["c1"]
    assert await erase(api, "cleo", key="erase-cleo") == first, "the same reply"
    again = await erase(api, "cleo")
    assert again | {"records": 0} == first | {"records": 0}
    assert (await node.store.heads(["c1"]))["c1"] == log, "nobody leaves twice"
    assert (await erase(api, "nobody-at-all"))["rooms"] == 0


@pytest.mark.parametrize("hold", [("account", "dan"), ("room", "d1"), ("account", "dora")])
async def test_a_legal_hold_is_in_the_way(api: BackEnd, node: Node, hold: tuple[str, str]) -> None:
    if await node.store.room("d1") is None:
        await api.room("d1", dora="therapist", dan="client")
    kind, name = hold
    placed = await api.post("/v1/audit/holds", {"kind": kind, "id": name, "reason": "a case"})
    assert placed.status < 300, placed.text
    assert (await api.post("/v1/accounts/dan/erase", {})).refusal == (409, "legal_hold")
    assert await node.store.revocation("dan", "") is None, "nothing of it was done"
    assert {one.account for one in await node.store.members("d1")} == {"dan", "dora"}
    assert (await api.ask("DELETE", f"/v1/audit/holds/{kind}/{name}")).status == 204


async def test_notes_stay_and_nobody_is_told_of_them(api: BackEnd, node: Node) -> None:
    await api.room("e1", eve="therapist", ed="client")
    assert (await api.post("/v1/rooms/e1/notes", {"account": "eve"})).status == 200
    assert (await erase(api, "eve"))["rooms"] == 2
    notes = notes_beside("e1", "eve")
    assert (await node.store.heads([notes]))[notes].head == 0
    assert await node.store.members(notes) == ()


async def test_an_account_that_is_added_to_rooms_all_the_time(node: Node, api: BackEnd) -> None:
    """It is in no room in the end, or nothing has happened."""
    added = 0

    class Adding:
        """Adds the account to one more room just before each commit."""

        def __getattr__(self, name: str) -> Any:
            return getattr(node.rooms, name)

        async def commit(self, *writes: Any) -> Any:
            nonlocal added
            if added < times:
                added += 1
                await api.room(f"f{added}-{times}")
                await node.store.commit(AddMember(f"f{added}-{times}", "flo", "client", 1))
            return await node.rooms.commit(*writes)

    erasure = Erasure(node.store, Adding(), node.sessions, node.timebase)  # type: ignore[arg-type]
    times = ATTEMPTS
    with pytest.raises(ProtocolError) as refused:
        await erasure.erase("flo", ())
    assert refused.value.kind is errors.OVERLOADED
    assert await node.store.revocation("flo", "") is None
    added, times = 0, ATTEMPTS - 1
    await erasure.erase("flo", ())
    assert await node.store.rooms_of("flo", limit=9) == ()
    assert await node.store.revocation("flo", "") is not None


async def test_two_back_ends_at_once(api: BackEnd, node: Node) -> None:
    await api.room("g1", gus="client", gil="therapist")
    await asyncio.gather(*(erase(api, "gus") for _ in range(5)))
    page = await node.store.events("g1", after=0, limit=99, max_bytes=1 << 20)
    assert page.log.head == 3, "one has taken it out of the room"


@pytest.mark.parametrize("bearer", [token(scope="accounts rooms"), token(scope="erase", room="r")])
async def test_it_is_not_for_everyone(node: Node, bearer: str) -> None:
    async with back_end(node, bearer) as api:
        assert (await api.post("/v1/accounts/ben/erase", {})).refusal == (403, "token_scope")
