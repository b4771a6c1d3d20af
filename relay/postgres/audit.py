"""The audit trail in PostgreSQL: its writes, and the queries behind its reads.

Each entry hashes the one before, so there is one end of the trail and whoever puts entries there keeps it
until the transaction ends. That is as short as can be if entries are put last of all, right before COMMIT:
`checked` says beforehand whether they can be put at all.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final, assert_never

import msgspec

from relay.audit_chain import AuditEntry, AuditRecord, KeptDigest, canonical, follow
from relay.audit_trail import (
    EMPTY,
    AppendAudit,
    AuditAnchor,
    AuditCheckpoint,
    AuditFilter,
    AuditHead,
    AuditHold,
    AuditWrite,
    EndGrant,
    Grant,
    HoldAudit,
    PruneAudit,
    PutCheckpoint,
    PutGrant,
    ReleaseAudit,
)
from relay.errors import Conflict, NotFound, Unstorable
from relay.postgres import locks
from relay.postgres.connection import Connection, Row, count
from relay.writes import Applied

_FIELDS: Final = ", ".join(AuditEntry.__struct_fields__)
_RECORDS: Final = f"SELECT sequence, digest, {_FIELDS} FROM audit"  # noqa: S608 - constants
_INSERT: Final = f"""
    INSERT INTO audit (sequence, digest, {_FIELDS}) SELECT * FROM unnest(
        $1::bigint[], $2::bytea[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
        $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::bigint[]
    )
"""  # noqa: S608 - constants
_HOLDS: Final = "(SELECT kind, id FROM audit_holds)"
_HELD: Final = (
    f"(('room', room) IN {_HOLDS} OR ('account', actor) IN {_HOLDS} "
    f"OR ('account', subject) IN {_HOLDS} OR (object_kind, object_id) IN {_HOLDS})"
)
_CHECKPOINTS: Final = "SELECT sequence, digest, at_ms, key, signature FROM audit_checkpoints"
_ANCHOR: Final = "SELECT through, digest, kept, at_ms, key, signature FROM audit_anchor"
_PAGE: Final = 1_000  # entries read at a time

_Given = Callable[[object], str]
"""Takes a value of a query and gives what stands for it in the text."""


async def apply(db: Connection, write: AuditWrite) -> Applied:
    """Apply one write in the transaction under way. Raises what the write names."""
    match write:
        case AppendAudit(entry):
            await append(db, [checked(entry)])
            return Applied()
        case PutCheckpoint(checkpoint):
            return await _put_checkpoint(db, checkpoint)
        case PruneAudit(anchor):
            return await _prune(db, anchor)
        case HoldAudit(hold):
            # Waits for whatever deletes at this moment what the hold would have kept.
            await locks.lock(db, locks.HOLDS)
            done = await count(
                db,
                "INSERT INTO audit_holds (kind, id, since_ms, account, reason) VALUES ($1, $2, $3, $4, $5) "
                "ON CONFLICT DO NOTHING",
                *msgspec.structs.astuple(hold),
            )
            return Applied(changed=done > 0)
        case ReleaseAudit(kind, name):
            if not await count(db, "DELETE FROM audit_holds WHERE kind = $1 AND id = $2", kind, name):
                raise NotFound("no such hold")
            return Applied()
        case PutGrant(grant):
            done = await count(
                db,
                "INSERT INTO grants AS g (account, scope, until_ms) VALUES ($1, $2, $3) "
                "ON CONFLICT (account, scope) DO UPDATE SET until_ms = excluded.until_ms "
                "WHERE g.until_ms < excluded.until_ms",
                *msgspec.structs.astuple(grant),
            )
            return Applied(changed=done > 0)
        case EndGrant(grant):
            ended = "DELETE FROM grants WHERE account = $1 AND scope = $2 AND until_ms = $3"
            if not await count(db, ended, *msgspec.structs.astuple(grant)):
                raise Conflict("the grant is another by now")
            return Applied()
        case _:
            assert_never(write)


def checked(entry: AuditEntry) -> AuditEntry:
    """The entry, if it can be put into the trail. `Unstorable` otherwise."""
    try:
        canonical(entry)
    except (ValueError, OverflowError) as error:
        raise Unstorable(f"a value cannot be stored ({type(error).__name__})") from None
    if any("\0" in value for value in msgspec.structs.astuple(entry) if isinstance(value, str)):
        raise Unstorable("PostgreSQL cannot store a zero within text")
    return entry


async def append(db: Connection, entries: Sequence[AuditEntry]) -> None:
    """Put entries at the end of the trail, in their order. They were `checked`."""
    await locks.lock(db, locks.TRAIL)
    last = await head(db)
    rows: list[tuple[object, ...]] = []
    sequence, digest = last.sequence, last.digest
    for entry in entries:
        sequence += 1
        digest = follow(digest, sequence, entry)
        rows.append((sequence, digest, *msgspec.structs.astuple(entry)))
    await db.execute(_INSERT, *[list(column) for column in zip(*rows, strict=True)])


async def head(db: Connection) -> AuditHead:
    """How far the trail reaches."""
    last = await db.fetchrow("SELECT sequence, digest FROM audit ORDER BY sequence DESC LIMIT 1")
    begun = await anchor(db)
    if begun is not None and (last is None or last[0] <= begun.through):
        return AuditHead(begun.through, begun.digest)
    return AuditHead(*last) if last is not None else EMPTY


async def records(
    db: Connection, after: int, limit: int, matching: AuditFilter | None
) -> tuple[AuditRecord, ...]:
    """Entries behind a sequence."""
    values: list[object] = [after, limit]

    def given(value: object) -> str:
        values.append(value)
        return f"${len(values)}"

    where = "".join([f" AND {condition}" for condition in _conditions(matching or AuditFilter(), given)])
    query = f"{_RECORDS} WHERE sequence > $1{where} ORDER BY sequence LIMIT $2"
    return _records(await db.fetch(query, *values))


async def kept(db: Connection, through: int, after: int, limit: int) -> tuple[AuditRecord, ...]:
    """Entries that a hold keeps."""
    query = f"{_RECORDS} WHERE sequence > $1 AND sequence <= $2 AND {_HELD} ORDER BY sequence LIMIT $3"
    return _records(await db.fetch(query, after, through, limit))


async def checkpoints(db: Connection, after: int, limit: int) -> tuple[AuditCheckpoint, ...]:
    """Checkpoints behind a sequence."""
    rows = await db.fetch(f"{_CHECKPOINTS} WHERE sequence > $1 ORDER BY sequence LIMIT $2", after, limit)
    return tuple([AuditCheckpoint(*row) for row in rows])


async def anchor(db: Connection) -> AuditAnchor | None:
    """What stands for the beginning, if it was pruned."""
    row = await db.fetchrow(_ANCHOR)
    return AuditAnchor(*row) if row is not None else None


async def holds(db: Connection, after: tuple[str, str], limit: int) -> tuple[AuditHold, ...]:
    """Holds by kind and id."""
    rows = await db.fetch(
        "SELECT kind, id, since_ms, account, reason FROM audit_holds WHERE (kind, id) > ($1, $2) "
        "ORDER BY kind, id LIMIT $3",
        *after,
        limit,
    )
    return tuple([AuditHold(*row) for row in rows])


async def grant(db: Connection, account: str, scope: str) -> Grant | None:
    """An account's grant for a scope."""
    row = await db.fetchrow(
        "SELECT account, scope, until_ms FROM grants WHERE account = $1 AND scope = $2", account, scope
    )
    return Grant(*row) if row is not None else None


async def grants(db: Connection, until_ms: int, limit: int) -> tuple[Grant, ...]:
    """Grants that run out before an instant."""
    rows = await db.fetch(
        "SELECT account, scope, until_ms FROM grants WHERE until_ms < $1 "
        "ORDER BY until_ms, account, scope LIMIT $2",
        until_ms,
        limit,
    )
    return tuple([Grant(*row) for row in rows])


def _records(rows: Iterable[Row]) -> tuple[AuditRecord, ...]:
    return tuple([AuditRecord(row[0], AuditEntry(*row[2:]), row[1]) for row in rows])


def _conditions(matching: AuditFilter, given: _Given) -> Iterable[str]:
    """SQL for a filter; what is asked for is only ever a value."""
    if matching.actor is not None:
        yield f"actor = {given(matching.actor)}"
    if matching.action is not None:
        below = f"{matching.action}."
        within = f"action >= {given(below)} AND action < {given(below + chr(0x10FFFF))}"
        yield f"(action = {given(matching.action)} OR ({within}))"
    if matching.object_kind is not None and matching.object_id is None:
        yield f"object_kind = {given(matching.object_kind)}"
    if matching.object_id is not None:
        yield _about(matching.object_kind, given(matching.object_id), given)
    if matching.since_ms is not None:
        yield f"at_ms >= {given(matching.since_ms)}"
    if matching.until_ms is not None:
        yield f"at_ms < {given(matching.until_ms)}"


def _about(kind: str | None, name: str, given: _Given) -> str:
    match kind:
        case "room":
            return f"room = {name}"
        case "account":
            itself = f"(object_kind = 'account' AND object_id = {name})"
            return f"({itself} OR actor = {name} OR subject = {name})"
        case None:
            return f"object_id = {name}"
        case _:
            return f"(object_kind = {given(kind)} AND object_id = {name})"


async def _put_checkpoint(db: Connection, checkpoint: AuditCheckpoint) -> Applied:
    await locks.lock(db, locks.TRAIL_SEALS)
    digest = await db.fetchval("SELECT digest FROM audit WHERE sequence = $1", checkpoint.sequence)
    if digest != checkpoint.digest:
        raise Conflict("the trail has no such entry")
    done = await count(
        db,
        "INSERT INTO audit_checkpoints (sequence, digest, at_ms, key, signature) VALUES ($1, $2, $3, $4, $5) "
        "ON CONFLICT DO NOTHING",
        *msgspec.structs.astuple(checkpoint),
    )
    return Applied(changed=done > 0)


async def _prune(db: Connection, new: AuditAnchor) -> Applied:
    await locks.share(db, locks.HOLDS)
    await locks.lock(db, locks.TRAIL_SEALS)
    await _check_anchor(db, new)
    gone = await count(db, f"DELETE FROM audit WHERE sequence <= $1 AND NOT {_HELD}", new.through)  # noqa: S608 - constants
    digest = KeptDigest()
    async for record in _up_to(db, new.through):
        digest.add(record)
    if digest.digest() != new.kept:
        raise Conflict("other entries are kept than the anchor tells")
    await db.execute("DELETE FROM audit_checkpoints WHERE sequence < $1", new.through)
    await db.execute("DELETE FROM audit_anchor")
    await db.execute(
        "INSERT INTO audit_anchor (through, digest, kept, at_ms, key, signature) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        *msgspec.structs.astuple(new),
    )
    return Applied(changed=gone > 0)


async def _check_anchor(db: Connection, new: AuditAnchor) -> None:
    """Whether an anchor may follow the present one. `Conflict` if not."""
    begun = await anchor(db)
    if begun is not None and begun.through == new.through:
        digest: Any = begun.digest
    else:
        digest = await db.fetchval("SELECT digest FROM audit WHERE sequence = $1", new.through)
    backwards = begun is not None and new.through < begun.through
    if digest != new.digest or backwards or new.through >= (await head(db)).sequence:
        raise Conflict("the anchor does not fit the trail")


async def _up_to(db: Connection, through: int) -> AsyncIterator[AuditRecord]:
    """The entries up to a sequence, a page at a time."""
    after = 0
    query = f"{_RECORDS} WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence LIMIT $3"
    while page := _records(await db.fetch(query, after, through, _PAGE)):
        for record in page:
            yield record
        after = page[-1].sequence
