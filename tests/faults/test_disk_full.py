"""A disk that fills up under the server: what is to be kept is refused, the rest goes on, and it recovers."""

from __future__ import annotations

import asyncio
import io
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.faults.processes import Server, server, token
from tests.signaling.blob_kit import Stream, member, sha256
from tests.signaling.door_client import DoorClient, door_client
from tests.signaling.waiting import PATIENCE_SECONDS

DATA = bytes(64 * 1024)
SMALL = "8m"
BEFORE = 512 * 1024
"""Bytes of an attachment that come while there is space."""


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A file system in memory of a few MiB; whether this system lets us have one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_up(one: Server, mounted: bool) -> Callable[[], object]:
    """Leave the server a little space; how to give it back what was taken."""
    if mounted:
        ballast = one.folder / "ballast"
        with ballast.open("wb", buffering=0) as file:  # else what did not fit is written again at the end
            for _ in range(100):
                try:
                    file.write(bytes(256 * 1024))
                except OSError:
                    break
        os.truncate(ballast, max(0, ballast.stat().st_size - 1024 * 1024))
        return ballast.unlink
    assert one.process is not None
    pid = one.process.pid
    largest = max(file.stat().st_size for file in one.folder.iterdir() if file.is_file())
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest + 1024 * 1024, before[1]))
    return partial(resource.prlimit, pid, resource.RLIMIT_FSIZE, before)


async def send_until_refused(client: DoorClient) -> tuple[list[int], str]:
    """The offsets of the messages that were stored, and the name of the refusal that followed."""
    offsets: list[int] = []
    while len(offsets) < 500:
        reply = await client.message("r", DATA)
        if reply["op"] == "error":
            assert reply["temporary"]
            assert reply["retry_after_ms"] > 0
            return offsets, reply["name"]
        offsets.append(reply["result"]["offset"])
    raise AssertionError("the disk did not fill up")


async def test_a_full_disk_refuses_messages_until_there_is_space(tmp_path: Path) -> None:
    limits = {"LIMITS_REQUESTS_BURST": "100000", "LIMITS_ACCOUNT_REQUESTS_BURST": "100000"}
    with small_disk(tmp_path / "disk") as mounted:
        async with (
            server(tmp_path / "disk", **limits) as one,
            door_client(one.connect) as anna,
            door_client(one.connect) as ben,
        ):
            await one.room("r")
            await anna.hello(token("anna", "therapist"))
            await ben.hello(token("ben", "client"))
            make_space = fill_up(one, mounted)
            stored, name = await send_until_refused(anna)
            # A limit on the size of files, unlike a full disk, is a failure like any other to SQLite.
            assert name == ("store_full" if mounted else "internal")
            assert (await ben.request("time.get"))["op"] == "ok"
            assert (await ben.request("room.history", room="r", limit=1))["op"] == "ok"
            make_space()
            again = await anna.message("r", b"there is space again")
            assert again["op"] == "ok", again
            offsets: list[int] = []
            while not offsets or offsets[-1] < again["result"]["offset"]:
                (event,) = await ben.events("r", 1)
                offsets.append(event["offset"])
                await ben.ack(event)
            assert offsets == list(range(1, len(offsets) + 1))
            assert set(stored) <= set(offsets)


async def test_a_full_disk_refuses_attachments_and_keeps_what_has_come(tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    limits = {"BLOBS_KEEP_FREE_BYTES": "0", "BLOBS_STALL_SECONDS": "600"}
    with small_disk(tmp_path / "disk") as mounted:
        async with (
            server(tmp_path / "disk", **limits) as one,
            member(one.url, token("anna", "therapist")) as anna,
        ):
            await one.room("r")
            upload, stream = await anna.upload("r", data), Stream()
            sending = asyncio.create_task(anna.patch(upload, 0, aiter(stream)))
            stream.send(data[:BEFORE])
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (await anna.head(upload)).offset:  # noqa: ASYNC110 - it is in another process
                    await asyncio.sleep(0.01)
            make_space = fill_up(one, mounted)
            for start in range(BEFORE, len(data), BEFORE):
                stream.send(data[start : start + BEFORE])
            refused = await sending
            assert refused.refusal == (507, "store_full")
            assert refused.json["temporary"]
            offset = (await anna.head(upload)).offset
            assert 0 < offset < len(data)
            make_space()
            assert (await anna.patch(upload, offset, io.BytesIO(data[offset:]))).status == 204
            assert (await anna.get(sha256(data))).body == data
