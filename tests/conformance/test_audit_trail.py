"""What every Store does with the audit trail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from relay.audit_chain import GENESIS, AuditEntry, AuditRecord, follow, kept_digest
from relay.audit_trail import (
    AppendAudit,
    AuditAnchor,
    AuditCheckpoint,
    AuditFilter,
    AuditHead,
    AuditHold,
    EndGrant,
    Grant,
    HoldAudit,
    PruneAudit,
    PutCheckpoint,
    PutGrant,
    ReleaseAudit,
)
from relay.errors import Conflict, NotFound, Unstorable
from relay.store import Store
from relay.writes import Append, Applied, CreateRoom
from tests.conformance.places import Place

ALL = 1_000


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.store()
    await store.open()
    yield store
    await store.close()


def entry(number: int = 0, **fields: Any) -> AuditEntry:
    given: dict[str, Any] = {
        "at_ms": 1_000 + number,
        "actor": "ann",
        "role": "therapist",
        "action": "session.live",
        "object_kind": "session",
        "object_id": f"s{number}",
        "room": "r",
        "subject": "",
        "source": "http",
        "outcome": "ok",
    }
    return AuditEntry(**given | fields)


async def appended(store: Store, *entries: AuditEntry) -> tuple[AuditRecord, ...]:
    for one in entries:
        await store.commit(AppendAudit(one))
    return await store.audit(after=0, limit=ALL)


async def anchor(store: Store, through: int, **changed: Any) -> AuditAnchor:
    """What a pruning up to an entry leaves, the holds being what they are."""
    (last,) = await store.audit(after=through - 1, limit=1)
    kept = kept_digest(await store.audit_kept(through=through, limit=ALL))
    fields: dict[str, Any] = {
        "through": through,
        "digest": last.digest,
        "kept": kept,
        "at_ms": 1,
        "key": "k",
        "signature": b"s",
    }
    return AuditAnchor(**fields | changed)


async def sequences(store: Store, matching: AuditFilter | None = None) -> list[int]:
    return [one.sequence for one in await store.audit(after=0, limit=ALL, matching=matching)]


async def test_entries_are_chained_in_the_order_of_the_calls(store: Store) -> None:
    assert await store.audit_head() == AuditHead(0, GENESIS)
    entries = [entry(number) for number in range(3)]
    records = await appended(store, *entries)
    before = GENESIS
    for number, record in enumerate(records):
        before = follow(before, number + 1, entries[number])
        assert record == AuditRecord(number + 1, entries[number], before)
    assert await store.audit_head() == AuditHead(3, before)
    assert await store.audit(after=1, limit=1) == records[1:2]


async def test_an_entry_is_written_with_the_change_it_tells_of_or_not_at_all(store: Store) -> None:
    await store.commit(CreateRoom("r", b"", 1), AppendAudit(entry()))
    with pytest.raises(Conflict):
        await store.commit(AppendAudit(entry(1)), CreateRoom("r", b"", 1))
    with pytest.raises(NotFound):
        await store.commit(AppendAudit(entry(2)), Append("none", None, None, None, b"", 1))
    await store.commit(AppendAudit(entry(3)))
    assert [one.entry.object_id for one in await store.audit(after=0, limit=ALL)] == ["s0", "s3"]


async def test_entries_written_at_the_same_time_make_one_chain(store: Store) -> None:
    await asyncio.gather(*(store.commit(AppendAudit(entry(n)), AppendAudit(entry(n))) for n in range(50)))
    before = GENESIS
    for place, record in enumerate(await store.audit(after=0, limit=ALL), start=1):
        before = follow(before, place, record.entry)
        assert (record.sequence, record.digest) == (place, before)
    assert (await store.audit_head()).sequence == 100


async def test_what_cannot_be_hashed_is_refused_and_harms_nothing(store: Store) -> None:
    with pytest.raises(Unstorable):
        await store.commit(AppendAudit(entry(actor="\ud800")))
    with pytest.raises(Unstorable):
        await store.commit(AppendAudit(entry(count=1 << 64)))
    assert await store.audit_head() == AuditHead(0, GENESIS)


async def test_entries_are_found_by_what_they_are_about(store: Store) -> None:
    await appended(
        store,
        entry(1),
        entry(2, actor="ben", action="session.left", room="q"),
        entry(3, action="sessions", object_kind="account", object_id="cleo", room=""),
        entry(
            4,
            actor="",
            action="member.added.client",
            object_kind="room",
            object_id="q",
            room="q",
            subject="cleo",
        ),
    )
    assert await sequences(store, AuditFilter(actor="ben")) == [2]
    assert await sequences(store, AuditFilter(action="session")) == [1, 2]
    assert await sequences(store, AuditFilter(action="session.live")) == [1]
    assert await sequences(store, AuditFilter(action="member.added")) == [4]
    assert await sequences(store, AuditFilter(object_kind="session")) == [1, 2]
    assert await sequences(store, AuditFilter(object_kind="session", object_id="s2")) == [2]
    assert await sequences(store, AuditFilter(object_kind="room", object_id="q")) == [2, 4]
    assert await sequences(store, AuditFilter(object_kind="account", object_id="cleo")) == [3, 4]
    assert await sequences(store, AuditFilter(object_kind="account", object_id="ben")) == [2]
    assert await sequences(store, AuditFilter(object_id="cleo")) == [3]
    assert await sequences(store, AuditFilter(since_ms=1_002, until_ms=1_004)) == [2, 3]
    assert await sequences(store, AuditFilter(actor="ann", since_ms=1_002)) == [3]
    assert await sequences(store, AuditFilter(actor="' OR 1=1 --")) == []


async def test_a_checkpoint_is_of_an_entry_that_is_there(store: Store) -> None:
    records = await appended(store, entry(1), entry(2))
    checkpoint = AuditCheckpoint(2, records[1].digest, 5, "k", b"signature")
    assert await store.commit(PutCheckpoint(checkpoint)) == (Applied(),)
    assert await store.commit(PutCheckpoint(checkpoint)) == (Applied(changed=False),)
    for other in (
        AuditCheckpoint(1, records[1].digest, 5, "k", b""),
        AuditCheckpoint(3, GENESIS, 5, "k", b""),
    ):
        with pytest.raises(Conflict):
            await store.commit(PutCheckpoint(other))
    assert await store.audit_checkpoints(after=0, limit=ALL) == (checkpoint,)
    assert await store.audit_checkpoints(after=2, limit=ALL) == ()


async def test_pruning_leaves_an_anchor_and_the_chain_goes_on(store: Store) -> None:
    records = await appended(store, *[entry(n) for n in range(1, 6)])
    for number in (2, 3, 5):
        await store.commit(PutCheckpoint(AuditCheckpoint(number, records[number - 1].digest, 5, "k", b"")))
    assert await store.audit_anchor() is None
    left = await anchor(store, 3)
    assert await store.commit(PruneAudit(left)) == (Applied(),)
    assert await store.audit_anchor() == left
    assert await sequences(store) == [4, 5]
    assert [one.sequence for one in await store.audit_checkpoints(after=0, limit=ALL)] == [3, 5]
    await store.commit(AppendAudit(entry(6)))
    head = await store.audit_head()
    assert head == AuditHead(6, follow(records[4].digest, 6, entry(6)))


async def test_an_anchor_that_does_not_fit_prunes_nothing(store: Store) -> None:
    await appended(store, *[entry(n) for n in range(1, 6)])
    await store.commit(PruneAudit(await anchor(store, 2)))
    wrong = [
        await anchor(store, 4, digest=GENESIS),
        await anchor(store, 4, kept=GENESIS),
        msgspec.structs.replace(await anchor(store, 4), through=9),
        msgspec.structs.replace(await anchor(store, 4), through=1),
        await anchor(store, 5),  # an entry has to be left for the next one to follow
    ]
    for one in wrong:
        with pytest.raises(Conflict):
            await store.commit(PruneAudit(one))
    assert await sequences(store) == [3, 4, 5]


async def test_a_hold_keeps_what_it_is_about_until_it_is_released(store: Store) -> None:
    await appended(
        store,
        entry(1, room="q"),
        entry(2, room="p", subject="cleo"),
        entry(3, room="p", actor="cleo"),
        entry(4, room="p"),
        entry(5, room="p", object_id="held"),
        entry(6),
    )
    holds = [AuditHold("account", "cleo", 7), AuditHold("room", "q", 8), AuditHold("session", "held", 9)]
    for hold in holds:
        assert await store.commit(HoldAudit(hold)) == (Applied(),)
        assert await store.commit(HoldAudit(hold)) == (Applied(changed=False),)
    assert await store.audit_holds(limit=ALL) == tuple(holds)
    assert await store.audit_holds(after=("account", "cleo"), limit=1) == (holds[1],)
    assert [one.sequence for one in await store.audit_kept(through=5, after=1, limit=2)] == [2, 3]
    blind = await anchor(store, 5, kept=kept_digest(()))
    with pytest.raises(Conflict):
        await store.commit(PruneAudit(blind))

    await store.commit(PruneAudit(first := await anchor(store, 5)))
    assert await sequences(store) == [1, 2, 3, 5, 6]

    await store.commit(ReleaseAudit("account", "cleo"), ReleaseAudit("session", "held"))
    with pytest.raises(NotFound):
        await store.commit(ReleaseAudit("account", "cleo"))
    kept = kept_digest(await store.audit_kept(through=5, limit=ALL))
    again = AuditAnchor(5, first.digest, kept, 2, "k", b"s")
    assert await store.commit(PruneAudit(again)) == (Applied(),)
    assert await sequences(store) == [1, 6]
    assert await store.commit(PruneAudit(again)) == (Applied(changed=False),)


async def test_a_grant_runs_to_its_latest_instant_and_is_ended_as_it_was_read(store: Store) -> None:
    assert await store.grant("ann", "audit") is None
    await store.commit(PutGrant(Grant("ann", "audit", 500)), PutGrant(Grant("ann", "rooms", 300)))
    assert await store.commit(PutGrant(Grant("ann", "audit", 400))) == (Applied(changed=False),)
    assert await store.grant("ann", "audit") == Grant("ann", "audit", 500)
    assert await store.grants(until_ms=500, limit=ALL) == (Grant("ann", "rooms", 300),)
    with pytest.raises(Conflict):
        await store.commit(EndGrant(Grant("ann", "audit", 400)))
    await store.commit(EndGrant(Grant("ann", "audit", 500)))
    assert await store.grant("ann", "audit") is None
