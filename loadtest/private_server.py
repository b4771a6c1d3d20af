"""A server of one's own: a process on free ports of 127.0.0.1, with a key and a store that go with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from loadtest.errors import LoadTestError
from loadtest.target import Target

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0
_ADDRESS: Final = re.compile(rb"http://127\.0\.0\.1:\d+")
_KEY: Final = "private"
_LOG_LINES: Final = 15


class NoServer(LoadTestError):
    """The server did not come up; the message has the end of its log."""

    name = "no_server"


@contextlib.asynccontextmanager
async def private_server(settings: Mapping[str, str] | None = None) -> AsyncIterator[Target]:
    """Start ``rapport serve --dev``, and stop it at the end.

    ``settings`` are environment variables of the server besides those set here; what this process has in its
    own environment of the kind does not reach it. Raises :exc:`NoServer`.
    """
    secret = secrets.token_hex(32)
    with tempfile.TemporaryDirectory(prefix="rapport-") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAPPORT_")}
        environment |= {
            "RAPPORT_SERVER_PORT": "0",
            "RAPPORT_SERVER_SHUTDOWN_SECONDS": "3",
            "RAPPORT_MEDIA_PORT": "0",
            "RAPPORT_STORE_URL": f"sqlite:///{Path(folder, 'rapport.db')}",
            "RAPPORT_TOKENS_KEYS": f"{_KEY}={secret}",
        }
        log = Path(folder, "log")
        process = await _started(environment | dict(settings or {}), log)
        try:
            url = await _address(process, log)
            draining = asyncio.create_task(_drain(process))
            yield Target(url, _KEY, secret)
            draining.cancel()
        finally:
            await _stopped(process)


async def _started(environment: Mapping[str, str], log: Path) -> Process:
    command = (sys.executable, "-m", "signaling.cli", "serve", "--dev")
    with log.open("wb") as errors:
        return await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=errors)


async def _address(process: Process, log: Path) -> str:
    """The address that the server prints."""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            async for line in process.stdout:
                if found := _ADDRESS.search(line):
                    return found[0].decode()
    except TimeoutError:
        raise NoServer("the server did not start in time") from None
    raise NoServer(f"the server stopped at its start:\n{_end_of(log)}")


async def _drain(process: Process) -> None:
    """Read and drop what else the server prints, so that it never waits for a reader."""
    assert process.stdout is not None
    async for _ in process.stdout:
        pass


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


async def _stopped(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
