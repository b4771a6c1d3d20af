"""Attachments pass through the server in pieces: they are larger than what its memory grows by."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

from tests.faults.processes import Server, server, token
from tests.signaling.blob_kit import Member, member, sha256

MIB = 1 << 20
SIZE = 32 * MIB


def peak(one: Server) -> int:
    """The most memory that the process had so far, in bytes."""
    assert one.process is not None
    lines = Path(f"/proc/{one.process.pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


async def there_and_back(member_: Member, data: bytes) -> None:
    upload = await member_.upload("r", data)
    assert (await member_.patch(upload, 0, io.BytesIO(data))).status == 204
    assert (await member_.get(sha256(data))).body == data


async def test_large_attachments_take_little_memory(tmp_path: Path) -> None:
    limits = {"BLOBS_KEEP_FREE_BYTES": "0", "BLOBS_PATCH_BYTES": str(SIZE), "BLOBS_STALL_SECONDS": "600"}
    async with server(tmp_path, **limits) as one, member(one.url, token("anna", "therapist")) as anna:
        await one.room("r")
        await there_and_back(anna, os.urandom(MIB))
        before = peak(one)
        await asyncio.gather(*[there_and_back(anna, os.urandom(SIZE)) for _ in range(2)])
        assert peak(one) - before < SIZE
