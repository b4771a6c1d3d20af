"""What holds of the tables of every store, as queries that each count what breaks one rule.

The text is the same for SQLite and PostgreSQL. The chain of the audit trail, which no query can follow, is
looked at here as well; whether it is signed is not.
"""

from typing import Final

from relay.audit_chain import GENESIS, follow
from relay.audit_trail import AuditTrail

_PAGE: Final = 1_000

RULES: Final = {
    "logs with a gap": """
        SELECT count(*) FROM (
            SELECT room_no FROM events GROUP BY room_no
            HAVING count(*) <> max(offset_no) - min(offset_no) + 1
        ) broken
    """,
    "logs that do not begin behind what was dropped of them": """
        SELECT count(*) FROM rooms r
        JOIN (SELECT room_no, min(offset_no) AS lowest FROM events GROUP BY room_no) e ON e.room_no = r.no
        WHERE e.lowest <> r.trimmed + 1
    """,
    "events of no room": """
        SELECT count(*) FROM events e WHERE NOT EXISTS (SELECT 1 FROM rooms r WHERE r.no = e.room_no)
    """,
    "events of no device": """
        SELECT count(*) FROM events e WHERE e.device_no IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.no = e.device_no)
    """,
    "flags of no event": """
        SELECT count(*) FROM flags f WHERE NOT EXISTS (
            SELECT 1 FROM events e WHERE e.room_no = f.room_no AND e.offset_no = f.offset_no
        )
    """,
    "deleted rooms that are not empty": """
        SELECT count(*) FROM rooms r WHERE r.deleted_ms IS NOT NULL AND (
            EXISTS (SELECT 1 FROM events e WHERE e.room_no = r.no)
            OR EXISTS (SELECT 1 FROM members m WHERE m.room_no = r.no)
            OR EXISTS (SELECT 1 FROM sessions s WHERE s.room_no = r.no)
        )
    """,
    "lanes of deliveries of which not the first one is due": """
        SELECT count(*) FROM (
            SELECT endpoint, lane FROM deliveries WHERE state = 'waiting' GROUP BY endpoint, lane
            HAVING count(due_ms) <> 1
            OR min(position) <> min(CASE WHEN due_ms IS NOT NULL THEN position END)
        ) broken
    """,
    "prekeys beyond the highest of their device": """
        SELECT count(*) FROM prekeys p JOIN device_keys k ON k.no = p.key_no
        WHERE p.epoch = k.epoch AND p.id > k.highest
    """,
}
"""What is wrong, and the query that counts it."""


async def chain_fault(trail: AuditTrail) -> str | None:
    """What is wrong with the first entry of the audit trail that does not follow the one before it."""
    anchor = await trail.audit_anchor()
    sequence, digest = (anchor.through, anchor.digest) if anchor is not None else (0, GENESIS)
    while page := await trail.audit(after=sequence, limit=_PAGE):
        for record in page:
            if record.sequence != sequence + 1:
                return f"the audit trail has no entry {sequence + 1}"
            if record.digest != follow(digest, record.sequence, record.entry):
                return f"entry {record.sequence} of the audit trail does not follow the one before it"
            sequence, digest = record.sequence, record.digest
    return None
