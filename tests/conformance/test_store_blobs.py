"""What every Store does with what is known of blobs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import msgspec
import pytest

from relay.audit_trail import AuditHold, HoldAudit, ReleaseAudit
from relay.blob_rows import (
    BeginBlob,
    BlobLimits,
    BlobRow,
    BlobTotals,
    DropBlob,
    ExpireBlobs,
    FinishBlob,
    ProlongBlob,
)
from relay.errors import Conflict, NotFound, TooMany
from relay.store import Store
from relay.writes import AddMember, Applied, CreateRoom, RemoveMember
from tests.conformance.places import Place

WIDE = BlobLimits(account_bytes=1_000, account_uploads=50, room_bytes=1_000, room_blobs=50)


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    store = place.store()
    await store.open()
    for room in ("q", "r"):
        await store.commit(CreateRoom(room, b"", 1), AddMember(room, "ann", "therapist", 1))
    await store.commit(AddMember("r", "ben", "client", 1))
    yield store
    await store.close()


def an_upload(
    name: str, what: str = "", *, room: str = "r", account: str = "ann", size: int = 10, at_ms: int = 100
) -> BlobRow:
    digest = hashlib.sha256((what or name).encode()).digest()
    return BlobRow(name, room, account, digest, size, at_ms, expires_ms=at_ms + 50)


async def begin(store: Store, *uploads: BlobRow, limits: BlobLimits = WIDE) -> None:
    for upload in uploads:
        assert await store.commit(BeginBlob(upload, limits)) == (Applied(),)


async def whole(store: Store, upload: BlobRow, expires_ms: int = 1_000) -> BlobRow:
    await begin(store, upload)
    await store.commit(FinishBlob(upload, expires_ms))
    return msgspec.structs.replace(upload, whole=True, expires_ms=expires_ms)


async def test_an_upload_becomes_whole(store: Store) -> None:
    upload = an_upload("1")
    await begin(store, upload)
    assert await store.blob("1") == upload
    assert await store.blobs_with("r", upload.digest) == (upload,)
    assert await store.blobs_for("ann", upload.digest) == ()
    assert await store.commit(FinishBlob(upload, 1_000)) == (Applied(),)
    expected = msgspec.structs.replace(upload, whole=True, expires_ms=1_000)
    assert await store.blob("1") == expected
    assert await store.blobs_for("ann", upload.digest) == (expected,)
    assert await store.commit(FinishBlob(upload, 2_000)) == (Applied(changed=False),)
    assert await store.blob("1") == expected


async def test_only_members_begin_and_finish(store: Store) -> None:
    for upload in (an_upload("1", room="x"), an_upload("1", account="ben", room="q")):
        with pytest.raises(NotFound):
            await store.commit(BeginBlob(upload, WIDE))
    upload = an_upload("1", account="ben")
    await begin(store, upload)
    await store.commit(RemoveMember("r", "ben"))
    with pytest.raises(NotFound):
        await store.commit(FinishBlob(upload, 1_000))


async def test_what_was_never_begun_is_not_finished_nor_prolonged(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.commit(FinishBlob(an_upload("1"), 1_000))
    with pytest.raises(NotFound):
        await store.commit(ProlongBlob("1", 1_000))
    assert await store.commit(DropBlob(an_upload("1"))) == (Applied(changed=False),)
    assert await store.blob("1") is None


async def test_an_account_uploads_a_digest_to_a_room_once_at_a_time(store: Store) -> None:
    await begin(store, an_upload("1", "same"))
    with pytest.raises(Conflict):
        await store.commit(BeginBlob(an_upload("2", "same"), WIDE))
    await begin(store, an_upload("3", "same", account="ben"), an_upload("4", "same", room="q"))


async def test_a_room_has_a_digest_once(store: Store) -> None:
    ann, ben = an_upload("1", "same"), an_upload("2", "same", account="ben")
    await begin(store, ann, ben)
    await store.commit(FinishBlob(ben, 1_000))
    with pytest.raises(Conflict):
        await store.commit(FinishBlob(ann, 1_000))
    await store.commit(DropBlob(ann))
    with pytest.raises(Conflict):
        await store.commit(BeginBlob(an_upload("3", "same"), WIDE))
    assert [row.id for row in await store.blobs_with("r", ann.digest)] == ["2"]


async def test_blobs_are_for_the_members_of_their_rooms(store: Store) -> None:
    in_q = await whole(store, an_upload("1", "same", room="q"))
    in_r = await whole(store, an_upload("2", "same"))
    assert await store.blobs_for("ann", in_r.digest) == (in_q, in_r)
    assert await store.blobs_for("ben", in_r.digest) == (in_r,)
    assert await store.blobs_for("eve", in_r.digest) == ()
    await store.commit(RemoveMember("r", "ben"))
    assert await store.blobs_for("ben", in_r.digest) == ()


@pytest.mark.parametrize(
    ("limits", "fits"),
    [
        (BlobLimits(30, 50, 1_000, 50), 3),
        (BlobLimits(39, 50, 1_000, 50), 3),
        (BlobLimits(1_000, 2, 1_000, 50), 2),
        (BlobLimits(1_000, 50, 20, 50), 2),
        (BlobLimits(1_000, 50, 1_000, 4), 4),
    ],
)
async def test_limits_hold_and_uploads_count(store: Store, limits: BlobLimits, fits: int) -> None:
    await begin(store, *(an_upload(str(number)) for number in range(fits)), limits=limits)
    with pytest.raises(TooMany):
        await store.commit(BeginBlob(an_upload("more"), limits))
    await store.commit(DropBlob(an_upload("0")))
    await begin(store, an_upload("more"), limits=limits)


async def test_whole_blobs_count_but_not_as_uploads(store: Store) -> None:
    limits = BlobLimits(account_bytes=30, account_uploads=1, room_bytes=1_000, room_blobs=50)
    for number in range(3):
        upload = an_upload(str(number), room="qr"[number % 2])
        await begin(store, upload, limits=limits)
        await store.commit(FinishBlob(upload, 1_000))
    with pytest.raises(TooMany):
        await store.commit(BeginBlob(an_upload("more"), limits))
    await begin(store, an_upload("other", account="ben"), limits=limits)


async def test_what_expires_is_due_in_its_order(store: Store) -> None:
    await whole(store, an_upload("1"), expires_ms=300)
    await begin(store, an_upload("2", at_ms=200), an_upload("3", at_ms=100))
    due = [row.id for row in await store.blobs_due(until_ms=300, limit=9)]
    assert due == ["3", "2", "1"]
    assert [row.id for row in await store.blobs_due(until_ms=299, limit=9)] == ["3", "2"]
    assert [row.id for row in await store.blobs_due(until_ms=300, limit=1)] == ["3"]
    assert await store.blobs_due(until_ms=149, limit=9) == ()


async def test_a_blob_is_prolonged_and_never_shortened_by_that(store: Store) -> None:
    await whole(store, an_upload("1"), expires_ms=300)
    await store.commit(ProlongBlob("1", 400))
    await store.commit(ProlongBlob("1", 350))
    assert await store.blobs_due(until_ms=399, limit=9) == ()
    assert len(await store.blobs_due(until_ms=400, limit=9)) == 1


async def test_a_rooms_old_blobs_expire_at_once(store: Store) -> None:
    old, new = an_upload("1", at_ms=10), an_upload("2", at_ms=20)
    await whole(store, old)
    await whole(store, new)
    await whole(store, an_upload("3", room="q", at_ms=10))
    await begin(store, an_upload("4", at_ms=10, account="ben"))
    assert await store.commit(ExpireBlobs("r", before_ms=20, at_ms=25)) == (Applied(),)
    assert [row.id for row in await store.blobs_due(until_ms=25, limit=9)] == ["1"]
    assert await store.commit(ExpireBlobs("r", before_ms=20, at_ms=25)) == (Applied(changed=False),)
    with pytest.raises(NotFound):
        await store.commit(ExpireBlobs("x", before_ms=20, at_ms=25))


@pytest.mark.parametrize("held", ["room r", "account ben", "account ann", "blob digest"])
async def test_a_legal_hold_keeps_a_whole_blob(store: Store, held: str) -> None:
    blob = await whole(store, an_upload("1", account="ben"), expires_ms=200)
    kind, name = held.replace("digest", blob.digest.hex()).split()
    await store.commit(HoldAudit(AuditHold(kind, name, 5)))
    assert await store.blobs_due(until_ms=999, limit=9) == ()
    with pytest.raises(Conflict):
        await store.commit(DropBlob(blob))
    await store.commit(ReleaseAudit(kind, name))
    assert await store.blobs_due(until_ms=999, limit=9) == (blob,)
    assert await store.commit(DropBlob(blob)) == (Applied(),)
    assert await store.blob("1") is None


@pytest.mark.parametrize("held", ["room q", "account eve", "blob 00", "session r"])
async def test_another_hold_does_not(store: Store, held: str) -> None:
    blob = await whole(store, an_upload("1"), expires_ms=200)
    kind, name = held.split()
    await store.commit(HoldAudit(AuditHold(kind, name, 5)))
    assert await store.blobs_due(until_ms=999, limit=9) == (blob,)
    await store.commit(DropBlob(blob))


async def test_no_hold_keeps_what_is_lost(store: Store) -> None:
    kept = await whole(store, an_upload("1"))
    await store.commit(HoldAudit(AuditHold("room", "r", 5)))
    assert await store.commit(DropBlob(kept, lost=True)) == (Applied(),)
    assert await store.blobs_with("r", kept.digest) == ()


async def test_no_hold_keeps_an_upload(store: Store) -> None:
    upload = an_upload("1")
    await begin(store, upload)
    await store.commit(HoldAudit(AuditHold("room", "r", 5)))
    assert await store.blobs_due(until_ms=999, limit=9) == (upload,)
    assert await store.commit(DropBlob(upload)) == (Applied(),)


async def test_what_expires_later_by_now_is_not_dropped_as_due(store: Store) -> None:
    blob = await whole(store, an_upload("1"), expires_ms=200)
    await store.commit(ProlongBlob("1", 300))
    with pytest.raises(Conflict):
        await store.commit(DropBlob(blob, due_ms=299))
    assert await store.commit(DropBlob(blob, due_ms=300)) == (Applied(),)
    assert await store.commit(DropBlob(blob, due_ms=300)) == (Applied(changed=False),)


async def test_ids_are_known_and_counted(store: Store) -> None:
    assert await store.blob_totals() == BlobTotals(0, 0, 0)
    await whole(store, an_upload("1", size=7))
    await whole(store, an_upload("2", size=8))
    await begin(store, an_upload("3"))
    assert await store.blobs_known(["1", "3", "x"]) == {"1", "3"}
    assert await store.blob_totals() == BlobTotals(2, 15, 1)


async def test_blobs_are_kept(place: Place) -> None:
    before = place.store()
    await before.open()
    await before.commit(CreateRoom("r", b"", 1), AddMember("r", "ann", "therapist", 1))
    blob = await whole(before, an_upload("1"))
    await before.close()
    after = place.store()
    await after.open()
    assert await after.blob("1") == blob
    await after.close()
