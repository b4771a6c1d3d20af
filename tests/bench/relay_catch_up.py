"""What it costs to come back: a device for which 10,000 messages wait, and how soon one message is there.

The device acknowledges as it reads, as clients do, so that the server reads page after page from the store.
One message after another is sent to a device that is connected, and to one that connects to get it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from uuid import UUID

import msgpack

from protocol.codec import encode_body
from protocol.events import MessageBody
from relay.sqlite import SqliteStore
from relay.writes import Append
from tests.bench import Measurement
from tests.bench.relay_store import BODY, uuid7
from tests.bench.seed import seed, token
from tests.bench.sockets import Peer, cpu_seconds, message, rapport

WAITING = 10_000
ROUNDS = 3
ACK_EVERY = 64
SENDS = 500
RETURNS = 100

_EVENT = b"\xa2op\xa5event"
_CAUGHT_UP = b"\xa2op\xa9caught_up"


def measure() -> dict[str, Measurement]:
    """Seconds, CPU and bytes of catching up; milliseconds until one message is there."""
    with tempfile.TemporaryDirectory(prefix="relay-catch-up-") as name:
        folder = Path(name)
        seed(folder, 2)
        asyncio.run(fill(folder / "bench.db"))
        with rapport(folder) as (pid, port):
            rounds = [catch_up(port, pid, f"device{number}") for number in range(ROUNDS)]
            connected = percentiles(connected_ms(port, port), SENDS)
            returning = percentiles(returning_ms(port), RETURNS)
    seconds, cpu, size = map(min, zip(*rounds, strict=True))
    return {
        "relay.catch_up": Measurement(seconds, "s"),
        "relay.catch_up_cpu": Measurement(cpu, "us"),
        "relay.catch_up_wire": Measurement(size, "B", len(BODY)),
        "relay.connected_p50": Measurement(connected[0], "ms"),
        "relay.connected_p99": Measurement(connected[1], "ms"),
        "relay.returning_p50": Measurement(returning[0], "ms"),
        "relay.returning_p99": Measurement(returning[1], "ms"),
    }


async def fill(path: Path) -> None:
    """Let the messages wait in the room ``r0``."""
    store = SqliteStore(path)
    await store.open()
    for start in range(0, WAITING, 500):
        mids = [UUID(bytes=uuid7(number)) for number in range(start, min(start + 500, WAITING))]
        await asyncio.gather(
            *(
                store.commit(Append("r0", "t0", "d", mid.bytes, encode_body(MessageBody(mid, BODY)), 1))
                for mid in mids
            )
        )
    await store.close()


def catch_up(port: int, pid: int, device: str) -> tuple[float, float, float]:
    """Seconds until everything is there; microseconds of the server's CPU, and bytes, for each message."""
    cpu, start, size, events = cpu_seconds(pid), time.monotonic(), 0, 0
    peer = hello(port, "c0", device)
    caught_up = False
    while not caught_up:
        for payload in peer.messages():
            size += len(payload) + (2 if len(payload) < 126 else 4)
            caught_up = caught_up or payload.startswith(_CAUGHT_UP, 1)
            if payload.startswith(_EVENT, 1):
                events += 1
                if events % ACK_EVERY == 0:
                    acknowledge(peer, payload)
    seconds = time.monotonic() - start
    assert events == WAITING, events
    peer.socket.close()
    return seconds, (cpu_seconds(pid) - cpu) / WAITING * 1e6, size / WAITING


def connected_ms(sender_port: int, reader_port: int, room: int = 1) -> Callable[[int], float]:
    """Sends a message to a device that is there; milliseconds from the sender's socket to the reader's."""
    sender, reader = Peer(sender_port, token(f"t{room}")), Peer(reader_port, token(f"c{room}"))
    for peer in (sender, reader):
        peer.settle()

    def once(number: int) -> float:
        start = time.monotonic()
        sender.socket.sendall(letter(number, room))
        acknowledge(reader, reader.until(_EVENT, 1))
        taken = time.monotonic() - start
        acknowledge(sender, sender.until(_EVENT, 1))
        return taken * 1000

    return once


def returning_ms(port: int) -> Callable[[int], float]:
    """Sends a message to a device that is away, and has it come; milliseconds from then on."""
    sender = Peer(port, token("t1"))
    sender.settle()

    def once(number: int) -> float:
        sender.socket.sendall(letter(SENDS + number))
        event = sender.until(_EVENT, 1)
        acknowledge(sender, event)
        sent = msgpack.unpackb(event)
        before = {"epoch": sent["epoch"], "offset": sent["offset"] - 1}
        start = time.monotonic()
        reader = hello(port, "c1", "returning", rooms={"r1": before})
        while not any(payload.startswith(_EVENT, 1) for payload in reader.messages()):
            continue
        taken = time.monotonic() - start
        reader.socket.close()
        return taken * 1000

    return once


def hello(port: int, account: str, device: str, **more: object) -> Peer:
    """A connection that has said hello, and has read nothing yet."""
    peer = Peer(port, None)
    peer.socket.sendall(message({"op": "hello", "token": token(account), "device": device, **more}))
    return peer


def letter(number: int, room: int = 1) -> bytes:
    """A message to one of the rooms."""
    mid = uuid7(WAITING + number)
    return message({"op": "message.send", "id": number, "room": f"r{room}", "mid": mid, "data": BODY})


def acknowledge(peer: Peer, event: bytes) -> None:
    """Acknowledge an event."""
    told = msgpack.unpackb(event)
    peer.socket.sendall(message({"op": "ack", **{name: told[name] for name in ("room", "epoch", "offset")}}))


def percentiles(once: Callable[[int], float], times: int) -> tuple[float, float]:
    """The median, and what 99 in 100 stay below."""
    cuts = quantiles([once(number) for number in range(times)], n=100)
    return cuts[49], cuts[98]
