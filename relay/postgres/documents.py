"""Documents: their one write and their one query."""

from collections.abc import Collection

from relay.documents import Document, PutDocument
from relay.errors import Conflict
from relay.postgres.connection import Connection, count
from relay.writes import Applied


async def put(db: Connection, write: PutDocument) -> Applied:
    """Write a document in the transaction under way. Raises what the write names."""
    if write.expect_version:
        done = await count(
            db,
            "UPDATE documents SET version = version + 1, body = $3 "
            "WHERE kind = $1 AND id = $2 AND version = $4",
            write.kind,
            write.id,
            write.body,
            write.expect_version,
        )
    else:
        done = await count(
            db,
            "INSERT INTO documents AS d (kind, id, version, body) VALUES ($1, $2, 1, $3) "
            "ON CONFLICT (kind, id) DO UPDATE SET version = d.version + 1, body = excluded.body WHERE $4",
            write.kind,
            write.id,
            write.body,
            write.expect_version is None,
        )
    if not done:
        raise Conflict("the document stands at another version")
    return Applied()


async def documents(db: Connection, kind: str, ids: Collection[str]) -> dict[str, Document]:
    """Those of a kind that exist."""
    rows = await db.fetch(
        "SELECT id, version, body FROM documents WHERE kind = $1 AND id = ANY($2)", kind, list(ids)
    )
    return {name: Document(version, body) for name, version, body in rows}
