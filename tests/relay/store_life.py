"""Writes that leave something in every table of a store."""

from __future__ import annotations

from relay.audit_chain import AuditEntry, kept_digest
from relay.audit_trail import (
    AppendAudit,
    AuditAnchor,
    AuditCheckpoint,
    AuditHold,
    Grant,
    HoldAudit,
    PruneAudit,
    PutCheckpoint,
    PutGrant,
)
from relay.blob_rows import BeginBlob, BlobLimits, BlobRow, FinishBlob
from relay.cluster import BeatNode, BuryNode, NodeRow
from relay.documents import PutDocument
from relay.inbox import MESSAGE, QUESTION
from relay.keys import (
    ClaimPrekeys,
    ListDevice,
    Prekey,
    PutDeviceList,
    PutPrekeys,
    RequestDevice,
    Sealing,
)
from relay.push import PutDoorbell
from relay.ratings import PutRating, Rating
from relay.rows import IdempotencyRecord, Session
from relay.scheduling import CalendarFeed, PutCalendar, PutSeries, SeriesRow, SetGuests
from relay.store import Store
from relay.webhooks import PutDelivery
from relay.writes import (
    Ack,
    AddMember,
    Append,
    CreateRoom,
    PutIdempotency,
    PutSession,
    RemoveMember,
    Revoke,
    SetDeadline,
    Trim,
    Write,
)

ENTRY = AuditEntry(1, "ann", "therapist", "session.live", "session", "s", "r", "", "http", "ok")
LIMITS = BlobLimits(1 << 30, 9, 1 << 30, 9)


async def live(store: Store) -> None:
    """Give a new store a life; nothing of it is asked for twice."""
    await store.commit(*_rooms(), *_logs())
    await store.commit(Ack("ben", "b1", "r", store.epoch, 3), Trim("r", 2), RemoveMember("q", "ben"))
    await store.commit(*_sessions(), *_keys(), *_blobs(), *_others())
    await store.commit(ClaimPrekeys(b"c" * 16, "ben", (("ann", "a1"),), 60))
    await store.commit(*[AppendAudit(ENTRY)] * 4)
    records = await store.audit(after=0, limit=9)
    await store.commit(PutCheckpoint(AuditCheckpoint(3, records[2].digest, 1, "k", b"signature")))
    await store.commit(PruneAudit(AuditAnchor(2, records[1].digest, kept_digest(()), 1, "k", b"signature")))
    await store.commit(
        HoldAudit(AuditHold("room", "r", 1, "ann", "asked for")), PutGrant(Grant("ann", "audit", 9))
    )


def _rooms() -> tuple[Write, ...]:
    members = [AddMember(room, account, "client", 1) for room in ("r", "q") for account in ("ann", "ben")]
    return (
        CreateRoom("r", b"settings \x00\xff", 1),
        CreateRoom("q", b"", 2),
        CreateRoom("empty", b"", 3),
        *members,
    )


def _logs() -> tuple[Write, ...]:
    opening = Append("q", "ann", "a1", b"e" * 16, b"opens", 5, sealing=Sealing({}, b"e" * 16, opens=True))
    return (
        *[
            Append("r", "ann", "a1", bytes([number]) * 16, b"body %d" % number, number, MESSAGE)
            for number in range(4)
        ],
        Append("r", "ben", "b1", b"q" * 16, b"?", 8, QUESTION, flagged=True),
        Append("r", None, None, None, b"from the server", 9),
        opening,
    )


def _sessions() -> tuple[Write, ...]:
    return (
        PutSession(Session("s", "r", 10, 20, "ended", 1, b"body"), None),
        SetDeadline("s", "start", 10, 1),
        SetGuests("s", ("guest",)),
        PutRating(Rating("s", "ben", "call", b"five", 21)),
        PutSeries(SeriesRow("series", "r", 99, 1, b"weekly"), None),
        PutCalendar(CalendarFeed("ann", b"d" * 32, 1)),
    )


def _keys() -> tuple[Write, ...]:
    prekeys = tuple([Prekey(number, b"public", b"prekey %d" % number) for number in (1, 2, 3)])
    return (
        RequestDevice("ann", "a1", b"k" * 32, b"name", 1, 9),
        PutPrekeys("ann", "a1", b"k" * 32, prekeys, Prekey(9, b"public", b"the last"), 9),
        ListDevice("ann", "a1", b"k" * 32),
        PutDeviceList("ann", 1, b"list", 0),
    )


def _blobs() -> tuple[Write, ...]:
    blob = BlobRow("blob", "r", "ben", b"b" * 32, 100, 1, 1_000)
    upload = BlobRow("upload", "r", "ben", b"u" * 32, 100, 1, 1_000)
    return BeginBlob(blob, LIMITS), FinishBlob(blob, 2_000), BeginBlob(upload, LIMITS)


def _others() -> tuple[Write, ...]:
    return (
        PutDocument("inbox", "ann", b"settings"),
        BeatNode(NodeRow("living", 1, 5, "1.0", "eu", "https://one", 3, 5, draining=False)),
        BeatNode(NodeRow("dead", 1, 5, "1.0", "eu", "https://two", 3, 5, draining=True)),
        BuryNode("dead", 1),
        PutIdempotency(IdempotencyRecord("key", b"hash", b"response", 5)),
        Revoke("cleo", None, 5),
        PutDelivery("d1", "endpoint", "lane", "message.unread", b"{}", 5),
        PutDelivery("d2", "endpoint", "lane", "message.unread", b"{}", 6),
        PutDoorbell("ben", "b1", "https://push.example/ben", 7),
    )
