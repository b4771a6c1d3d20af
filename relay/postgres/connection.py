"""What the parts of the store use of a connection to PostgreSQL; asyncpg's connections are such.

asyncpg tells types of nothing that it has: this says what the modules beside it rely on.
"""

from collections.abc import AsyncIterable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, Protocol

Row = Sequence[Any]
"""The columns of a row, in the order of the query."""


class Connection(Protocol):
    """One connection, used by one task at a time. Parameters are `$1`, `$2`, ... in the text."""

    async def execute(self, query: str, /, *args: object) -> str:
        """Run a statement: its tag, such as ``UPDATE 3``."""

    async def executemany(self, command: str, /, args: Iterable[Sequence[object]]) -> None:
        """Run a statement once with each of the arguments."""

    async def fetch(self, query: str, /, *args: object) -> list[Row]:
        """All rows of a query."""

    async def fetchrow(self, query: str, /, *args: object) -> Row | None:
        """The first row of a query."""

    async def fetchval(self, query: str, /, *args: object) -> Any:
        """The first column of the first row of a query; None without one."""

    def cursor(self, query: str, /, *args: object, prefetch: int) -> AsyncIterable[Row]:
        """The rows of a query within a transaction, of which so many are in memory."""

    async def copy_records_to_table(
        self, table_name: str, /, *, records: Iterable[Sequence[object]], columns: Sequence[str]
    ) -> str:
        """Put rows into a table, as they are taken from the iterable."""

    def transaction(
        self, *, isolation: Literal["repeatable_read"] | None = None, readonly: bool = False
    ) -> AbstractAsyncContextManager[object]:
        """A transaction, or a savepoint within one."""


async def count(db: Connection, query: str, /, *args: object) -> int:
    """Run a statement: how many rows it has written."""
    return int((await db.execute(query, *args)).rpartition(" ")[2])


def snapshot(db: Connection) -> AbstractAsyncContextManager[object]:
    """Several queries that see the store as it was at one moment."""
    return db.transaction(isolation="repeatable_read", readonly=True)
