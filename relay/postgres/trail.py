"""The audit trail of a store in PostgreSQL, for commands: servers may use the store at the same time."""

from collections.abc import Awaitable, Callable
from typing import Concatenate, Final, ParamSpec, TypeVar

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
from relay.postgres import audit
from relay.postgres.connection import Connection
from relay.postgres.errors import FAILURES, translated
from relay.postgres.migrating import check_current
from relay.postgres.opening import Link, Target, connect

_P = ParamSpec("_P")
_T = TypeVar("_T")


class PostgresTrail:
    """`relay.audit_trail.OpenTrail` over one connection. Made by `open_trail`."""

    def __init__(self, link: Link) -> None:
        self._link: Final = link

    async def close(self) -> None:
        await self._link.close()

    async def append(self, write: AppendAudit) -> None:
        async def commit(db: Connection) -> None:
            async with db.transaction():
                await audit.apply(db, write)

        await self._run(commit)

    async def audit_head(self) -> AuditHead:
        return await self._run(audit.head)

    async def audit(
        self, *, after: int, limit: int, matching: AuditFilter | None = None
    ) -> tuple[AuditRecord, ...]:
        return await self._run(audit.records, after, limit, matching)

    async def audit_checkpoints(self, *, after: int, limit: int) -> tuple[AuditCheckpoint, ...]:
        return await self._run(audit.checkpoints, after, limit)

    async def audit_anchor(self) -> AuditAnchor | None:
        return await self._run(audit.anchor)

    async def audit_kept(self, *, through: int, after: int = 0, limit: int) -> tuple[AuditRecord, ...]:
        return await self._run(audit.kept, through, after, limit)

    async def audit_holds(self, *, after: tuple[str, str] = ("", ""), limit: int) -> tuple[AuditHold, ...]:
        return await self._run(audit.holds, after, limit)

    async def grant(self, account: str, scope: str) -> Grant | None:
        return await self._run(audit.grant, account, scope)

    async def grants(self, *, until_ms: int, limit: int) -> tuple[Grant, ...]:
        return await self._run(audit.grants, until_ms, limit)

    async def _run(
        self, query: Callable[Concatenate[Connection, _P], Awaitable[_T]], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        try:
            return await query(self._link, *args, **kwargs)
        except FAILURES as error:
            raise translated(error) from error


async def open_trail(target: Target) -> PostgresTrail:
    """Connect to a store. Raises `StoreError`; `StoreUnusable` or `SchemaTooNew` for another version's."""
    link = await connect(target)
    try:
        await check_current(link)
    except BaseException as error:
        link.terminate()
        if isinstance(error, FAILURES):
            raise translated(error) from error
        raise
    return PostgresTrail(link)
