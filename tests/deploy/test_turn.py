"""coturn with the example's configuration: whom it lets in, and to where."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aioice import stun
from aioice.turn import TurnClientUdpProtocol

from config.settings import TurnSettings
from protocol.frames import Relay
from signaling.media.turn import relays
from tests.turn_server import turn_server

FORBIDDEN, UNAUTHORIZED = 403, 401


def given(secret: str, expires_in: float) -> Relay:
    """What this server gives to a participant."""
    settings = TurnSettings(urls=("turn:127.0.0.1",), secret=secret, credential_seconds=600)
    now_ms = int((time.time() + expires_in - 600) * 1000)
    (relay,) = relays(settings, now_ms, secrets.token_hex(8)).relays
    return relay


@asynccontextmanager
async def turn_client(port: int, relay: Relay) -> AsyncIterator[TurnClientUdpProtocol]:
    """A client of the TURN server, which has no address there yet."""
    transport, client = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: TurnClientUdpProtocol(("127.0.0.1", port), relay.username, relay.credential, 600, 500),
        remote_addr=("127.0.0.1", port),
    )
    try:
        yield client
    finally:
        transport.close()
        await asyncio.sleep(0)  # the socket is closed in the next turn of the loop


async def refusal(asked: object) -> int:
    with pytest.raises(stun.TransactionFailed) as refused:
        await asked  # type: ignore[misc]
    code, _ = refused.value.response.attributes["ERROR-CODE"]
    return int(code)


async def test_who_was_let_in_reaches_workers_and_nothing_else(tmp_path: Path) -> None:
    secret = secrets.token_hex(32)
    async with turn_server(tmp_path, secret) as port:
        async with turn_client(port, given(secret, expires_in=600)) as client:
            await client.connect()
            await client.channel_bind(0x4000, ("127.0.0.1", 9))
            for elsewhere in ("127.0.0.2", "10.0.0.31", "169.254.169.254", "198.51.100.1"):
                assert await refusal(client.channel_bind(0x4001, (elsewhere, 80))) == FORBIDDEN, elsewhere
        for bad in (given(secrets.token_hex(32), expires_in=600), given(secret, expires_in=-5)):
            async with turn_client(port, bad) as client:
                assert await refusal(client.connect()) == UNAUTHORIZED
