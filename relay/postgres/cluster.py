"""Nodes: writes and the one query.

A node that lives has a row in `nodes`, one that was buried in `graves`. Whoever is fenced with a node holds
its row until the transaction ends: a burial waits for whatever the node is writing, and nothing comes after.
"""

from typing import Final, assert_never

from relay.cluster import (
    BeatNode,
    BuryNode,
    ClusterWrite,
    DrainNode,
    Fence,
    ForgetNodes,
    Grave,
    NodeRow,
    Nodes,
    SettleNode,
)
from relay.errors import Conflict, NodeBuried, NotFound
from relay.postgres.connection import Connection, count, snapshot
from relay.writes import Applied

_FIRST_BEAT: Final = (
    "INSERT INTO nodes (name, beat, at_ms, version, region, url, participants, connections, draining) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING"
)
_BEAT: Final = (
    "UPDATE nodes SET beat = $2, at_ms = $3, version = $4, region = $5, url = $6, participants = $7, "
    "connections = $8, draining = $9 WHERE name = $1"
)
_IS_BURIED: Final = "SELECT EXISTS (SELECT 1 FROM graves WHERE name = $1)"
_SETTLE: Final = "UPDATE graves SET settled_ms = $2 WHERE name = $1 AND settled_ms IS NULL"


async def apply(db: Connection, write: ClusterWrite) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match write:
        case BeatNode(node):
            return await _beat(db, node)
        case DrainNode(name):
            return await _drain(db, name)
        case BuryNode():
            return await _bury(db, write)
        case SettleNode(name, at_ms):
            return Applied(changed=await count(db, _SETTLE, name, at_ms) > 0)
        case ForgetNodes(before_ms):
            forgotten = "DELETE FROM graves WHERE settled_ms < $1"
            return Applied(changed=await count(db, forgotten, before_ms) > 0)
        case Fence(name):
            if await db.fetchval("SELECT 1 FROM nodes WHERE name = $1 FOR KEY SHARE", name) is None:
                raise NodeBuried("the node was taken for dead")
            return Applied()
        case _:
            assert_never(write)


async def nodes(db: Connection) -> Nodes:
    """All nodes of which something is to be known."""
    async with snapshot(db):
        living = await db.fetch(
            "SELECT name, beat, at_ms, version, region, url, participants, connections, draining, drain "
            "FROM nodes ORDER BY name"
        )
        buried = await db.fetch(
            "SELECT name, at_ms, region FROM graves WHERE settled_ms IS NULL ORDER BY name"
        )
    return Nodes(tuple([NodeRow(*row) for row in living]), tuple([Grave(*row) for row in buried]))


async def _beat(db: Connection, node: NodeRow) -> Applied:
    row = (
        node.name,
        node.beat,
        node.at_ms,
        node.version,
        node.region,
        node.url,
        node.participants,
        node.connections,
        node.draining,
    )
    done = (node.beat == 1 and await count(db, _FIRST_BEAT, *row)) or await count(db, _BEAT, *row)
    # Looked at last: either statement waits for a burial that is under way.
    if not done or await db.fetchval(_IS_BURIED, node.name):
        raise NodeBuried("the node was taken for dead")
    return Applied()


async def _drain(db: Connection, name: str) -> Applied:
    if await count(db, "UPDATE nodes SET drain = true WHERE name = $1 AND NOT drain", name):
        return Applied()
    if await db.fetchval("SELECT 1 FROM nodes WHERE name = $1", name) is None:
        raise NotFound("no such node")
    return Applied(changed=False)


async def _bury(db: Connection, write: BuryNode) -> Applied:
    found = await db.fetchrow("SELECT beat, at_ms, region FROM nodes WHERE name = $1 FOR UPDATE", write.name)
    if found is None:
        return Applied(changed=False)
    beat, at_ms, region = found
    if beat != write.beat:
        raise Conflict("the node has beaten meanwhile")
    await db.execute("DELETE FROM nodes WHERE name = $1", write.name)
    await db.execute(
        "INSERT INTO graves (name, at_ms, region) VALUES ($1, $2, $3)", write.name, at_ms, region
    )
    return Applied()
