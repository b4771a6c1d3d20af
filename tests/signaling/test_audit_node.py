"""What a node records: with the change it tells of, without names and tokens, in bounded time and number."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from config.settings import AuditSettings, WebhookSettings
from relay.audit_chain import AuditEntry
from relay.audit_trail import AppendAudit, AuditFilter, EndGrant, Grant, PutGrant
from relay.errors import StoreFull
from relay.sqlite import SqliteStore
from signaling.audit import checkpoints, witness
from signaling.audit.origin import Origin
from signaling.node import Node, StartError
from signaling.timebase import Timebase
from tests.signaling.door_client import door_client
from tests.signaling.nodes import SECRET, back_end, running_node, settings, token

EVE = Origin("eve", "client", "c")
ALL = "rooms sessions accounts audit holds break_glass"


async def entries(node: Node, action: str | None = None) -> list[AuditEntry]:
    """What is recorded, what only waits to be included."""
    await node.auditor.tick()
    records = await node.store.audit(after=0, limit=10_000, matching=AuditFilter(action=action))
    return [record.entry for record in records]


def brief(found: Iterable[AuditEntry]) -> list[tuple[str, str, str, str]]:
    return [(one.actor, one.action, one.object_id, one.outcome) for one in found]


def connect_to(node: Node) -> str:
    return f"{node.url.replace('http', 'ws')}/v1/connect"


async def test_a_session_s_life_names_who_did_what_from_where(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node) as api:
        await api.room("r")
        await api.session("r", session="s", length_seconds=2)
        async with door_client(connect_to(node)) as anna, door_client(connect_to(node)) as ben:
            welcome = await anna.hello(token("anna", "therapist"))
            await ben.hello(token("ben", "client"))
            await anna.request("session.join", session="s")
            await ben.request("session.join", session="s")
            await anna.expect(lambda frame: frame.get("body", {}).get("change") == "ended")
        found = await entries(node)
    by_action = {one.action: one for one in found}
    created = by_action["room.created"]
    assert (created.actor, created.role, created.source, created.room) == (
        "backend@dev",
        "operator",
        "http",
        "r",
    )
    assert [one.subject for one in found if one.action.startswith("member.added")] == ["anna", "ben"]
    assert by_action["member.added.client"].subject == "ben"
    scheduled = by_action["session.scheduled"]
    assert (scheduled.actor, scheduled.object_kind, scheduled.object_id, scheduled.room) == (
        "backend@dev",
        "session",
        "s",
        "r",
    )
    live = by_action["session.live"]
    assert (live.actor, live.role, live.source == welcome["connection"]) == ("ben", "client", False)
    assert live.source
    ended = by_action["session.ended"]
    assert (ended.actor, ended.role, ended.source) == ("", "server", "clock")


async def test_an_entry_is_in_the_commit_of_what_it_tells_of(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node) as api:
        await api.room("r")
        before = await entries(node)
        assert (await api.post("/v1/rooms", {"room": "r"})).refusal == (409, "already_exists")
        key = "same-key"
        for _ in range(2):
            await api.post("/v1/rooms/r/members", {"account": "cleo", "role": "guest"}, key=key)
        await api.post("/v1/rooms/r/members", {"account": "cleo", "role": "client"})
        await api.ask("DELETE", "/v1/rooms/r/members/cleo")
        await api.post("/v1/accounts/ben/revoke", {})
        await api.post("/v1/accounts/ben/revoke", {"device": "d"})
        await api.post("/v1/accounts/ben/reinstate", {})
        assert [(one.action, one.object_id, one.subject) for one in (await entries(node))[len(before) :]] == [
            ("member.added.guest", "r", "cleo"),
            ("member.added.client", "r", "cleo"),
            ("member.removed.client", "r", "cleo"),
            ("account.revoked", "ben", ""),
            ("device.revoked", "d", "ben"),
            ("account.reinstated", "ben", ""),
        ]


async def test_what_is_done_around_sessions_is_recorded(tmp_path: Path) -> None:
    canary = "Canary-Jane-Doe"
    words = {"text": canary, "emergency": canary}
    away = {"zone": "UTC", "office": []}
    async with running_node(settings(tmp_path)) as node, back_end(node) as api:
        await api.room("r")
        assert (await api.ask("PATCH", "/v1/rooms/r", {"policy": {"overrun_seconds": 300}})).status == 200
        assert (await api.post("/v1/accounts/anna/hours", {"hours": away})).status == 200
        assert (await api.post("/v1/rooms/r/reply", words)).status == 200
        before = await entries(node)
        assert brief(before)[-3:] == [
            ("backend@dev", "room.changed", "r", "ok"),
            ("backend@dev", "hours.set", "anna", "ok"),
            ("backend@dev", "reply.worded", "r", "ok"),
        ]
        async with door_client(connect_to(node)) as anna, door_client(connect_to(node)) as ben:
            source = (await anna.hello(token("anna", "therapist")))["connection"]
            await ben.hello(token("ben", "client"))
            await anna.request("hours.set", hours=away)
            await anna.request("preferences.set", typing=True, receipts=False)
            sent = (await ben.message("r", canary.encode(), urgent=True))["result"]["offset"]
            await ben.expect(lambda f: f["op"] == "event" and f["body"]["kind"] == "auto_reply")
            for _ in range(2):
                await anna.request("urgent.acknowledge", room="r", offset=sent)
        found = (await entries(node))[len(before) :]
    assert [(one.actor, one.role, one.action, one.object_kind, one.object_id, one.room) for one in found] == [
        ("anna", "therapist", "hours.set", "account", "anna", ""),
        ("anna", "therapist", "preferences.set", "account", "anna", ""),
        ("", "server", "reply.sent", "room", "r", "r"),
        ("anna", "therapist", "urgent.acknowledged", "message", str(sent), "r"),
    ]
    assert [one.source for one in found] == [source, source, "clock", source]
    assert canary not in repr((before, found))


async def test_usage_can_be_opened_by_breaking_the_glass(tmp_path: Path) -> None:
    usage = "/v1/usage?from_ms=0&until_ms=1"
    async with running_node(settings(tmp_path)) as node:
        async with back_end(node, token("oncall", scope="break_glass")) as api:
            assert (await api.get(usage)).refusal == (403, "token_scope")
            asked = {"scope": "usage", "reason": "billing is down, month end"}
            assert (await api.post("/v1/break-glass", asked)).status == 201
            assert (await api.get(usage)).status == 200
            assert (await api.get("/v1/ratings?from_ms=0&until_ms=1")).refusal == (403, "token_scope")
        reads = await entries(node, "http.listUsage")
    assert [(one.outcome, one.reason) for one in reads] == [("token_scope", ""), ("ok", "break-glass")]


async def test_reads_and_refusals_are_recorded_with_their_outcome(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node) as api:
        await api.room("r")
        for _ in range(3):
            await api.get("/v1/rooms/r")
        await api.get("/v1/rooms/none")
        await api.get("/v1/rooms/not~an~id!/members")
        async with back_end(node, token(scope="rooms")) as narrow:
            await narrow.post("/v1/rooms/r/sessions", {"length_seconds": 600, "modality": "chat"})
        async with back_end(node, token("anna", "therapist")) as person:
            await person.get("/v1/rooms")
        async with door_client(connect_to(node)) as ben:
            await ben.hello(token("ben", "client"))
            assert (await ben.request("session.end", session="unheard-of"))["name"] == "no_such_session"
            assert (await ben.request("room.get", room="secret"))["name"] == "no_such_room"
            for no_id in ("Jane Doe, 1970", "jane@example.org", ".", "ü"):
                assert (await ben.request("room.get", room=no_id))["name"] == "no_such_room"
        found = await entries(node)
    noted = [one for one in found if one.action.startswith(("http.", "request."))]
    assert brief(noted) == [
        ("backend@dev", "http.getRoom", "r", "ok"),
        ("backend@dev", "http.getRoom", "none", "no_such_room"),
        ("backend@dev", "http.listMembers", "", "invalid_field"),
        ("backend@dev", "http.createSession", "r", "token_scope"),
        ("anna", "http.listRooms", "", "forbidden"),
        ("ben", "request.session.end", "unheard-of", "no_such_session"),
        ("ben", "request.room.get", "secret", "no_such_room"),
        ("ben", "request.room.get", "", "no_such_room"),
    ]
    assert (noted[-1].object_kind, noted[-1].count) == ("", 4)
    assert (noted[0].count, noted[0].room, noted[0].object_kind) == (3, "r", "room")


async def test_failed_logins_are_counted_and_repeat_nothing_of_the_token(tmp_path: Path) -> None:
    canary = "Canary-Jane-Doe"
    bad = [token(canary, "client") + "x", f"{canary}.x.y", token(canary, "client")[:-5], ""]
    async with running_node(settings(tmp_path)) as node, back_end(node) as api:
        await api.post("/v1/accounts/barred/revoke", {})
        for one in bad * 20:
            async with back_end(node, one) as stranger:
                assert (await stranger.get("/v1/rooms")).status == 401
        async with door_client(connect_to(node)) as stranger_there:
            await stranger_there.hello(bad[0])
        async with back_end(node, token("barred")) as barred:
            assert (await barred.get("/v1/rooms")).refusal == (403, "revoked")
        found = await entries(node, "login")
    assert canary not in repr(found)
    assert sum(one.count for one in found) == 4 * 20 + 2
    assert len(found) < 30, "equal ones are counted"
    assert {(one.actor, one.source) for one in found} == {("", "http"), ("", "websocket"), ("barred", "http")}
    assert {one.outcome for one in found} >= {
        "token_missing",
        "token_malformed",
        "token_signature",
        "revoked",
    }


async def test_what_comes_too_fast_is_counted(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node:
        await node.auditor.tick()
        for number in range(300):
            node.auditor.note(EVE, "request.room.get", "room", f"r{number}", "no_such_room")
        found = await entries(node, "audit.overflow")
    assert [one.count for one in found] == [300 - 256]


async def test_notes_wait_for_a_store_that_takes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_node(settings(tmp_path)) as node:
        node.auditor.note(EVE, "request.room.get", "room", "r", "no_such_room")
        with monkeypatch.context() as full:

            async def refuse(*_: object) -> None:
                raise StoreFull

            full.setattr(node.store, "commit", refuse)
            for _ in range(2):
                with pytest.raises(StoreFull):
                    await node.auditor.tick()
        assert brief(await entries(node, "request")) == [("eve", "request.room.get", "r", "no_such_room")]


async def test_starts_and_stops_are_recorded_signed_and_checked(tmp_path: Path) -> None:
    given = settings(tmp_path)
    for _ in range(2):
        async with running_node(given) as node:
            pass
    signed = list(witness.read(tmp_path / "rapport.db-checkpoints"))
    async with running_node(given) as node:
        found = await entries(node, "server")
        assert [one.action for one in found] == ["server.started", "server.stopped"] * 2 + ["server.started"]
        records = {one.sequence: one.digest for one in await node.store.audit(after=0, limit=100)}
        assert [records[one.sequence] for one in signed] == [one.digest for one in signed]
        assert signed[-1].sequence == max(records) - 1, "a planned stop signs everything"
    assert (tmp_path / "rapport.db-audit-key").stat().st_mode & 0o777 == 0o600


async def test_a_trail_that_was_cut_is_noticed_at_the_next_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = settings(tmp_path)
    async with running_node(given):
        pass
    later = list(witness.read(tmp_path / "rapport.db-checkpoints"))[-1]
    with (tmp_path / "rapport.db-checkpoints").open("ab") as file:
        file.write(checkpoints.encode(msgspec.structs.replace(later, sequence=99)))
    async with running_node(given) as node:
        assert brief(await entries(node, "audit.broken")) == [("", "audit.broken", "99", "ok")]
    assert "audit_broken" in capsys.readouterr().out


async def test_keys_that_cannot_be_used_keep_a_node_from_starting(tmp_path: Path) -> None:
    (tmp_path / "rapport.db-audit-key").write_text("no key")
    (tmp_path / "rapport.db-audit-key").chmod(0o600)
    with pytest.raises(StartError, match="audit"):
        await Node(settings(tmp_path)).start()


async def test_checkpoints_come_by_number_and_by_time(tmp_path: Path) -> None:
    few = settings(tmp_path, audit=AuditSettings(checkpoint_entries=5, checkpoint_seconds=86_400))
    async with running_node(few) as node, back_end(node, token(scope=ALL)) as api:
        for number in range(3):
            await api.room(f"r{number}")
            await node.auditor.tick()
        signed = [one.sequence for one in await node.store.audit_checkpoints(after=0, limit=99)]
        head = (await node.store.audit_head()).sequence
        assert signed[0] == 1
        assert all(later - earlier >= 5 for earlier, later in itertools.pairwise(signed))
        assert head - signed[-1] < 5
        page = (await api.get("/v1/audit/checkpoints?limit=1")).json
        shown = checkpoints.decode(json.dumps(page["items"][0]).encode())
        assert shown == (await node.store.audit_checkpoints(after=0, limit=1))[0]
        rest = (await api.get(f"/v1/audit/checkpoints?cursor={page['next']}")).json
        assert [one["sequence"] for one in rest["items"]] == signed[1:]


async def test_the_api_shows_what_is_asked_for_page_by_page(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node, token(scope=ALL)) as api:
        await api.room("r")
        await api.room("q", cleo="client")
        shown = (await api.get("/v1/audit?object_kind=room&object_id=q")).json["items"]
        assert [one["action"] for one in shown] == ["room.created", "member.added.client"]
        assert shown[1]["subject"] == "cleo"
        first = (await api.get("/v1/audit?limit=2&action=room")).json
        assert ([one["object_id"] for one in first["items"]], "next" in first) == (["r", "q"], False)
        one = (await api.get("/v1/audit?limit=1&actor=backend@dev&since_ms=0&until_ms=4000000000000")).json
        two = (await api.get(f"/v1/audit?limit=1&actor=backend@dev&cursor={one['next']}")).json
        assert two["items"][0]["sequence"] > one["items"][0]["sequence"]
        for query in ("object_id=q", "since_ms=soon", "colour=red", "since_ms=-1", f"action={'x' * 200}"):
            assert (await api.get(f"/v1/audit?{query}")).refusal == (400, "invalid_field")
        assert (await api.get("/v1/audit?cursor=x")).refusal == (400, "cursor_invalid")
        async with back_end(node, token(scope=ALL, room="r")) as bound:
            for path in ("/v1/audit", "/v1/audit/checkpoints", "/v1/audit/holds"):
                assert (await bound.get(path)).refusal == (403, "token_scope")
        async with back_end(node) as without:
            assert (await without.get("/v1/audit")).refusal == (403, "token_scope")
        read = await entries(node, "http.listAudit")
    assert {one.outcome for one in read} >= {"ok", "invalid_field", "token_scope"}


async def test_legal_holds_are_placed_listed_released_and_recorded(tmp_path: Path) -> None:
    async with running_node(settings(tmp_path)) as node, back_end(node, token(scope=ALL)) as api:
        for kind, name in (("room", "r"), ("account", "ben"), ("room", "q")):
            placed = await api.post("/v1/audit/holds", {"kind": kind, "id": name})
            assert (placed.status, placed.headers["Location"]) == (201, f"/v1/audit/holds/{kind}/{name}")
        first = (await api.get("/v1/audit/holds?limit=2")).json
        assert [(one["kind"], one["id"]) for one in first["items"]] == [("account", "ben"), ("room", "q")]
        rest = (await api.get(f"/v1/audit/holds?cursor={first['next']}")).json
        assert [one["id"] for one in rest["items"]] == ["r"]
        assert (await api.ask("DELETE", "/v1/audit/holds/room/r")).status == 204
        assert (await api.ask("DELETE", "/v1/audit/holds/room/r")).refusal == (404, "no_such_hold")
        assert (await api.post("/v1/audit/holds", {"kind": "cat", "id": "r"})).refusal == (
            400,
            "invalid_field",
        )
        async with back_end(node, token(scope="audit")) as reader:
            assert (await reader.post("/v1/audit/holds", {"kind": "room", "id": "x"})).refusal[0] == 403
        assert brief(await entries(node, "hold")) == [
            ("backend@dev", "hold.placed", "r", "ok"),
            ("backend@dev", "hold.placed", "ben", "ok"),
            ("backend@dev", "hold.placed", "q", "ok"),
            ("backend@dev", "hold.released", "r", "ok"),
        ]


async def test_old_entries_are_pruned_and_held_ones_stay(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "rapport.db")
    await store.open()
    old_ms = Timebase().now_ms() - 3000 * 86_400_000
    for number in range(2_500):
        room = "held" if number % 1000 == 7 else "r"
        await store.commit(
            AppendAudit(AuditEntry(old_ms, "a", "client", "x", "room", room, room, "", "http", "ok"))
        )
    await store.close()

    async with running_node(settings(tmp_path)) as node, back_end(node, token(scope=ALL)) as api:
        await api.post("/v1/audit/holds", {"kind": "room", "id": "held"})
        await node.forget()
        assert [one.object_id for one in await entries(node, "x")] == ["held"] * 3
        pruned = await entries(node, "audit.pruned")
        assert (sum(one.count for one in pruned), pruned[-1].object_id) == (2_497, "2500")
        await node.forget()
        assert await entries(node, "audit.pruned") == pruned, "there is nothing more to do"
        await api.ask("DELETE", "/v1/audit/holds/room/held")
        await node.forget()
        assert await entries(node, "x") == []
        assert (await node.store.audit(after=0, limit=1))[0].sequence == 2_501


async def test_the_glass_is_broken_for_reading_with_a_reason_and_for_a_while(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = settings(
        tmp_path,
        audit=AuditSettings(break_glass_minutes=30),
        webhooks=WebhookSettings(endpoints={"e": "http://127.0.0.1:9/"}, secrets={"e": SECRET}),
    )
    async with running_node(given) as node, back_end(node, token("oncall", scope="break_glass")) as api:
        assert (await api.get("/v1/rooms")).refusal == (403, "token_scope")
        asked = {"scope": "rooms", "reason": "incident 12, access review", "minutes": 31}
        assert (await api.post("/v1/break-glass", asked)).refusal == (400, "invalid_field")
        opened = await api.post("/v1/break-glass", asked | {"minutes": 30})
        assert opened.status == 201
        until_ms = opened.json["until_ms"]
        assert 29 * 60_000 < until_ms - node.timebase.now_ms() <= 30 * 60_000
        (told,) = await node.store.deliveries("waiting", limit=9)
        assert told.type == "audit.break_glass"
        assert json.loads(told.body)["data"] == {
            "account": "oncall@dev",
            "scope": "rooms",
            "until_ms": until_ms,
        }
        assert (await api.get("/v1/rooms")).status == 200
        assert (await api.get("/v1/audit")).refusal == (403, "token_scope"), "only what was asked for"
        assert (await api.post("/v1/rooms", {"room": "r"})).refusal == (403, "token_scope"), (
            "for reading only"
        )
        async with back_end(node, token("another", scope="break_glass")) as other:
            assert (await other.get("/v1/rooms")).refusal == (403, "token_scope")
        (entry,) = await entries(node, "break_glass.opened")
        assert (entry.actor, entry.object_id, entry.reason) == ("oncall@dev", "rooms", asked["reason"])
        reads = [one for one in await entries(node, "http.listRooms") if one.outcome == "ok"]
        assert [(one.actor, one.reason) for one in reads] == [("oncall@dev", "break-glass")]

        await expire(node, Grant("oncall@dev", "rooms", until_ms))
        assert (await api.get("/v1/rooms")).refusal == (403, "token_scope")
        (ended,) = await entries(node, "break_glass.ended")
        assert (ended.subject, ended.object_id, ended.source) == ("oncall@dev", "rooms", "clock")
        assert await node.store.grant("oncall@dev", "rooms") is None
    logged = capsys.readouterr().out
    assert "break_glass_opened" in logged
    assert "incident" not in logged
    for wrong in ({"reason": "short"}, {"scope": "accounts"}, {"minutes": 0}):
        async with running_node(given) as node, back_end(node, token(scope=ALL)) as api:
            assert (await api.post("/v1/break-glass", asked | wrong)).status == 400


async def expire(node: Node, grant: Grant) -> None:
    """Let a grant run out, without waiting for it."""
    await node.store.commit(
        EndGrant(grant), PutGrant(Grant(grant.account, grant.scope, node.timebase.now_ms()))
    )


async def test_nothing_secret_is_in_the_trail_or_its_files(tmp_path: Path) -> None:
    canary = "Canary-Content-4711"
    async with running_node(settings(tmp_path)) as node, back_end(node) as api:
        await api.room("r")
        await api.session("r", session="s", length_seconds=60)
        async with door_client(connect_to(node)) as anna:
            bearer = token("anna", "therapist")
            await anna.hello(bearer)
            await anna.message("r", canary.encode())
            await anna.request("session.get", session="s", note=canary)
        found = repr(await entries(node))
    files = b"".join(path.read_bytes() for path in tmp_path.glob("rapport.db-[ac]*"))
    for secret in (canary, bearer, SECRET, api.bearer, "127.0.0.1"):
        assert secret not in found
        assert secret.encode() not in files
