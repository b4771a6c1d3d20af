"""What a connection costs: a round trip among many, and being there idle.

``ws.echo`` is server CPU for one ``time.get``, with many connections that have several under way; ``ws.idle``
is the server's memory for one of thousands of connections that have said ``hello`` and do nothing. The limits
are a bare aiohttp server with the same load.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench import Measurement
from tests.bench.seed import seed, token
from tests.bench.sockets import Peer, cpu_seconds, message, process, rapport, resident_bytes, send_all

CONNECTIONS = 64
IN_FLIGHT = 4
ROUND_SECONDS = 1.0
ROUNDS = 5
IDLE = 5_000
WARM = 50
"""Connections that come before memory is looked at for the first time: what is made once is not counted."""


def measure() -> dict[str, Measurement]:
    """Both figures with their limits."""
    with tempfile.TemporaryDirectory(prefix="websocket-") as name:
        folder = Path(name)
        seed(folder, (IDLE + WARM) // 2)
        bare = ("-m", "tests.bench.bare_echo")
        with process(*bare, folder=folder) as (pid, port):
            echo_limit = echo(pid, [Peer(port, None) for _ in range(CONNECTIONS)])
        with process(*bare, folder=folder) as (pid, port):
            idle_limit = idle(pid, port, [None] * (IDLE + WARM))
        tokens = [token(f"{role}{room}") for room in range((IDLE + WARM) // 2) for role in "tc"]
        with rapport(folder) as (pid, port):
            echo_value = echo(pid, [Peer(port, each) for each in tokens[:CONNECTIONS]])
        with rapport(folder) as (pid, port):
            idle_value = idle(pid, port, tokens)
    return {
        "ws.echo": Measurement(echo_value, "us", echo_limit),
        "ws.idle": Measurement(idle_value, "KiB", idle_limit),
    }


def echo(pid: int, peers: Sequence[Peer]) -> float:
    """Microseconds of the server's CPU per round trip, of the best round."""
    requests = b"".join(message({"op": "time.get", "id": one}) for one in range(IN_FLIGHT))
    for peer in peers:
        peer.settle()
    send_all(peers, requests)
    time.sleep(0.5)
    size = peers[0].waiting()
    for peer in peers:
        peer.read(size)
    return min(_round(pid, peers, requests, size) for _ in range(ROUNDS))


def _round(pid: int, peers: Sequence[Peer], requests: bytes, size: int) -> float:
    before, trips, end = cpu_seconds(pid), 0, time.monotonic() + ROUND_SECONDS
    while time.monotonic() < end:
        send_all(peers, requests)
        for peer in peers:
            peer.read(size)
        trips += len(peers) * IN_FLIGHT
    return (cpu_seconds(pid) - before) / trips * 1e6


def idle(pid: int, port: int, tokens: Sequence[str | None]) -> float:
    """KiB of the server's memory per connection."""
    peers = [Peer(port, each) for each in tokens[:WARM]]
    time.sleep(1.0)
    before = resident_bytes(pid)
    peers += [Peer(port, each) for each in tokens[WARM:]]
    time.sleep(2.0)  # presence is told, cursors are written
    spent = resident_bytes(pid) - before
    for peer in peers:
        peer.socket.close()
    return spent / (len(tokens) - WARM) / 1024
