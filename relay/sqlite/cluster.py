"""Nodes: writes and the one query.

A node that lives has a row in `nodes`, one that was buried in `graves`.
"""

import sqlite3
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
from relay.sqlite.reads import snapshot
from relay.writes import Applied

_FIRST_BEAT: Final = (
    "INSERT INTO nodes (name, beat, at_ms, version, region, url, participants, connections, draining) "
    "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 WHERE NOT EXISTS (SELECT 1 FROM graves WHERE name = ?1) "
    "ON CONFLICT DO NOTHING"
)
_BEAT: Final = (
    "UPDATE nodes SET beat = ?2, at_ms = ?3, version = ?4, region = ?5, url = ?6, participants = ?7, "
    "connections = ?8, draining = ?9 WHERE name = ?1"
)


def apply(db: sqlite3.Connection, write: ClusterWrite) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match write:
        case BeatNode(node):
            return _beat(db, node)
        case DrainNode(name):
            return _drain(db, name)
        case BuryNode():
            return _bury(db, write)
        case SettleNode(name, at_ms):
            done = db.execute(
                "UPDATE graves SET settled_ms = ?2 WHERE name = ?1 AND settled_ms IS NULL", (name, at_ms)
            )
            return Applied(changed=done.rowcount > 0)
        case ForgetNodes(before_ms):
            done = db.execute("DELETE FROM graves WHERE settled_ms < ?", (before_ms,))
            return Applied(changed=done.rowcount > 0)
        case Fence(name):
            _check_alive(db, name)
            return Applied()
        case _:
            assert_never(write)


def nodes(db: sqlite3.Connection) -> Nodes:
    """All nodes of which something is to be known."""
    with snapshot(db):
        living = db.execute(
            "SELECT name, beat, at_ms, version, region, url, participants, connections, draining, drain "
            "FROM nodes ORDER BY name"
        ).fetchall()
        buried = db.execute("SELECT name, at_ms, region FROM graves WHERE settled_ms IS NULL ORDER BY name")
        return Nodes(
            tuple([_node(row) for row in living]),
            tuple([Grave(*row) for row in buried]),
        )


def _beat(db: sqlite3.Connection, node: NodeRow) -> Applied:
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
    if node.beat == 1 and db.execute(_FIRST_BEAT, row).rowcount:
        return Applied()
    if not db.execute(_BEAT, row).rowcount:
        raise NodeBuried("the node was taken for dead")
    return Applied()


def _drain(db: sqlite3.Connection, name: str) -> Applied:
    done = db.execute("UPDATE nodes SET drain = 1 WHERE name = ? AND NOT drain", (name,))
    if not done.rowcount and db.execute("SELECT 1 FROM nodes WHERE name = ?", (name,)).fetchone() is None:
        raise NotFound("no such node")
    return Applied(changed=done.rowcount > 0)


def _bury(db: sqlite3.Connection, write: BuryNode) -> Applied:
    found = db.execute("SELECT beat, at_ms, region FROM nodes WHERE name = ?", (write.name,)).fetchone()
    if found is None:
        return Applied(changed=False)
    beat, *grave = found
    if beat != write.beat:
        raise Conflict("the node has beaten meanwhile")
    db.execute("DELETE FROM nodes WHERE name = ?", (write.name,))
    db.execute("INSERT INTO graves (name, at_ms, region) VALUES (?, ?, ?)", (write.name, *grave))
    return Applied()


def _check_alive(db: sqlite3.Connection, name: str) -> None:
    if db.execute("SELECT 1 FROM nodes WHERE name = ?", (name,)).fetchone() is None:
        raise NodeBuried("the node was taken for dead")


def _node(row: tuple[str, int, int, str, str, str, int, int, int, int]) -> NodeRow:
    name, beat, at_ms, version, region, url, participants, connections, draining, drain = row
    return NodeRow(
        name, beat, at_ms, version, region, url, participants, connections, bool(draining), bool(drain)
    )
