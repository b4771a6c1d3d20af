"""A TURN server (coturn) of one's own, on loopback, with the configuration that is recommended."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from tests.deploy.examples import certificate, written
from tests.redis_process import free_port

START_SECONDS = 60.0


@contextlib.asynccontextmanager
async def turn_server(folder: Path, secret: str) -> AsyncIterator[int]:
    """Start coturn, which lets in whoever has a credential made with the secret; gives its port."""
    program = shutil.which("turnserver")
    if program is None:
        raise FileNotFoundError("coturn is not installed: run `.ci/need deploy`")
    cert, key = await certificate(folder)
    port, tls_port = free_port(), free_port()
    replaced = {
        "listening-port=3478": f"listening-port={port}",
        "tls-listening-port=443": f"tls-listening-port={tls_port}",
        "/etc/coturn/fullchain.pem": str(cert),
        "/etc/coturn/privkey.pem": str(key),
        "external-ip=203.0.113.21": "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1",
        "TURN-SECRET": secret,
        # The media worker is on this machine.
        "allowed-peer-ip=203.0.113.11": "allowed-peer-ip=127.0.0.1\nallow-loopback-peers",
    }
    config = written(folder, "cluster/turnserver.conf", replaced)
    process = await asyncio.create_subprocess_exec(
        *(program, "-c", str(config), "--log-file", "stdout", "--simple-log"),
        *("--pidfile", str(folder / "turn.pid"), "--userdb", str(folder / "turndb")),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _listens(port):
                assert process.returncode is None, "coturn ended at its start"
                await asyncio.sleep(0.05)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
