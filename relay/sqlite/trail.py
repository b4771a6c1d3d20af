"""The audit trail of a store's file, for commands: a server may have the store open at the same time.

SQLite serialises the few entries that a command appends with the server's transactions. Nothing else can be
written this way: what the server remembers of the other tables would not be true any more.
"""

import sqlite3
from pathlib import Path
from typing import Final

from relay.audit_chain import AuditRecord
from relay.audit_trail import (
    AppendAudit,
    AuditAnchor,
    AuditCheckpoint,
    AuditFilter,
    AuditHead,
    AuditHold,
    Grant,
)
from relay.errors import StoreError, StoreUnusable
from relay.sqlite import audit
from relay.sqlite.opening import translated
from relay.sqlite.schema import check_current

_BUSY_SECONDS: Final = 10.0


class SqliteTrail:
    """`relay.audit_trail.OpenTrail` of a file that exists. Blocks: it is for programs that do one thing.

    Raises `StoreUnusable` if there is no such file or it is of an older or a newer version.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise StoreUnusable("there is no such file")
        self._db: Final = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
        try:
            self._db.execute("PRAGMA synchronous = FULL")
            check_current(self._db)
        except (sqlite3.Error, StoreError) as error:
            self._db.close()
            raise translated(error) if isinstance(error, sqlite3.Error) else error from None

    async def close(self) -> None:
        self._db.close()

    async def append(self, write: AppendAudit) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                audit.apply(self._db, write)
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise translated(error) from error

    async def audit_head(self) -> AuditHead:
        return audit.head(self._db)

    async def audit(
        self, *, after: int, limit: int, matching: AuditFilter | None = None
    ) -> tuple[AuditRecord, ...]:
        return audit.records(self._db, after, limit, matching)

    async def audit_checkpoints(self, *, after: int, limit: int) -> tuple[AuditCheckpoint, ...]:
        return audit.checkpoints(self._db, after, limit)

    async def audit_anchor(self) -> AuditAnchor | None:
        return audit.anchor(self._db)

    async def audit_kept(self, *, through: int, after: int = 0, limit: int) -> tuple[AuditRecord, ...]:
        return audit.kept(self._db, through, after, limit)

    async def audit_holds(self, *, after: tuple[str, str] = ("", ""), limit: int) -> tuple[AuditHold, ...]:
        return audit.holds(self._db, after, limit)

    async def grant(self, account: str, scope: str) -> Grant | None:
        return audit.grant(self._db, account, scope)

    async def grants(self, *, until_ms: int, limit: int) -> tuple[Grant, ...]:
        return audit.grants(self._db, until_ms, limit)
