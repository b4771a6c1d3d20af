"""Documents: their one write and their one query."""

import sqlite3
from collections.abc import Collection

import msgspec

from relay.documents import Document, PutDocument
from relay.errors import Conflict
from relay.writes import Applied


def put(db: sqlite3.Connection, write: PutDocument) -> Applied:
    """Write a document in the transaction under way. Raises what the write names."""
    if write.expect_version:
        done = db.execute(
            "UPDATE documents SET version = version + 1, body = ?3 "
            "WHERE kind = ?1 AND id = ?2 AND version = ?4",
            (write.kind, write.id, write.body, write.expect_version),
        )
    else:
        done = db.execute(
            "INSERT INTO documents (kind, id, version, body) VALUES (?1, ?2, 1, ?3) "
            "ON CONFLICT DO UPDATE SET version = version + 1, body = excluded.body WHERE ?4",
            (write.kind, write.id, write.body, write.expect_version is None),
        )
    if not done.rowcount:
        raise Conflict("the document stands at another version")
    return Applied()


def documents(db: sqlite3.Connection, kind: str, ids: Collection[str]) -> dict[str, Document]:
    """Those of a kind that exist."""
    rows = db.execute(
        "SELECT id, version, body FROM documents WHERE kind = ? AND id IN (SELECT value FROM json_each(?))",
        (kind, msgspec.json.encode(list(ids)).decode()),
    )
    return {name: Document(version, body) for name, version, body in rows}
