"""What a durable message costs when its sender and its reader are on two nodes.

Two servers on one PostgreSQL and one Redis, and the clients of `relay_durable`, each pair with its sender on
one node and its reader on the other, half of them in each direction. The limit is the same pairs on one
server that has no Redis. Then many connections of one room, and many rooms: their figures are deliveries, the
sender's own among them, by the clock, with the clients on the same machine.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, cycle, islice
from pathlib import Path
from statistics import mean
from struct import pack

import uvloop

from relay.postgres import PostgresStore, Target
from relay.writes import AddMember, CreateRoom
from tests.bench import Measurement
from tests.bench.relay_catch_up import SENDS, connected_ms, percentiles
from tests.bench.relay_durable import (
    DATA,
    IN_FLIGHT,
    PAIRS,
    WARM_UP_SECONDS,
    Round,
    exchange,
    one_round,
    rounds,
)
from tests.bench.relay_store import uuid7
from tests.bench.seed import seed_store, token
from tests.bench.sockets import Peer, message, rapport
from tests.postgres_process import PostgresProcess
from tests.redis_process import KEY, RedisProcess, redis_process

MEMBERS = 256
"""Accounts of the one room, each with a connection."""
ROOMS = 10_000
CROWD_ROUNDS = 3
AT_ONCE = 500
"""Rooms that are made together in the beginning, when nothing is measured."""

_EVENT = b"\xa2op\xa5event"
_PROCESSES = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type <> "


def measure() -> dict[str, Measurement]:
    """Microseconds of CPU per message, messages and deliveries per second, milliseconds per message."""
    server = PostgresProcess(fsync="on", full_page_writes="on", shared_buffers="128MB")
    try:
        server.start()
        return uvloop.run(_measure(server))
    finally:
        server.close()


async def _measure(server: PostgresProcess) -> dict[str, Measurement]:
    async with redis_process() as redis:
        async with redis.client() as client:
            redis_pid = int((await client.info("server"))["process_id"])
        return await asyncio.to_thread(_compare, server, redis, redis_pid)


def _compare(server: PostgresProcess, redis: RedisProcess, redis_pid: int) -> dict[str, Measurement]:
    with one_node(server) as (pid, port):
        near = percentiles(connected_ms(port, port, PAIRS), SENDS)
        alone = min(cost for (cost,), _ in rounds([pid], [port]))
    with two_nodes(server, redis) as (nodes, ports):
        far = percentiles(connected_ms(*ports, PAIRS), SENDS)
        store = [int(pid) for pid in server.sql(f"{_PROCESSES}'autovacuum worker'").split()]
        pairs = rounds([*nodes, redis_pid, *store], ports)
        one_room, many_rooms = crowd(ports), neighbours(ports)
        in_one, in_many = several(nodes, one_room), several(nodes, many_rooms)
    return {
        "cluster.durable": Measurement(min(a + b for (a, b, *_), _ in pairs), "us", alone),
        "cluster.durable_redis": Measurement(mean(taken for (_, _, taken, *_), _ in pairs), "us"),
        "cluster.durable_store": Measurement(mean(sum(store) for (_, _, _, *store), _ in pairs), "us"),
        "cluster.durable_rate": Measurement(max(rate for _, rate in pairs), "/s"),
        "cluster.durable_p50": Measurement(far[0], "ms", near[0]),
        "cluster.durable_p99": Measurement(far[1], "ms", near[1]),
        "cluster.one_room": Measurement(min(sum(cpu) for cpu, _ in in_one) / MEMBERS, "us"),
        "cluster.one_room_rate": Measurement(max(rate for _, rate in in_one) * MEMBERS, "/s"),
        "cluster.rooms": Measurement(min(sum(cpu) for cpu, _ in in_many) / 2, "us"),
        "cluster.rooms_rate": Measurement(max(rate for _, rate in in_many) * 2, "/s"),
    }


@contextmanager
def one_node(server: PostgresProcess) -> Iterator[tuple[int, int]]:
    """A server by itself on a new database."""
    name = server.database()
    seed_store(PostgresStore(Target(server.url(name))), PAIRS + 1)
    with (
        tempfile.TemporaryDirectory(prefix="cluster-durable-") as folder,
        rapport(Path(folder), server.url(name)) as node,
    ):
        yield node


@contextmanager
def two_nodes(
    server: PostgresProcess, redis: RedisProcess
) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """A cluster on a new database with all rooms: the ids of its processes, and their ports."""
    url = server.url(server.database())
    seed_store(PostgresStore(Target(url)), PAIRS + 1)
    asyncio.run(_seed(PostgresStore(Target(url))))
    with tempfile.TemporaryDirectory(prefix="cluster-durable-") as folder:
        bus = {"RAPPORT_BUS_URL": redis.url, "RAPPORT_BUS_KEY": KEY}
        bus["RAPPORT_BLOBS_FOLDER"] = f"{folder}/blobs"
        with (
            rapport(Path(folder), url, **bus) as first,
            rapport(Path(folder), url, **bus) as second,
        ):
            yield (first[0], second[0]), (first[1], second[1])


async def _seed(store: PostgresStore) -> None:
    """One room of many members, and many rooms of two."""
    await store.open()
    members = [AddMember("hall", f"h{number}", "client", 1) for number in range(MEMBERS)]
    await store.commit(CreateRoom("hall", b"", 1), *members)
    for start in range(0, ROOMS, AT_ONCE):
        await asyncio.gather(
            *(
                store.commit(
                    CreateRoom(f"n{room}", b"", 1),
                    AddMember(f"n{room}", f"x{room % PAIRS}", "client", 1),
                    AddMember(f"n{room}", f"y{room % PAIRS}", "client", 1),
                )
                for room in range(start, start + AT_ONCE)
            )
        )
    await store.close()


def crowd(ports: Sequence[int]) -> list[Company]:
    """The members of the one room, half of them on each node."""
    peers = [Peer(ports[number % 2], token(f"h{number}")) for number in range(MEMBERS)]
    return [Company(["hall"], peers)]


def neighbours(ports: Sequence[int]) -> list[Company]:
    """Pairs that share all the rooms, each of them on both nodes."""
    return [
        Company(
            [f"n{room}" for room in range(number, ROOMS, PAIRS)],
            [Peer(ports[number % 2], token(f"x{number}")), Peer(ports[1 - number % 2], token(f"y{number}"))],
        )
        for number in range(PAIRS)
    ]


def several(pids: Sequence[int], companies: Sequence[Company]) -> list[Round]:
    """Rounds with them."""
    exchange(companies, WARM_UP_SECONDS)
    return [one_round(pids, companies) for _ in range(CROWD_ROUNDS)]


class Company:
    """Connections that are in the same rooms; the first of them sends, to one room after the other."""

    _mids = count(1)

    def __init__(self, rooms: Sequence[str], peers: Sequence[Peer]) -> None:
        self._rooms, self._peers = cycle(rooms), peers

    def send(self) -> None:
        """Send the messages."""
        frames = [
            {"op": "message.send", "id": one, "room": room, "mid": uuid7(next(self._mids)), "data": DATA}
            for one, room in enumerate(islice(self._rooms, IN_FLIGHT))
        ]
        self._peers[0].socket.sendall(b"".join(map(message, frames)))

    def receive(self) -> None:
        """Wait until all have everything, and acknowledge it."""
        for peer in self._peers:
            peer.socket.sendall(b"".join(map(acknowledgement, last_of_each_room(peer))))


def last_of_each_room(peer: Peer) -> list[bytes]:
    """Read as many events as there are messages in flight: ``room``, ``epoch``, ``offset`` as they came."""
    due, places = IN_FLIGHT, dict[bytes, bytes]()
    while due > 0:
        for payload in peer.messages():
            if payload.startswith(_EVENT, 1):
                due -= 1
                place = payload[payload.index(b"\xa4room") : payload.index(b"\xa5at_ms")]
                places[place[: place.index(b"\xa5epoch")]] = place
    return list(places.values())


def acknowledgement(place: bytes) -> bytes:
    """Of everything up to there."""
    payload = b"\x84\xa2op\xa3ack" + place
    return pack("!BB", 0x82, 0x80 | len(payload)) + bytes(4) + payload
