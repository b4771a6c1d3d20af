"""A TURN server (coturn) of one's own, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

START_SECONDS = 30.0


@contextlib.asynccontextmanager
async def turn_server(folder: Path, secret: str) -> AsyncIterator[int]:
    """Start coturn, which lets in whoever has a credential made with the secret; gives its port."""
    program = shutil.which("turnserver")
    if program is None:
        raise FileNotFoundError("coturn is not installed: run `.ci/need coturn`")
    port = _free_port()
    command = (
        *(program, "-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file", "stdout"),
        *("--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--allow-loopback-peers"),
        *("--listening-port", str(port), "--realm", "rapport.test", "--pidfile", str(folder / "turn.pid")),
        *("--use-auth-secret", "--static-auth-secret", secret, "--userdb", str(folder / "turndb")),
    )
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, cwd=folder
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
