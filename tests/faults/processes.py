"""Servers as processes that can be killed, started again on the same data, and asked over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp

from protocol.fields import Role
from protocol.tokens import Claims, mint
from tests.faults.stepped_clock import AHEAD

ROOT = Path(__file__).parents[2]
KEY, SECRET = "faults", "a secret for tests that is long enough"
_ADDRESS = re.compile(rb"http://127\.0\.0\.1:\d+")


def token(account: str, role: Role, ahead_seconds: float = 0.0) -> str:
    """A token; for the API if the role is ``operator``. ``ahead_seconds``: of this clock is the server's."""
    scope = "rooms sessions accounts webhooks erase"
    expires = time.time() + ahead_seconds + 600
    return mint(Claims(KEY, account, role, exp=expires, scope=scope), SECRET)


class Server:
    """``rapport serve`` on the data in a folder."""

    module = "signaling.cli"
    """What is run as `rapport`."""
    ahead_seconds = 0.0
    """By how much its clock is ahead."""
    flags: Sequence[str] = ("--dev",)
    """What it is told."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self._settings = {
            "SERVER_PORT": "0",
            "STORE_URL": f"sqlite:///{folder / 'rapport.db'}",
            "STORE_CONNECT_SECONDS": "60",
            "TOKENS_KEYS": f"{KEY}={SECRET}",
            "SESSIONS_MIN_MINUTES": "0.05",
            "MEDIA_WORKERS": "1",
        } | settings
        self.folder = folder
        self.process: Process | None = None
        self.url = ""

    @property
    def connect(self) -> str:
        """The address of the WebSocket."""
        return f"{self.url.replace('http', 'ws', 1)}/v1/connect"

    async def spawn(self) -> Process:
        """Start the process, and do not wait until it serves."""
        environment = {f"RAPPORT_{name}": value for name, value in self._settings.items()}
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self.module, "serve", *self.flags),
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=PIPE,
            stderr=PIPE,
        )
        return self.process

    async def start(self) -> None:
        """Start the process, and return when it serves."""
        process = await self.spawn()
        assert process.stdout is not None
        async for line in process.stdout:
            if found := _ADDRESS.search(line):
                self.url = found[0].decode()
                return
        assert process.stderr is not None
        raise AssertionError((await process.stderr.read()).decode())

    async def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        """SIGTERM, if it still runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()

    async def ask(self, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        """One request of a back end; the body of its answer. ``key``: of one that is sent again."""
        bearer = token("backend", "operator", self.ahead_seconds)
        headers = {"Authorization": f"Bearer {bearer}", "Idempotency-Key": key or uuid4().hex}
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, self.url + path, json=body, headers=headers) as response,
        ):
            assert response.status < 300, await response.text()
            return await response.json()

    async def room(self, room: str, therapist: str = "anna", client: str = "ben") -> None:
        """A room of a therapist and a client."""
        people = [{"account": therapist, "role": "therapist"}, {"account": client, "role": "client"}]
        await self.ask("POST", "/v1/rooms", {"room": room, "members": people})

    async def session(self, room: str, session: str, **spec: Any) -> Any:
        """A session that starts now, without waiting room or overrun unless said otherwise."""
        policy = {"waiting_room": "nobody", "hard_end": True}
        spec = {"session": session, "length_seconds": 600, "modality": "video", "policy": policy} | spec
        return await self.ask("POST", f"/v1/rooms/{room}/sessions", spec)

    async def reaches(self, session: str, state: str) -> None:
        """Wait until a session is in a state."""
        path = f"/v1/sessions/{session}"
        while (await self.ask("GET", path))["state"] != state:  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.1)

    def workers(self) -> list[int]:
        """Its media worker processes."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [
            int(child) for child in children if b"rtc.worker" in Path(f"/proc/{child}/cmdline").read_bytes()
        ]


class Stepped(Server):
    """A server whose clock can be stepped."""

    module = "tests.faults.stepped_clock"

    def step(self, ahead_seconds: int) -> None:
        """Let the clock be ahead by this much from now on."""
        written = self.folder / "written"
        written.write_text(str(ahead_seconds))
        written.replace(self.folder / AHEAD)

    async def start_at(self, ahead_seconds: int) -> None:
        """Start the process with this clock."""
        self.step(ahead_seconds)
        self.ahead_seconds = ahead_seconds
        await self.start()


@contextlib.asynccontextmanager
async def server(folder: Path, **settings: str) -> AsyncIterator[Server]:
    """A server that serves; stopped at the end, however it was treated."""
    one = Server(folder, **settings)
    await one.start()
    try:
        yield one
    finally:
        await one.stop()


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def kill(pid: int) -> None:
    """SIGKILL to a process of a server of ours."""
    os.kill(pid, signal.SIGKILL)
