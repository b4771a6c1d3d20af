"""HAProxy with the example's configuration before three real servers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.deploy.examples import certificate, said, written
from tests.faults.processes import Server, token
from tests.redis_process import free_port

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Entrance:
    """HAProxy, and the servers behind it."""

    https: str
    http: str
    servers: list[Server]
    client: aiohttp.ClientSession

    async def status(self, path: str) -> int:
        """How a request over TLS is answered."""
        async with self.client.get(self.https + path) as response:
            await response.read()
            return response.status

    async def connect(self, account: str) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket on which `hello` was answered."""
        socket = await self.client.ws_connect(f"{self.https}/v1/connect", protocols=["rapport.v1.json"])
        hello = {
            "op": "hello",
            "token": token(account, "client"),
            "device": "d1",
            "versions": [1],
            "rooms": {},
        }
        await socket.send_json(hello)
        welcome = await socket.receive_json(timeout=PATIENCE)
        assert welcome["op"] == "welcome", welcome
        return socket

    async def until_status(self, path: str, status: int) -> None:
        """Wait until requests are answered like this, three times in a row."""
        row = 0
        async with asyncio.timeout(PATIENCE):
            while row < 3:
                row = row + 1 if await self.status(path) == status else 0
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def entrance(folder: Path) -> AsyncIterator[Entrance]:
    cert, key = await certificate(folder)
    both = folder / "rtc.pem"
    both.write_text(cert.read_text() + key.read_text())
    async with contextlib.AsyncExitStack() as stack:
        servers = []
        for number in (1, 2, 3):
            data = folder / f"node{number}"
            data.mkdir()
            server = Server(data, SERVER_SHUTDOWN_SECONDS="6")
            await server.start()
            stack.push_async_callback(server.stop)
            servers.append(server)
        tls, plain = free_port(), free_port()
        replaced = {
            "/etc/haproxy/rtc.pem": str(both),
            "bind :443": f"bind 127.0.0.1:{tls}",
            "maxconn 60000": "maxconn 1000",  # as many descriptors as a test may have
            "bind :80": f"bind 127.0.0.1:{plain}",
        }
        for number, server in enumerate(servers, 1):
            replaced[f"10.0.0.1{number}:8080"] = server.url.removeprefix("http://")
        config = written(folder, "cluster/haproxy.cfg", replaced)
        status, output = await said("haproxy", "-c", "-f", str(config))
        assert status == 0, output
        proxy = await asyncio.create_subprocess_exec(
            "haproxy", "-db", "-f", str(config), stdout=DEVNULL, stderr=DEVNULL
        )
        stack.push_async_callback(proxy.wait)
        stack.callback(proxy.kill)
        trusting = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(cert)), force_close=True)
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=trusting))
        there = Entrance(f"https://127.0.0.1:{tls}", f"http://127.0.0.1:{plain}", servers, client)
        await reachable(there, proxy)
        yield there


async def reachable(there: Entrance, proxy: Process) -> None:
    """Wait until HAProxy listens, and has found out who is ready."""
    async with asyncio.timeout(PATIENCE):
        while True:
            assert proxy.returncode is None, "HAProxy ended at its start"
            with contextlib.suppress(aiohttp.ClientConnectorError):
                await there.until_status("/readyz", 200)
                return
            await asyncio.sleep(0.05)


async def connections(server: Server) -> int:
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/metrics") as response:
        lines = (await response.text()).splitlines()
    (line,) = (line for line in lines if line.startswith("rapport_connections "))
    return int(float(line.split()[1]))


async def test_clients_are_spread_and_what_is_for_operators_is_not_reached(tmp_path: Path) -> None:
    async with entrance(tmp_path) as there:
        sockets = [await there.connect(f"client{number}") for number in range(6)]
        assert sorted([await connections(server) for server in there.servers]) == [2, 2, 2]
        assert await there.status("/metrics") == 404
        assert await there.status("/dev/session") == 404
        assert await there.status("/v1/rooms") == 401
        async with there.client.get(f"{there.http}/readyz", allow_redirects=False) as response:
            assert response.status == 308
            assert response.headers["Location"].startswith("https://")
        for socket in sockets:
            await socket.close()


@pytest.mark.parametrize("how", ["drained", "killed"])
async def test_clients_of_a_node_that_goes_come_back_to_another(tmp_path: Path, how: str) -> None:
    async with entrance(tmp_path) as there:
        sockets = [await there.connect(f"client{number}") for number in range(3)]
        gone = there.servers[0]
        if how == "killed":
            await gone.kill()
        else:
            await gone.stop()
        heard = [await spoken_to(socket) for socket in sockets]
        assert sorted(heard) == sorted(["closed" if how == "killed" else "goodbye", "open", "open"])
        again = await there.connect(f"client{heard.index('closed' if how == 'killed' else 'goodbye')}")
        await there.until_status("/readyz", 200)
        assert sum([await connections(server) for server in there.servers[1:]]) == 3
        for socket in [*sockets, again]:
            await socket.close()


async def spoken_to(socket: aiohttp.ClientWebSocketResponse) -> str:
    """What became of a connection: `open` if it still answers."""
    with contextlib.suppress(ConnectionError):  # what was said before it was closed is still to be read
        await socket.send_json({"op": "time.get", "id": 1})
    while True:
        message = await socket.receive(timeout=PATIENCE)
        if message.type is not aiohttp.WSMsgType.TEXT:
            return "closed"
        frame = message.json()
        if frame["op"] == "goodbye":
            return "goodbye"
        if frame["op"] == "ok":
            return "open"
