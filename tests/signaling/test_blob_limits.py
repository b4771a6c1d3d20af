"""Blobs of nodes with limits of their own: quotas, the disk, who stands still, pages of other origins."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.settings import BlobSettings
from tests.signaling.blob_kit import Stream, member, sha256
from tests.signaling.nodes import back_end, running_node, settings, token
from tests.signaling.waiting import until

KIB, MIB = 1 << 10, 1 << 20
LIMITS = BlobSettings(
    max_bytes=2 * MIB, patch_bytes=512 * KIB, stall_seconds=600, transfers_per_account=2, keep_free_bytes=0
)


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Nothing comes or goes in a folder."""
    before = sorted(folder.iterdir())
    yield
    assert sorted(folder.iterdir()) == before


async def test_quotas_hold(tmp_path: Path) -> None:
    limits = dataclasses.replace(
        LIMITS, account_bytes=3 * KIB, room_bytes=4 * KIB, room_count=3, uploads_per_account=2
    )
    async with (
        running_node(settings(tmp_path, blobs=limits)) as node,
        back_end(node) as api,
        member(node.url, token("anna", "therapist")) as anna,
        member(node.url, token("ben", "client")) as ben,
    ):
        room = await api.room("r")
        half = [await anna.upload(room, bytes([number]) * KIB) for number in range(2)]
        assert (await anna.begin(room, b"third")).refusal == (409, "blob_quota")
        for number, upload in enumerate(half):
            assert (await anna.patch(upload, 0, bytes([number]) * KIB)).status == 204
        assert (await anna.begin(room, bytes(KIB + 1))).refusal == (409, "blob_quota")
        assert (await ben.begin(room, bytes(2 * KIB + 1))).refusal == (409, "blob_quota")
        with unchanged(tmp_path / "rapport.db-blobs"):
            await ben.upload(room, b"third")
            assert (await anna.begin(room, b"fourth")).refusal == (409, "blob_quota")


async def test_a_disk_that_is_needed_for_messages_takes_no_blobs(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, keep_free_bytes=1 << 50)
    async with (
        running_node(settings(tmp_path, blobs=limits)) as node,
        back_end(node) as api,
        member(node.url, token("anna", "therapist")) as anna,
    ):
        answer = await anna.begin(await api.room("r"), b"x")
        assert answer.refusal == (507, "store_full")


async def test_what_stands_still_is_broken_off(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, stall_seconds=0.2, request_seconds=600)
    data = b"abc"
    async with (
        running_node(settings(tmp_path, blobs=limits)) as node,
        back_end(node) as api,
        member(node.url, token("anna", "therapist")) as anna,
    ):
        upload = await anna.upload(await api.room("r"), data)
        stream = Stream()
        stream.send(data[:1])
        stalled = await anna.patch(upload, 0, aiter(stream))
        assert stalled.refusal == (408, "upload_interrupted")
        assert stalled.json["temporary"]
        offset = (await anna.head(upload)).offset
        assert offset <= 1  # the byte came, unless the machine stood still itself
        while (answer := await anna.patch(upload, offset, data[offset:])).status != 204:
            assert answer.status in {408, 409}, answer.body  # on a machine that stands still
            offset = (await anna.head(upload)).offset


async def test_who_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    limits = dataclasses.replace(LIMITS, max_bytes=64 * MIB, stall_seconds=0.2, transfers_per_account=2)
    data = os.urandom(12 * MIB)  # more than the sockets on both sides hold
    async with (
        running_node(settings(tmp_path, blobs=limits)) as node,
        back_end(node) as api,
        member(node.url, token("anna", "therapist")) as anna,
    ):
        await anna.insist(await api.room("r"), data, 512 * KIB)
        host, port = node.url.removeprefix("http://").split(":")
        with socket.socket() as silent:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
            silent.connect((host, int(port)))
            lines = [f"GET /v1/blobs/{sha256(data)} HTTP/1.1", "Host: x"]
            lines.append(f"Authorization: Bearer {token('anna', 'therapist')}")
            silent.sendall("\r\n".join([*lines, "", ""]).encode())
            silent.setblocking(False)
            await asyncio.get_running_loop().sock_recv(silent, 1)  # it has begun
            await until(lambda: not node.blobs._transfers._under_way)


async def test_pages_of_trusted_origins_may_ask(tmp_path: Path) -> None:
    app, other = "https://app.example.org", "https://other.example.org"
    given = settings(tmp_path, blobs=LIMITS)
    given = dataclasses.replace(given, server=dataclasses.replace(given.server, trusted_origins=(app,)))
    async with running_node(given) as node, member(node.url, token("anna", "therapist")) as anna:
        upload = f"/v1/blobs/uploads/{'0' * 32}"
        asked = await anna.ask("OPTIONS", upload, Origin=app, Access_Control_Request_Method="PATCH")
        assert asked.status == 204
        assert asked.headers["Access-Control-Allow-Origin"] == app
        assert "PATCH" in asked.headers["Access-Control-Allow-Methods"].split(", ")
        sent = asked.headers["Access-Control-Allow-Headers"].split(", ")
        assert {"Authorization", "Upload-Offset", "Rapport-Device"} <= set(sent)
        refused = await anna.ask("HEAD", upload, Origin=app)
        assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (404, app)
        assert "Upload-Offset" in refused.headers["Access-Control-Expose-Headers"]
        for method, path, origin in (
            ("OPTIONS", upload, other),
            ("HEAD", upload, other),
            ("GET", "/v1/rooms", app),
        ):
            answer = await anna.ask(method, path, Origin=origin)
            assert "Access-Control-Allow-Origin" not in answer.headers
