"""Redis servers as processes that can be killed, stopped for a while, and started again on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from redis.asyncio import Redis

from config.settings import BusSettings
from relay.bus.timing import Timing

KEY = "a-key-for-tests-that-is-long-enough"
CALM = Timing(answer=60.0, beat=0.1, silence=120.0, refresh=0.3, expiry=600.0, retry=0.1)
"""Nothing counts as failed because the machine is slow."""

HASTY = Timing(answer=1.0, beat=0.1, silence=3.0, refresh=0.3, expiry=600.0, retry=0.1)
"""For tests in which something stops without a word."""


def free_port() -> int:
    """A port that was free just now; a cluster's other port, 10000 above, is a valid one too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            if port < 55_000:
                return port


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that comes about by itself."""
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - it is changed from several places
            await asyncio.sleep(0.01)


class RedisProcess:
    """``redis-server`` with nothing on disk."""

    def __init__(self, folder: Path, *options: str, tls: bool = False) -> None:
        self.folder = folder
        self.options: Sequence[str] = options
        self.tls = tls
        self.port = 0
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """For clients."""
        return f"{'rediss' if self.tls else 'redis'}://127.0.0.1:{self.port}"

    def settings(self, **more: str) -> BusSettings:
        """Of a bus through it."""
        return BusSettings(**{"url": self.url, "key": KEY, **more})

    def client(self, **options: str) -> Redis:
        """A client of the test's own."""
        return Redis(host="127.0.0.1", port=self.port, socket_timeout=60, **options)  # type: ignore[arg-type]

    async def start(self) -> None:
        """Start it, on the port that it had; returns when it answers."""
        for _ in range(10):
            port = self.port or free_port()
            where = ("--port", "0", "--tls-port", str(port)) if self.tls else ("--port", str(port))
            self._process = await asyncio.create_subprocess_exec(
                *("redis-server", *self.options, "--bind", "127.0.0.1", *where),
                *("--save", "", "--appendonly", "no", "--dir", str(self.folder)),
                stdout=PIPE,
                stderr=DEVNULL,
            )
            if await self._serves(self._process):
                self.port = port
                return
        raise AssertionError("redis-server does not start")

    async def _serves(self, process: Process) -> bool:
        """Whether it says that it is ready; the rest of what it says is not read."""
        assert process.stdout is not None
        async with asyncio.timeout(60):
            async for line in process.stdout:
                if b"Ready to accept" in line or b"Sentinel ID is" in line:
                    return True
        await process.wait()
        return False

    async def kill(self) -> None:
        """SIGKILL: all it knew is gone."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()

    def pause(self) -> None:
        """SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def ask(self, *command: str | bytes) -> object:
        """One command of the test's own."""
        async with self.client() as client:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]


@contextlib.asynccontextmanager
async def redis_process(*options: str, tls: bool = False) -> AsyncIterator[RedisProcess]:
    """A server that answers; killed at the end, however it was treated."""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisProcess(Path(folder), *options, tls=tls)
        await server.start()
        try:
            yield server
        finally:
            await server.kill()
