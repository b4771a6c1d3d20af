"""What a durable message costs, from its sender's socket to its reader's acknowledgement.

Many pairs, each in a room of its own, each with several messages in flight: the server checks a message,
commits it, replies to the sender, delivers it to both devices, and takes both acknowledgements. Counted is
all CPU of the server's process; the limit is the store alone. The rate is what comes out of it by the clock,
with the clients on the same machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from struct import pack
from time import monotonic
from typing import Protocol

import uvloop

from relay.sqlite import SqliteStore
from tests.bench import Measurement
from tests.bench.relay_store import run_store, uuid7
from tests.bench.seed import seed, token
from tests.bench.sockets import Peer, cpu_seconds, message, rapport

PAIRS = 64
IN_FLIGHT = 8
WARM_UP_SECONDS = 1.0
ROUND_SECONDS = 1.5
ROUNDS = 6
LIMIT_ROUNDS = 3
DATA = bytes(range(256)) + bytes(44)  # as of a short message with its envelope

_EVENT = b"\xa2op\xa5event"
_OK = b"\xa2op\xa2ok"


def measure() -> dict[str, Measurement]:
    """Microseconds of server CPU per message, messages per second."""
    with tempfile.TemporaryDirectory(prefix="relay-durable-") as name:
        folder = Path(name)
        seed(folder, PAIRS)
        with rapport(folder) as (pid, port):
            measured = rounds([pid], [port])
        stores = [SqliteStore(folder / f"alone{number}.db") for number in range(LIMIT_ROUNDS)]
        alone = [uvloop.run(run_store(store))[0] for store in stores]
    # Whatever else the machine does only ever adds: the best round is the nearest to what the work costs.
    return {
        "relay.durable": Measurement(min(cost for (cost,), _ in measured), "us", min(alone)),
        "relay.durable_rate": Measurement(max(rate for _, rate in measured), "/s"),
    }


class Load(Protocol):
    """Who sends and reads."""

    def send(self) -> None:
        """Send as many messages as may be in flight."""

    def receive(self) -> None:
        """Wait until everybody has them, and acknowledge them."""


Round = tuple[tuple[float, ...], float]
"""Microseconds of each process's CPU for a message, and messages per second."""


def rounds(pids: Sequence[int], ports: Sequence[int]) -> list[Round]:
    """What pairs take of these processes; of two nodes, a pair has its sender on one and its reader on the
    other.
    """
    pairs = [Pair(ports, number) for number in range(PAIRS)]
    exchange(pairs, WARM_UP_SECONDS)
    return [one_round(pids, pairs) for _ in range(ROUNDS)]


def one_round(pids: Sequence[int], loads: Sequence[Load]) -> Round:
    """One of them."""
    cpu, began = [cpu_seconds(pid) for pid in pids], monotonic()
    messages = exchange(loads, ROUND_SECONDS)
    spent = [cpu_seconds(pid) - before for pid, before in zip(pids, cpu, strict=True)]
    return tuple(seconds / messages * 1e6 for seconds in spent), messages / (monotonic() - began)


def exchange(loads: Sequence[Load], seconds: float) -> int:
    """All send their messages, then read them, then all over again; how many there were."""
    messages, end = 0, monotonic() + seconds
    while monotonic() < end:
        for load in loads:
            load.send()
        for load in loads:
            load.receive()
        messages += len(loads) * IN_FLIGHT
    return messages


class Pair:
    """A sender and a reader in one room."""

    _mids = count(1)

    def __init__(self, ports: Sequence[int], number: int) -> None:
        self.sender = Peer(ports[number % len(ports)], token(f"t{number}"))
        self.reader = Peer(ports[(number + 1) % len(ports)], token(f"c{number}"))
        self._sends = [
            message({"op": "message.send", "id": one, "room": f"r{number}", "mid": bytes(16), "data": DATA})
            for one in range(IN_FLIGHT)
        ]
        self._mid_at = self._sends[0].index(b"\xc4\x10" + bytes(16)) + 2
        ack = message({"op": "ack", "room": f"r{number}", "epoch": 1 << 40, "offset": 1 << 40})
        self._ack = ack[: ack.index(b"\xa5epoch") + 6]

    def send(self) -> None:
        """Send the messages."""
        at = self._mid_at
        batch = [one[:at] + uuid7(next(self._mids)) + one[at + 16 :] for one in self._sends]
        self.sender.socket.sendall(b"".join(batch))

    def receive(self) -> None:
        """Wait until both have everything, and acknowledge it."""
        last = self.reader.until(_EVENT, IN_FLIGHT)
        self.sender.until_all({_OK: IN_FLIGHT, _EVENT: IN_FLIGHT})
        epoch_and_offset = last[last.index(b"\xa5epoch") + 6 : last.index(b"\xa5at_ms")]
        self._acknowledge(epoch_and_offset)

    def _acknowledge(self, epoch_and_offset: bytes) -> None:
        payload = self._ack[6:] + epoch_and_offset
        frame = pack("!BB", 0x82, 0x80 | len(payload)) + bytes(4) + payload
        self.sender.socket.sendall(frame)
        self.reader.socket.sendall(frame)
