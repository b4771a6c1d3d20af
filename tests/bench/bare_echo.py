"""The least that aiohttp does with a WebSocket: the limit that the door is measured against."""

from __future__ import annotations

import asyncio

import uvloop
from aiohttp import web


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send back what comes."""
    socket = web.WebSocketResponse(compress=False, protocols=["rapport.v1.msgpack"])
    await socket.prepare(request)
    async for message in socket:
        await socket.send_bytes(message.data)
    return socket


async def main() -> None:
    """Serve until the process is ended."""
    app = web.Application()
    app.router.add_get("/v1/connect", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    print(f"{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
