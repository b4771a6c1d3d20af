"""The nodes of a store's file, for commands: a server may have the store open at the same time.

What is written this way the server reads anew each time: it remembers nothing of it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from relay.audit_chain import AuditEntry
from relay.audit_trail import AppendAudit
from relay.cluster import DrainNode, Nodes
from relay.errors import StoreUnusable
from relay.rows import Session
from relay.sqlite import audit, cluster, reads
from relay.sqlite.opening import translated
from relay.sqlite.schema import check_current

_BUSY_SECONDS: Final = 10.0


class SqliteRoll:
    """`relay.cluster.Roll` of a file that exists. Blocks: it is for programs that do one thing."""

    def __init__(self, path: Path) -> None:
        self._path: Final = path

    async def nodes(self) -> Nodes:
        with self._connection() as db:
            return cluster.nodes(db)

    async def sessions_in(self, state: str, *, after: str = "", limit: int) -> tuple[Session, ...]:
        with self._connection() as db:
            return reads.sessions_in(db, state, after, limit)

    async def drain(self, node: str, entry: AuditEntry) -> bool:
        with self._connection() as db:
            db.execute("BEGIN IMMEDIATE")
            drained = cluster.apply(db, DrainNode(node))
            if drained.changed:
                audit.apply(db, AppendAudit(entry))
            db.execute("COMMIT")
        return drained.changed

    async def close(self) -> None:
        """Nothing is held between the calls."""

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Closed at the end, and rolled back unless it was committed."""
        if not self._path.is_file():
            raise StoreUnusable("there is no such file")
        try:
            with closing(sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_SECONDS)) as db:
                db.execute("PRAGMA synchronous = FULL")
                check_current(db)
                yield db
        except sqlite3.Error as error:
            raise translated(error) from error
