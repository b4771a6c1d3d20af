"""The server killed in the middle of uploads: what it has taken is there, and nothing else lies about."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp

from tests.faults.processes import Server, server, token
from tests.signaling.blob_kit import Member, member, sha256
from tests.signaling.waiting import PATIENCE_SECONDS

KIB = 1 << 10
LIMITS = {
    "BLOBS_KEEP_FREE_BYTES": "0",
    "BLOBS_STALL_SECONDS": "600",
    "BLOBS_UPLOADS_PER_ACCOUNT": "100",
}


def files(one: Server) -> set[str]:
    return set(os.listdir(one.folder / "rapport.db-blobs"))


async def kept(one: Server, name: str) -> int:
    """Wait until some bytes of an upload are on the disk."""
    path = one.folder / "rapport.db-blobs" / f"{name}.part"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (path.exists() and path.stat().st_size):  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.01)
    return path.stat().st_size


async def endless(data: bytes) -> AsyncIterator[bytes]:
    """Bytes, and then silence."""
    yield data
    await asyncio.Event().wait()


async def test_an_upload_goes_on_after_a_sigkill(tmp_path: Path) -> None:
    data, whole = os.urandom(900 * KIB), os.urandom(10 * KIB)
    async with server(tmp_path, **LIMITS) as one:
        await one.room("r")
        async with member(one.url, token("anna", "therapist")) as anna:
            await anna.put("r", whole)
            upload = await anna.upload("r", data)
            sending = asyncio.create_task(anna.patch(upload, 0, endless(data[: 600 * KIB])))
            size = await kept(one, upload)
            await one.kill()
            with suppress(aiohttp.ClientError, ConnectionError):
                await sending
        (one.folder / "rapport.db-blobs" / ("0" * 32 + ".part")).write_bytes(b"of no upload")
        await one.start()
        assert f"{'0' * 32}.part" not in files(one)
        async with member(one.url, token("anna", "therapist")) as anna:
            standing = await anna.head(upload)
            assert size <= standing.offset <= 600 * KIB
            assert (await anna.patch(upload, standing.offset, data[standing.offset :])).status == 204
        async with member(one.url, token("ben", "client")) as ben:
            assert (await ben.get(sha256(data))).body == data
            assert (await ben.get(sha256(whole))).body == whole
        assert len(files(one)) == 2


async def test_whenever_it_is_killed_each_upload_is_whole_in_the_end(tmp_path: Path) -> None:
    """Killed while some uploads are being compared, renamed and entered."""
    several = [os.urandom(KIB) for _ in range(30)]
    async with server(tmp_path, **LIMITS) as one:
        await one.room("r")
        for kill_at in (5, 15):
            async with member(one.url, token("anna", "therapist")) as anna:

                async def upload_all(anna: Member = anna) -> None:
                    with suppress(aiohttp.ClientError, ConnectionError):
                        for data in several:
                            await anna.insist("r", data)

                sending = [asyncio.create_task(upload_all()) for _ in range(2)]
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while len(files(one)) < kill_at:  # noqa: ASYNC110 - it is in another process
                        await asyncio.sleep(0)
                await one.kill()
                await asyncio.gather(*sending)
            await one.start()
        async with member(one.url, token("anna", "therapist")) as anna:
            for data in several:
                await anna.insist("r", data)
                assert (await anna.get(sha256(data))).body == data
        assert len(files(one)) == len(several)
        assert not any(name.endswith(".part") for name in files(one))
