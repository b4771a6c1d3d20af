"""Blobs of a real node over real HTTP: uploaded in parts, resumed, got in parts, refused."""

from __future__ import annotations

import asyncio
import gzip
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
import pytest
import pytest_asyncio

from config.settings import BlobSettings
from relay.audit_trail import AuditFilter
from signaling.node import Node
from tests.signaling.blob_kit import Member, Stream, member, sha256
from tests.signaling.nodes import BackEnd, back_end, running_node, settings, token
from tests.signaling.waiting import PATIENCE_SECONDS, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

KIB, MIB = 1 << 10, 1 << 20
LIMITS = BlobSettings(
    max_bytes=2 * MIB, patch_bytes=512 * KIB, stall_seconds=600, transfers_per_account=2, keep_free_bytes=0
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    folder = tmp_path_factory.mktemp("node")
    async with running_node(settings(folder, blobs=LIMITS)) as node:
        yield node


@pytest_asyncio.fixture(loop_scope="module")
async def api(node: Node) -> AsyncIterator[BackEnd]:
    async with back_end(node) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="module")
async def room(api: BackEnd) -> str:
    """A room of its own for each test."""
    return await api.room(f"r-{uuid.uuid4().hex[:12]}", anna="therapist", ben="client")


@pytest_asyncio.fixture(loop_scope="module")
async def anna(node: Node) -> AsyncIterator[Member]:
    async with member(node.url, token("anna", "therapist")) as anna:
        yield anna


@pytest_asyncio.fixture(loop_scope="module")
async def ben(node: Node) -> AsyncIterator[Member]:
    async with member(node.url, token("ben", "client")) as ben:
        yield ben


def files(node: Node) -> set[str]:
    """What lies in the folder of the blobs."""
    return set(os.listdir(f"{node._settings.store.url.removeprefix('sqlite:///')}-blobs"))


