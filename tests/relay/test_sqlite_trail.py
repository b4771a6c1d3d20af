"""The trail of a file that a server has open: read and continued from another connection."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from relay.audit_chain import GENESIS, AuditEntry, follow
from relay.audit_trail import AppendAudit, Grant, HoldAudit, PutGrant
from relay.audit_trail import AuditHold as Hold
from relay.errors import SchemaTooNew, StoreUnusable
from relay.sqlite import SqliteStore
from relay.sqlite.schema import MIGRATIONS
from relay.sqlite.trail import SqliteTrail

ENTRY = AuditEntry(1, "a", "operator", "audit.exported", "audit", "", "", "", "cli", "ok")


async def test_server_and_command_append_to_one_chain(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "rapport.db")
    await store.open()
    await store.commit(PutGrant(Grant("ann", "audit", 5)), HoldAudit(Hold("room", "r", 1)))
    trail = SqliteTrail(tmp_path / "rapport.db")

    async def serve() -> None:
        for _ in range(40):
            await store.commit(AppendAudit(ENTRY))

    async def command() -> None:
        beside = SqliteTrail(tmp_path / "rapport.db")
        for _ in range(40):
            await beside.append(AppendAudit(ENTRY))
        await beside.close()

    await asyncio.gather(serve(), asyncio.to_thread(asyncio.run, command()))
    records = await trail.audit(after=0, limit=100)
    before = GENESIS
    for sequence in range(1, 81):
        before = follow(before, sequence, ENTRY)
        assert (records[sequence - 1].sequence, records[sequence - 1].digest) == (sequence, before)
    assert await trail.audit_head() == await store.audit_head()
    assert await trail.audit_anchor() is None
    assert await trail.audit_checkpoints(after=0, limit=9) == ()
    assert await trail.audit_holds(limit=9) == (Hold("room", "r", 1),)
    assert await trail.audit_kept(through=9, limit=9) == ()
    assert await trail.grant("ann", "audit") == (await trail.grants(until_ms=9, limit=9))[0]
    await trail.close()
    await store.close()


async def test_an_entry_that_cannot_be_written_leaves_the_trail_as_it_was(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "rapport.db")
    await store.open()
    await store.close()
    trail = SqliteTrail(tmp_path / "rapport.db")
    with pytest.raises(OverflowError):
        await trail.append(AppendAudit(AuditEntry(1 << 64, *(["x"] * 9))))  # type: ignore[arg-type]  # a number first
    await trail.append(AppendAudit(ENTRY))
    assert (await trail.audit_head()).sequence == 1
    await trail.close()


async def test_only_a_store_of_this_version_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "rapport.db"
    with pytest.raises(StoreUnusable, match="no such file"):
        SqliteTrail(path)
    path.write_bytes(b"something else" * 100)
    with pytest.raises(StoreUnusable):
        SqliteTrail(path)
    path.unlink()
    sqlite3.connect(path).close()
    with pytest.raises(StoreUnusable):
        SqliteTrail(path)
    store = SqliteStore(path)
    await store.open()
    await store.close()
    for version, error in ((len(MIGRATIONS) + 1, SchemaTooNew), (len(MIGRATIONS) - 1, StoreUnusable)):
        with sqlite3.connect(path) as db:
            db.execute(f"PRAGMA user_version = {version}")
        db.close()
        with pytest.raises(error):
            SqliteTrail(path)
