"""The nodes of a store in PostgreSQL, for commands: servers may use the store at the same time."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from relay.audit_chain import AuditEntry
from relay.audit_trail import AppendAudit
from relay.cluster import DrainNode, Nodes
from relay.postgres import audit, cluster, reads
from relay.postgres.connection import Connection
from relay.postgres.errors import FAILURES, translated
from relay.postgres.migrating import check_current
from relay.postgres.opening import Link, Target, connect
from relay.rows import Session

_T = TypeVar("_T")


class PostgresRoll:
    """`relay.cluster.Roll` over one connection. Made by `open_roll`."""

    def __init__(self, link: Link) -> None:
        self._link: Final = link

    async def nodes(self) -> Nodes:
        return await self._run(cluster.nodes)

    async def sessions_in(self, state: str, *, after: str = "", limit: int) -> tuple[Session, ...]:
        return await self._run(lambda db: reads.sessions_in(db, state, after, limit))

    async def drain(self, node: str, entry: AuditEntry) -> bool:
        async def commit(db: Connection) -> bool:
            async with db.transaction():
                drained = await cluster.apply(db, DrainNode(node))
                if drained.changed:
                    await audit.apply(db, AppendAudit(entry))
            return drained.changed

        return await self._run(commit)

    async def close(self) -> None:
        await self._link.close()

    async def _run(self, query: Callable[[Connection], Awaitable[_T]]) -> _T:
        try:
            return await query(self._link)
        except FAILURES as error:
            raise translated(error) from error


async def open_roll(target: Target) -> PostgresRoll:
    """Connect to a store. Raises `StoreError`; `StoreUnusable` or `SchemaTooNew` for another version's."""
    link = await connect(target)
    try:
        await check_current(link)
    except BaseException as error:
        link.terminate()
        if isinstance(error, FAILURES):
            raise translated(error) from error
        raise
    return PostgresRoll(link)
