"""How many machines a demand needs, and which part is the first that one cannot carry. Pure arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from loadtest.scaling.demand import Demand


@dataclass(frozen=True, slots=True)
class Machines:
    """What machines can do, and how far they are to be filled."""

    cores: int = 16
    """Of a node: one for the server process, the others for media workers."""
    full: float = 0.6
    """How busy a core may be on average: what is left is for chance, and for the nodes that are lost."""
    network_bits: float = 10e9
    connections: int = 20_000
    """Of a node (`limits.connections`)."""
    database_cores: int = 32
    database_bytes: float = 8e12
    appends: float = 20_000.0
    """A second, of one PostgreSQL with a synchronous standby; a quarter of what it takes without one."""
    redis_full: float = 0.5
    """How busy the one thread of a Redis may be."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A deployment for a demand."""

    nodes: int
    """One more than are needed, so that one may die in the busiest hour."""
    nodes_for: str
    """What needs that many: `media`, `network`, `server` or `connections`."""
    workers: int
    """Media workers of each node."""
    redis: int
    """Servers, or shards of a Redis Cluster."""
    databases: int
    """Partitions of accounts, each a PostgreSQL with a standby."""
    databases_for: str
    """What needs that many: `appends`, `cores` or `space`."""


def plan(asked: Demand, machines: Machines, years: float = 1.0) -> Plan:
    """The least that carries a demand, with the history of so many years."""
    workers = max(1, machines.cores - 1)
    nodes = {
        "server": asked.server_cores / machines.full,
        "media": asked.media_cores / machines.full / workers,
        "network": asked.bits / machines.full / machines.network_bits,
        "connections": asked.connections / machines.connections,
    }
    databases = {
        "appends": asked.messages / machines.appends,
        "cores": asked.database_cores / machines.full / machines.database_cores,
        "space": asked.bytes_per_year * years / machines.database_bytes,
    }
    nodes_for, databases_for = max(nodes, key=nodes.__getitem__), max(databases, key=databases.__getitem__)
    return Plan(
        nodes=_whole(nodes[nodes_for]) + 1,
        nodes_for=nodes_for,
        workers=workers,
        redis=_whole(asked.redis_cores / machines.redis_full),
        databases=_whole(databases[databases_for]),
        databases_for=databases_for,
    )


def _whole(amount: float) -> int:
    return max(1, math.ceil(amount - EPSILON))


EPSILON: Final = 1e-9
"""Less than this is a slip of floating point."""