async def first_piece(node: Node, upload: str) -> int:
    """Wait for the first bytes of an upload to be kept; how many they are."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (size := await node.blobs._blobs.size(upload)):  # noqa: ASYNC110 - the disk tells nobody
            await asyncio.sleep(0.005)
        return size


# --- Uploading


async def test_a_member_uploads_in_parts_and_the_others_get_it(
    node: Node, room: str, anna: Member, ben: Member
) -> None:
    data = os.urandom(700 * KIB)
    upload = await anna.upload(room, data)
    for start in range(0, len(data), 300 * KIB):
        standing = await anna.head(upload)
        assert (standing.status, standing.offset) == (200, start)
        assert standing.headers["Upload-Length"] == str(len(data))
        assert (await ben.get(sha256(data))).refusal == (404, "no_such_blob")
        part = data[start : start + 300 * KIB]
        answer = await anna.patch(upload, start, part)
        assert (answer.status, answer.offset) == (204, start + len(part))
    assert (await anna.head(upload)).offset == len(data)
    for one in (anna, ben):
        got = await one.get(sha256(data))
        assert (got.status, got.body) == (200, data)
        assert got.headers["Content-Type"] == "application/octet-stream"
        assert got.headers["ETag"] == f'"{sha256(data)}"'
    assert {upload} <= files(node)


async def test_a_body_of_unknown_length_is_taken(room: str, anna: Member) -> None:
    data = os.urandom(10 * KIB)
    stream = Stream()
    for start in range(0, len(data), KIB):
        stream.send(data[start : start + KIB])
    stream.send(None)
    assert (await anna.patch(await anna.upload(room, data), 0, aiter(stream))).status == 204
    assert (await anna.get(sha256(data))).body == data


async def test_the_same_bytes_are_uploaded_once(room: str, anna: Member, ben: Member) -> None:
    data = os.urandom(KIB)
    upload = await anna.upload(room, data)
    await anna.patch(upload, 0, data[:100])
    again = await anna.begin(room, data)
    assert (again.status, again.json["upload"], again.json["offset"]) == (200, upload, 100)
    await anna.patch(upload, 100, data[100:])
    for one in (anna, ben):
        known = await one.begin(room, data)
        assert (known.status, known.json["whole"], known.json["offset"]) == (200, True, KIB)
        assert "upload" not in known.json
        assert "Location" not in known.headers


async def test_two_members_upload_the_same_bytes_and_one_of_them_is_kept(
    node: Node, room: str, anna: Member, ben: Member
) -> None:
    data = os.urandom(KIB)
    uploads = await anna.upload(room, data), await ben.upload(room, data)
    answers = await asyncio.gather(anna.patch(uploads[0], 0, data), ben.patch(uploads[1], 0, data))
    assert [(one.status, one.offset) for one in answers] == [(204, KIB)] * 2
    assert len(files(node) & {name + end for name in uploads for end in ("", ".part")}) == 1
    assert (await anna.get(sha256(data))).body == data


async def test_bytes_go_on_where_the_upload_stands(room: str, anna: Member) -> None:
    data = os.urandom(KIB)
    upload = await anna.upload(room, data)
    await anna.patch(upload, 0, data[:100])
    for wrong in (0, 99, 101, KIB):
        answer = await anna.patch(upload, wrong, data[:10])
        assert answer.refusal == (409, "upload_offset")
        assert answer.offset == 100
    assert (await anna.patch(upload, 100, data[100:])).status == 204
    # The answer was lost, and the client sends the end again.
    assert (await anna.patch(upload, 100, data[100:])).refusal == (409, "upload_offset")
    assert (await anna.patch(upload, KIB, b"")).status == 204
    assert (await anna.get(sha256(data))).body == data


@pytest.mark.parametrize("room_asked", ["", "r" * 65, "none", "\u00e9"])
async def test_a_room_that_is_none_is_refused(anna: Member, room_asked: str) -> None:
    assert (await anna.begin(room_asked, b"x")).refusal[0] in {400, 404}


@pytest.mark.parametrize("begins", ["", "-1", "1.0", "x", "9" * 19, "\u0661"])
async def test_where_bytes_begin_has_to_be_said(room: str, anna: Member, begins: str) -> None:
    upload = await anna.upload(room, os.urandom(KIB))
    answer = await anna.ask("PATCH", f"/v1/blobs/uploads/{upload}", b"x", Upload_Offset=begins)
    assert answer.refusal == (400, "invalid_field")


async def test_wrong_bytes_are_deleted(node: Node, room: str, anna: Member) -> None:
    data = os.urandom(KIB)
    upload = await anna.upload(room, data)
    wrong = data[:-1] + bytes([data[-1] ^ 1])
    assert (await anna.patch(upload, 0, wrong)).refusal == (422, "blob_differs")
    assert not files(node) & {upload, f"{upload}.part"}
    assert (await anna.head(upload)).status == 404
    assert (await anna.patch(upload, 0, data)).refusal == (404, "no_such_upload")
    assert (await anna.get(sha256(data))).refusal == (404, "no_such_blob")
    assert await anna.put(room, data) == sha256(data)


async def test_compressed_bytes_are_not_taken(room: str, anna: Member) -> None:
    upload = await anna.upload(room, os.urandom(KIB))
    path = f"/v1/blobs/uploads/{upload}"
    body = gzip.compress(b"x")
    answer = await anna.ask("PATCH", path, body, Upload_Offset="0", Content_Encoding="gzip")
    assert answer.refusal == (400, "invalid_field")


async def test_what_has_come_is_kept_when_the_connection_breaks(node: Node, room: str, anna: Member) -> None:
    data = os.urandom(600 * KIB)
    upload = await anna.upload(room, data)
    stream = Stream()
    sending = asyncio.create_task(anna.patch(upload, 0, aiter(stream)))
    stream.send(data[: 500 * KIB])
    await first_piece(node, upload)
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    await until(lambda: not node.blobs._turns._waiting)
    offset = (await anna.head(upload)).offset
    assert 0 < offset <= 500 * KIB
    assert (await anna.patch(upload, offset, data[offset:])).status == 204
    assert (await anna.get(sha256(data))).body == data


async def test_a_client_that_comes_back_takes_the_place_of_its_broken_connection(
    node: Node, room: str, anna: Member
) -> None:
    data = os.urandom(600 * KIB)
    upload = await anna.upload(room, data)
    stream = Stream()
    stalled = asyncio.create_task(anna.patch(upload, 0, aiter(stream)))
    stream.send(data[: 300 * KIB])
    have = await first_piece(node, upload)
    # Where the first one stood when it was ended is told by the refusal, or it was here already.
    answer = await anna.patch(upload, have, data[have:])
    if answer.status == 409:
        answer = await anna.patch(upload, answer.offset, data[answer.offset :])
    assert answer.status == 204
    stream.send(None)
    with suppress(aiohttp.ClientError):
        assert (await stalled).refusal == (408, "upload_interrupted")
    assert (await anna.get(sha256(data))).body == data


async def test_an_upload_can_be_given_up(node: Node, room: str, anna: Member, ben: Member) -> None:
    data = os.urandom(KIB)
    upload = await anna.upload(room, data)
    await anna.patch(upload, 0, data[:100])
    path = f"/v1/blobs/uploads/{upload}"
    assert (await ben.ask("DELETE", path)).refusal == (404, "no_such_upload")
    assert (await anna.ask("DELETE", path)).status == 204
    assert f"{upload}.part" not in files(node)
    assert (await anna.ask("DELETE", path)).refusal == (404, "no_such_upload")
    await anna.put(room, data)
    again = await anna.begin(room, data)
    assert again.json["whole"]


async def test_a_whole_blob_is_not_given_up(room: str, anna: Member) -> None:
    data = os.urandom(KIB)
    upload = await anna.upload(room, data)
    await anna.patch(upload, 0, data)
    assert (await anna.ask("DELETE", f"/v1/blobs/uploads/{upload}")).refusal == (404, "no_such_upload")
    assert (await anna.get(sha256(data))).status == 200


async def test_another_size_for_the_same_hash_begins_anew(room: str, anna: Member) -> None:
    data = os.urandom(KIB)
    first = await anna.begin(room, data, size=KIB + 1)
    await anna.patch(first.json["upload"], 0, data)
    second = await anna.begin(room, data)
    assert second.status == 201
    assert (await anna.head(first.json["upload"])).status == 404
    assert (await anna.patch(second.json["upload"], 0, data)).status == 204


# --- Limits


async def test_blobs_have_a_largest_size(room: str, anna: Member) -> None:
    assert (await anna.begin(room, b"x", size=LIMITS.max_bytes + 1)).refusal == (413, "blob_too_large")
    assert (await anna.begin(room, b"x", size=LIMITS.max_bytes)).status == 201


async def test_no_more_bytes_come_than_were_announced(room: str, anna: Member) -> None:
    data = os.urandom(KIB)
    upload = await anna.upload(room, data)
    assert (await anna.patch(upload, 0, data + b"x")).refusal == (413, "blob_too_large")
    assert (await anna.head(upload)).offset == 0
    stream = Stream()
    stream.send(data + b"x")
    stream.send(None)
    assert (await anna.patch(upload, 0, aiter(stream))).refusal == (413, "blob_too_large")
    assert (await anna.head(upload)).offset == 0
    assert (await anna.patch(upload, 0, data)).status == 204
    assert (await anna.patch(upload, KIB, b"x")).refusal == (413, "blob_too_large")


async def test_one_request_carries_no_more_than_allowed(room: str, anna: Member) -> None:
    data = os.urandom(LIMITS.patch_bytes + 10)
    answer = await anna.begin(room, data)
    assert answer.json["patch_bytes"] == LIMITS.patch_bytes
    upload = answer.json["upload"]
    assert (await anna.patch(upload, 0, data)).refusal == (413, "blob_too_large")
    assert (await anna.patch(upload, 0, data[:-10])).status == 204
    assert (await anna.patch(upload, len(data) - 10, data[-10:])).status == 204
    assert (await anna.get(sha256(data))).body == data


@pytest.mark.parametrize(
    "spec",
    [
        {"size": 0},
        {"size": -1},
        {"size": "1"},
        {"sha256": "0" * 63},
        {"sha256": "A" * 64},
        {"sha256": "0" * 64 + "\n"},
        {"other": 1},
    ],
)
async def test_what_is_no_upload_is_not_begun(room: str, anna: Member, spec: dict[str, object]) -> None:
    assert (await anna.begin(room, b"x", **spec)).refusal == (400, "invalid_field")


async def test_transfers_of_an_account_are_bounded(node: Node, room: str, anna: Member, ben: Member) -> None:
    streams = [Stream() for _ in range(LIMITS.transfers_per_account)]
    uploads = [await anna.upload(room, os.urandom(KIB)) for _ in streams]
    sending = [
        asyncio.create_task(anna.patch(upload, 0, aiter(stream)))
        for upload, stream in zip(uploads, streams, strict=True)
    ]
    for stream in streams:
        stream.send(b"x")  # a client sends the head of a request with the first bytes of its body
    await until(lambda: node.blobs._transfers._under_way["anna"] == len(streams))
    refused = await anna.patch(await anna.upload(room, b"more"), 0, b"more")
    assert refused.refusal == (429, "rate_limited")
    assert "Retry-After" in refused.headers
    assert await ben.put(room, b"of ben, whom that does not concern")
    for stream in streams:
        stream.send(None)
    assert [(await one).status for one in sending] == [204] * len(streams)
    await until(lambda: not node.blobs._transfers._under_way)


# --- Who may


async def test_strangers_learn_nothing(node: Node, room: str, anna: Member) -> None:
    data = os.urandom(KIB)
    name, upload = await anna.put(room, data), await anna.upload(room, b"half")
    async with member(node.url, token("eve", "client")) as eve:
        assert (await eve.begin(room, data)).refusal == (404, "no_such_room")
        assert (await eve.begin("none", data)).refusal == (404, "no_such_room")
        assert (await eve.get(name)).refusal == (404, "no_such_blob")
        assert (await eve.ask("HEAD", f"/v1/blobs/{name}")).status == 404
        assert (await eve.head(upload)).status == 404
        assert (await eve.patch(upload, 0, b"half")).refusal == (404, "no_such_upload")


async def test_uploads_are_their_accounts_alone(room: str, anna: Member, ben: Member) -> None:
    upload = await anna.upload(room, b"half")
    assert (await ben.head(upload)).status == 404
    assert (await ben.patch(upload, 0, b"half")).refusal == (404, "no_such_upload")
    assert (await anna.patch(upload, 0, b"half")).status == 204


async def test_who_is_no_member_any_more_is_a_stranger(room: str, api: BackEnd, ben: Member) -> None:
    data = os.urandom(KIB)
    name, upload = await ben.put(room, data), await ben.upload(room, b"half")
    assert (await api.ask("DELETE", f"/v1/rooms/{room}/members/ben")).status == 204
    assert (await ben.get(name)).refusal == (404, "no_such_blob")
    assert (await ben.patch(upload, 0, b"half")).refusal == (404, "no_such_room")
    assert (await ben.begin(room, data)).refusal == (404, "no_such_room")


async def test_tokens_reach_no_further_than_they_say(node: Node, room: str, anna: Member) -> None:
    name, upload = await anna.put(room, os.urandom(KIB)), await anna.upload(room, b"half")
    async with member(node.url, token("anna", "therapist", room="other")) as other:
        assert (await other.get(name)).refusal == (404, "no_such_blob")
        assert (await other.begin(room, b"x")).refusal == (403, "token_scope")
        assert (await other.patch(upload, 0, b"half")).refusal == (403, "token_scope")
    async with member(node.url, token("anna", "therapist", session="s")) as other:
        assert (await other.get(name)).refusal == (403, "token_scope")
    async with member(node.url, token("anna", "therapist", room=room)) as own:
        assert (await own.get(name)).status == 200
    for bearer in ("", "x"):
        async with member(node.url, bearer) as nobody:
            assert (await nobody.get(name)).status == 401


async def test_a_token_for_one_device_is_good_from_that_device(node: Node, room: str, anna: Member) -> None:
    name = await anna.put(room, os.urandom(KIB))
    bearer = token("anna", "therapist", device="phone")
    for device, status in (("phone", 200), ("laptop", 403), ("", 400), ("x" * 65, 400)):
        async with member(node.url, bearer, Rapport_Device=device) as one:
            assert (await one.get(name)).status == status
    async with member(node.url, bearer) as one:
        assert (await one.get(name)).refusal == (403, "token_scope")


async def test_who_is_barred_gets_nothing(node: Node, api: BackEnd) -> None:
    room = await api.room("of-ida", ida="therapist")
    async with (
        member(node.url, token("ida", "therapist"), Rapport_Device="lost") as lost,
        member(node.url, token("ida", "therapist"), Rapport_Device="kept") as kept,
    ):
        name = await lost.put(room, os.urandom(KIB))
        assert (await api.post("/v1/accounts/ida/revoke", {"device": "lost"})).status == 200
        assert (await lost.get(name)).refusal == (403, "revoked")
        assert (await kept.get(name)).status == 200
        assert (await api.post("/v1/accounts/ida/revoke", {})).status == 200
        assert (await kept.get(name)).refusal == (403, "revoked")


# --- Getting parts


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 1000),
        ("bytes=999-", 999, 1000),
        ("bytes=10-19", 10, 20),
        ("bytes=990-5000", 990, 1000),
        ("bytes=-1", 999, 1000),
        ("bytes=-5000", 0, 1000),
        ("BYTES=1-2", 1, 3),
    ],
)
async def test_a_range_is_got(room: str, anna: Member, asked: str, start: int, end: int) -> None:
    data = os.urandom(1000)
    got = await anna.get(await anna.put(room, data), Range=asked)
    assert (got.status, got.body) == (206, data[start:end])
    assert got.headers["Content-Range"] == f"bytes {start}-{end - 1}/1000"


@pytest.mark.parametrize("asked", ["bytes=1000-", "bytes=5000-6000", "bytes=-0", "bytes=1000-1000"])
async def test_a_range_outside_is_refused(room: str, anna: Member, asked: str) -> None:
    answer = await anna.get(await anna.put(room, os.urandom(1000)), Range=asked)
    assert answer.refusal == (416, "range_invalid")
    assert answer.headers["Content-Range"] == "bytes */1000"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=2-1",
        "bytes=-",
        "bytes=0-1,3-4",
        "bytes",
        "lines=0-1",
        "bytes=a-b",
        "bytes=0-1 2",
        "bytes=--1",
        "",
    ],
)
async def test_what_is_no_range_gets_everything(room: str, anna: Member, asked: str) -> None:
    data = os.urandom(1000)
    got = await anna.get(await anna.put(room, data), Range=asked)
    assert (got.status, got.body) == (200, data)


async def test_conditions_compare_the_hash(room: str, anna: Member) -> None:
    data = os.urandom(1000)
    name = await anna.put(room, data)
    assert (await anna.get(name, If_None_Match=f'"{name}"')).status == 304
    assert (await anna.get(name, If_None_Match='"x"')).status == 200
    assert (await anna.get(name, If_Range=f'"{name}"', Range="bytes=0-1")).status == 206
    for other in ('"x"', f'W/"{name}"', "Mon, 23 Nov 2026 00:00:00 GMT"):
        assert (await anna.get(name, If_Range=other, Range="bytes=0-1")).body == data
    head = await anna.ask("HEAD", f"/v1/blobs/{name}")
    assert (head.status, head.headers["Content-Length"]) == (200, "1000")
    assert head.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("name", ["0" * 64, "x", "A" * 64, "0" * 65, "%00", "..%2F..%2Fetc%2Fpasswd"])
async def test_what_is_no_blob_is_not_found(anna: Member, name: str) -> None:
    assert (await anna.ask("GET", f"/v1/blobs/{name}")).refusal[0] == 404


@pytest.mark.parametrize("upload", ["0" * 32, "x", "..%2Fx", "%ff"])
async def test_what_is_no_upload_is_not_found(anna: Member, upload: str) -> None:
    assert (await anna.patch(upload, 0, b"x")).refusal == (404, "no_such_upload")


# --- Back ends, audit, metrics


async def test_a_back_end_deletes_what_no_hold_keeps(
    node: Node, room: str, api: BackEnd, anna: Member
) -> None:
    name = await anna.put(room, os.urandom(KIB))
    async with back_end(node, token(scope="rooms audit holds")) as legal:
        hold = {"kind": "room", "id": room}
        assert (await legal.post("/v1/audit/holds", hold)).status == 201
        assert (await legal.ask("DELETE", f"/v1/rooms/{room}/blobs/{name}")).refusal == (409, "blob_held")
        assert (await anna.get(name)).status == 200
        assert (await legal.ask("DELETE", f"/v1/audit/holds/room/{room}")).status == 204
        before = files(node)
        assert (await legal.ask("DELETE", f"/v1/rooms/{room}/blobs/{name}")).status == 204
        assert len(before - files(node)) == 1
    assert (await anna.get(name)).refusal == (404, "no_such_blob")
    assert (await api.ask("DELETE", f"/v1/rooms/{room}/blobs/{name}")).refusal == (404, "no_such_blob")
    assert (await api.ask("DELETE", f"/v1/rooms/none/blobs/{name}")).refusal == (404, "no_such_room")
    assert (await api.ask("DELETE", f"/v1/rooms/{room}/blobs/x")).refusal == (404, "no_such_blob")


async def test_the_trail_tells_who_stored_read_and_deleted(
    node: Node, room: str, api: BackEnd, anna: Member, ben: Member
) -> None:
    name = await anna.put(room, os.urandom(KIB))
    await ben.get(name)
    await api.ask("DELETE", f"/v1/rooms/{room}/blobs/{name}")
    await node.auditor.tick()
    about = AuditFilter(object_kind="blob", object_id=name)
    entries = await node.store.audit(after=0, limit=99, matching=about)
    told = {(one.entry.action, one.entry.actor.partition("@")[0], one.entry.subject) for one in entries}
    assert told == {
        ("blob.stored", "anna", ""),
        ("blob.read", "ben", ""),
        ("blob.deleted", "backend", "anna"),
    }
    assert {(one.entry.room, one.entry.source) for one in entries} == {(room, "http")}


async def test_what_happens_is_counted(api: BackEnd, room: str, anna: Member) -> None:
    def figure(text: str, name: str) -> float:
        found = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(found[0]) if found else 0.0

    before = (await api.get("/metrics")).text
    await anna.get(await anna.put(room, os.urandom(KIB)))
    after = (await api.get("/metrics")).text
    for name, more in {
        'rapport_blobs_ended_total{fate="stored"}': 1,
        'rapport_blob_bytes_total{direction="in"}': KIB,
        'rapport_blob_bytes_total{direction="out"}': KIB,
        "rapport_blobs": 1,
        "rapport_blobs_stored_bytes": KIB,
    }.items():
        assert figure(after, name) - figure(before, name) == more, name
