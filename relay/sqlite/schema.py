"""The tables of a store and how older files get there: numbered migrations, each in a transaction of its own.

The log is an append-only table with two indexes: measured, that takes a third of the CPU of a table that is
clustered by room and offset, because new rows fill one page instead of one page per room. A mid begins with
its time (UUIDv7, RFC 9562 section 5.7), so an index that begins with the mid grows at its end as well.
"""

import sqlite3
from typing import Final

from relay.errors import SchemaTooNew, StoreUnusable

APPLICATION_ID: Final = 0x52505254  # "RPRT": marks a SQLite file as one of ours

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE line (              -- exactly one row
            store_id BLOB NOT NULL,      -- 16 random bytes, made with the file
            epoch INTEGER NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE rooms (
            no INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            body BLOB NOT NULL,
            created_ms INTEGER NOT NULL,
            trimmed INTEGER NOT NULL DEFAULT 0  -- offsets up to this one are gone
        ) STRICT
        """,
        """
        CREATE TABLE members (
            room_no INTEGER NOT NULL REFERENCES rooms (no),
            account TEXT NOT NULL,
            role TEXT NOT NULL,
            since_ms INTEGER NOT NULL,
            read_epoch INTEGER NOT NULL DEFAULT 0,
            read_offset INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (room_no, account)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX members_by_account ON members (account, room_no)",
        """
        CREATE TABLE devices (
            no INTEGER PRIMARY KEY,
            account TEXT NOT NULL,
            device TEXT NOT NULL,
            UNIQUE (account, device)
        ) STRICT
        """,
        """
        CREATE TABLE events (
            seq INTEGER PRIMARY KEY,
            room_no INTEGER NOT NULL,    -- no REFERENCES here: they cost a tenth of an append, and the
            offset_no INTEGER NOT NULL,  -- writer has just read both numbers in the same transaction
            device_no INTEGER,
            mid BLOB,
            at_ms INTEGER NOT NULL,
            body BLOB NOT NULL,
            CHECK ((mid IS NULL) = (device_no IS NULL))
        ) STRICT
        """,
        "CREATE UNIQUE INDEX events_by_offset ON events (room_no, offset_no)",
        "CREATE UNIQUE INDEX events_by_mid ON events (mid, device_no) WHERE mid IS NOT NULL",
        """
        CREATE TABLE cursors (
            device_no INTEGER NOT NULL REFERENCES devices (no),
            room_no INTEGER NOT NULL REFERENCES rooms (no),
            epoch INTEGER NOT NULL,
            offset_no INTEGER NOT NULL,
            PRIMARY KEY (device_no, room_no)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE sessions (
            id TEXT NOT NULL PRIMARY KEY,
            room_no INTEGER NOT NULL REFERENCES rooms (no),
            starts_ms INTEGER NOT NULL,
            ends_ms INTEGER NOT NULL,
            state TEXT NOT NULL,
            version INTEGER NOT NULL,
            body BLOB NOT NULL
        ) STRICT
        """,
        "CREATE INDEX sessions_by_room ON sessions (room_no, starts_ms, id)",
        """
        CREATE TABLE deadlines (
            session TEXT NOT NULL REFERENCES sessions (id),
            kind TEXT NOT NULL,
            due_ms INTEGER NOT NULL,
            version INTEGER NOT NULL,
            PRIMARY KEY (session, kind)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX deadlines_by_due ON deadlines (due_ms, session, kind)",
        """
        CREATE TABLE idempotency (
            key TEXT NOT NULL PRIMARY KEY,
            request_hash BLOB NOT NULL,
            response BLOB NOT NULL,
            at_ms INTEGER NOT NULL
        ) STRICT
        """,
        "CREATE INDEX idempotency_by_age ON idempotency (at_ms)",
        """
        CREATE TABLE revocations (
            account TEXT NOT NULL,
            device TEXT NOT NULL,  -- empty: the account itself
            at_ms INTEGER NOT NULL,
            PRIMARY KEY (account, device)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE deliveries (
            position INTEGER PRIMARY KEY,  -- the order of a lane
            id TEXT NOT NULL UNIQUE,
            endpoint TEXT NOT NULL,
            lane TEXT NOT NULL,
            type TEXT NOT NULL,
            body BLOB NOT NULL,
            at_ms INTEGER NOT NULL,
            state TEXT NOT NULL,
            since_ms INTEGER NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            due_ms INTEGER,                -- of the first that waits in its lane, and of no other
            failure TEXT NOT NULL DEFAULT '',
            CHECK (due_ms IS NULL OR state = 'waiting')
        ) STRICT
        """,
        "CREATE INDEX deliveries_by_lane ON deliveries (endpoint, lane, position) WHERE state = 'waiting'",
        "CREATE INDEX deliveries_by_due ON deliveries (endpoint, due_ms, position) WHERE due_ms IS NOT NULL",
        "CREATE INDEX deliveries_by_state ON deliveries (state, since_ms, position)",
        # How far the logs were searched for what nobody has received, and the last that was found of it.
        "ALTER TABLE line ADD COLUMN examined INTEGER NOT NULL DEFAULT 0",
        "UPDATE line SET examined = (SELECT coalesce(max(seq), 0) FROM events)",
        "ALTER TABLE members ADD COLUMN unreceived_epoch INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE members ADD COLUMN unreceived_offset INTEGER NOT NULL DEFAULT 0",
    ),
    (
        """
        CREATE TABLE audit (
            sequence INTEGER PRIMARY KEY,
            digest BLOB NOT NULL,
            at_ms INTEGER NOT NULL,
            actor TEXT NOT NULL,
            role TEXT NOT NULL,
            action TEXT NOT NULL,
            object_kind TEXT NOT NULL,
            object_id TEXT NOT NULL,
            room TEXT NOT NULL,
            subject TEXT NOT NULL,
            source TEXT NOT NULL,
            outcome TEXT NOT NULL,
            reason TEXT NOT NULL,
            count INTEGER NOT NULL
        ) STRICT
        """,
        "CREATE INDEX audit_by_time ON audit (at_ms)",
        "CREATE INDEX audit_by_actor ON audit (actor)",
        "CREATE INDEX audit_by_subject ON audit (subject)",
        "CREATE INDEX audit_by_action ON audit (action)",
        "CREATE INDEX audit_by_object ON audit (object_id, object_kind)",
        "CREATE INDEX audit_by_room ON audit (room)",
        """
        CREATE TABLE audit_checkpoints (
            sequence INTEGER PRIMARY KEY,
            digest BLOB NOT NULL,
            at_ms INTEGER NOT NULL,
            key TEXT NOT NULL,
            signature BLOB NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE audit_anchor (      -- one row at most
            through INTEGER NOT NULL,
            digest BLOB NOT NULL,
            kept BLOB NOT NULL,
            at_ms INTEGER NOT NULL,
            key TEXT NOT NULL,
            signature BLOB NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE audit_holds (
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            since_ms INTEGER NOT NULL,
            PRIMARY KEY (kind, id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE grants (
            account TEXT NOT NULL,
            scope TEXT NOT NULL,
            until_ms INTEGER NOT NULL,
            PRIMARY KEY (account, scope)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        "CREATE INDEX sessions_by_start ON sessions (starts_ms, id)",
        """
        CREATE TABLE ratings (
            session TEXT NOT NULL REFERENCES sessions (id),
            account TEXT NOT NULL,
            kind TEXT NOT NULL,
            body BLOB NOT NULL,
            at_ms INTEGER NOT NULL,
            PRIMARY KEY (session, account)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX ratings_by_kind ON ratings (kind, at_ms, session, account)",
    ),
    (
        """
        CREATE TABLE series (
            id TEXT NOT NULL PRIMARY KEY,
            room_no INTEGER NOT NULL REFERENCES rooms (no),
            due_ms INTEGER,
            version INTEGER NOT NULL,
            body BLOB NOT NULL
        ) STRICT
        """,
        "CREATE INDEX series_by_room ON series (room_no, id)",
        "CREATE INDEX series_by_due ON series (due_ms, id) WHERE due_ms IS NOT NULL",
        """
        CREATE TABLE calendars (
            account TEXT NOT NULL PRIMARY KEY,
            digest BLOB NOT NULL UNIQUE,
            since_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        # The events again, with what an inbox needs before the body: columns behind a large one are far away.
        """
        CREATE TABLE kept_events (
            seq INTEGER PRIMARY KEY,
            room_no INTEGER NOT NULL,
            offset_no INTEGER NOT NULL,
            device_no INTEGER,
            mid BLOB,
            at_ms INTEGER NOT NULL,
            kind INTEGER NOT NULL DEFAULT 0,   -- see relay/inbox.py
            waits INTEGER NOT NULL DEFAULT 0,  -- the oldest question unanswered after this event, 0 for none
            body BLOB NOT NULL,
            CHECK ((mid IS NULL) = (device_no IS NULL))
        ) STRICT
        """,
        # What devices have sent so far are messages; whether they were answered is not known.
        "INSERT INTO kept_events SELECT seq, room_no, offset_no, device_no, mid, at_ms, "
        "mid IS NOT NULL, 0, body FROM events ORDER BY seq",
        "DROP TABLE events",
        "ALTER TABLE kept_events RENAME TO events",
        "CREATE UNIQUE INDEX events_by_offset ON events (room_no, offset_no)",
        "CREATE UNIQUE INDEX events_by_mid ON events (mid, device_no) WHERE mid IS NOT NULL",
        """
        CREATE TABLE flags (
            room_no INTEGER NOT NULL REFERENCES rooms (no),
            offset_no INTEGER NOT NULL,
            account TEXT,  -- whose event it is
            at_ms INTEGER NOT NULL,
            cleared_ms INTEGER,
            cleared_by TEXT,
            PRIMARY KEY (room_no, offset_no)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX flags_standing ON flags (room_no, offset_no) WHERE cleared_ms IS NULL",
        """
        CREATE TABLE documents (
            kind TEXT NOT NULL,
            id TEXT NOT NULL,
            version INTEGER NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (kind, id)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        "CREATE INDEX sessions_by_state ON sessions (state, id)",
        """
        CREATE TABLE beats (
            node TEXT NOT NULL PRIMARY KEY,
            at_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        "ALTER TABLE members ADD COLUMN held_ms INTEGER",  # until when nobody is told of what is unreceived
        "CREATE INDEX members_held ON members (held_ms) WHERE held_ms IS NOT NULL",
    ),
    (
        """
        CREATE TABLE guests (            -- whose session it is besides the members of its room
            account TEXT NOT NULL,
            session TEXT NOT NULL REFERENCES sessions (id),
            PRIMARY KEY (account, session)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX guests_by_session ON guests (session)",
    ),
    (
        """
        CREATE TABLE device_lists (
            account TEXT NOT NULL PRIMARY KEY,
            number INTEGER NOT NULL,
            body BLOB NOT NULL,
            epoch INTEGER NOT NULL           -- of the store, when it was written
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE device_keys (
            no INTEGER PRIMARY KEY,
            account TEXT NOT NULL,
            device TEXT NOT NULL,
            key BLOB NOT NULL,
            name BLOB NOT NULL,
            listed INTEGER NOT NULL DEFAULT 0,
            since_ms INTEGER NOT NULL,
            epoch INTEGER NOT NULL DEFAULT 0,  -- of the store, when prekeys were put last
            highest INTEGER NOT NULL DEFAULT 0,  -- the highest id of them in that epoch
            UNIQUE (account, device)
        ) STRICT
        """,
        """
        CREATE TABLE prekeys (               -- those not handed out
            key_no INTEGER NOT NULL REFERENCES device_keys (no) ON DELETE CASCADE,
            id INTEGER NOT NULL,
            epoch INTEGER NOT NULL,
            public BLOB NOT NULL,
            body BLOB NOT NULL,
            PRIMARY KEY (key_no, id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE last_resorts (
            key_no INTEGER NOT NULL PRIMARY KEY REFERENCES device_keys (no) ON DELETE CASCADE,
            id INTEGER NOT NULL,
            body BLOB NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE claims (
            claimer TEXT NOT NULL,
            claim BLOB NOT NULL,
            asked BLOB NOT NULL,             -- SHA-256 of the devices it named
            result BLOB NOT NULL,
            at_ms INTEGER NOT NULL,
            PRIMARY KEY (claimer, claim)
        ) STRICT
        """,
        "CREATE INDEX claims_by_age ON claims (at_ms)",
        "ALTER TABLE line ADD COLUMN claims INTEGER NOT NULL DEFAULT 0",
        """
        CREATE TABLE sender_epochs (         -- the one that each device opened last in each room
            room_no INTEGER NOT NULL REFERENCES rooms (no),
            device_no INTEGER NOT NULL REFERENCES devices (no),
            epoch BLOB NOT NULL,
            PRIMARY KEY (room_no, device_no)
        ) STRICT, WITHOUT ROWID
        """,
    ),
    (
        """
        CREATE TABLE blobs (                 -- whose bytes lie elsewhere
            no INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            room_no INTEGER NOT NULL REFERENCES rooms (no),
            account TEXT NOT NULL,
            digest BLOB NOT NULL,
            size INTEGER NOT NULL,
            at_ms INTEGER NOT NULL,
            expires_ms INTEGER NOT NULL,
            whole INTEGER NOT NULL
        ) STRICT
        """,
        "CREATE UNIQUE INDEX blobs_whole ON blobs (room_no, digest) WHERE whole",
        "CREATE INDEX blobs_by_digest ON blobs (digest)",
        "CREATE INDEX blobs_by_room ON blobs (room_no, size)",
        "CREATE INDEX blobs_by_account ON blobs (account, whole, size)",
        "CREATE INDEX blobs_by_expiry ON blobs (expires_ms)",
    ),
    (
        """
        CREATE TABLE doorbells (
            no INTEGER PRIMARY KEY,
            account TEXT NOT NULL,
            device TEXT NOT NULL,
            endpoint TEXT NOT NULL,          -- empty: the platform tells it
            version INTEGER NOT NULL,
            at_ms INTEGER NOT NULL,
            due_ms INTEGER,                  -- when to look at it next
            attempts INTEGER NOT NULL DEFAULT 0,
            rung_ms INTEGER,                 -- last, and for what:
            rung_room_no INTEGER,
            rung_offset INTEGER NOT NULL DEFAULT 0,
            rung_flagged INTEGER NOT NULL DEFAULT 0,
            UNIQUE (account, device)
        ) STRICT
        """,
        "CREATE INDEX doorbells_by_due ON doorbells (due_ms, no) WHERE due_ms IS NOT NULL",
        "ALTER TABLE line ADD COLUMN rung INTEGER NOT NULL DEFAULT 0",
        "UPDATE line SET rung = (SELECT coalesce(max(seq), 0) FROM events)",
    ),
    (
        "ALTER TABLE rooms ADD COLUMN expired INTEGER NOT NULL DEFAULT 0",  # messages that were purged
        "ALTER TABLE line ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0",  # the highest number dropped
        "ALTER TABLE sender_epochs ADD COLUMN offset_no INTEGER NOT NULL DEFAULT 0",  # that opened it
    ),
    (
        "ALTER TABLE rooms ADD COLUMN deleted_ms INTEGER",  # nothing but its id is left of it since then
        "ALTER TABLE audit_holds ADD COLUMN account TEXT NOT NULL DEFAULT ''",  # who has placed it
        "ALTER TABLE audit_holds ADD COLUMN reason TEXT NOT NULL DEFAULT ''",
    ),
    ("CREATE INDEX ratings_by_account ON ratings (account, session)",),
    (
        """
        CREATE TABLE departures (        -- of members, from rooms that they have not come back to
            account TEXT NOT NULL,
            room_no INTEGER NOT NULL REFERENCES rooms (no),
            role TEXT NOT NULL,
            since_ms INTEGER NOT NULL,
            through_no INTEGER NOT NULL,  -- the head of the log
            PRIMARY KEY (account, room_no)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX departures_by_room ON departures (room_no)",
    ),
    (
        """
        CREATE TABLE nodes (                 -- those that live
            name TEXT NOT NULL PRIMARY KEY,
            beat INTEGER NOT NULL,
            at_ms INTEGER NOT NULL,
            version TEXT NOT NULL,
            region TEXT NOT NULL,
            url TEXT NOT NULL,
            participants INTEGER NOT NULL,
            connections INTEGER NOT NULL,
            draining INTEGER NOT NULL,
            drain INTEGER NOT NULL DEFAULT 0
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE graves (                -- those that were taken for dead
            name TEXT NOT NULL PRIMARY KEY,
            at_ms INTEGER NOT NULL,
            region TEXT NOT NULL,
            settled_ms INTEGER               -- nothing is left to do since then
        ) STRICT, WITHOUT ROWID
        """,
        # Whoever is in a session now was left there by the one node that there was.
        "INSERT INTO graves (name, at_ms, region) "
        "SELECT 'local', coalesce((SELECT max(at_ms) FROM beats), 0), '' "
        "WHERE EXISTS (SELECT 1 FROM sessions)",
        "DROP TABLE beats",
    ),
)


def migrate(db: sqlite3.Connection) -> None:
    """Bring the file up to this program's schema, a new file included. The caller holds the store's lock.

    Raises `SchemaTooNew`, and `StoreUnusable` for a file of another program; both leave it untouched.
    """
    version = _number(db, "PRAGMA user_version")
    marked = _number(db, "PRAGMA application_id") == APPLICATION_ID
    if not marked and (version or _number(db, "SELECT count(*) FROM sqlite_schema")):
        raise StoreUnusable("the file belongs to another program")
    if version > len(MIGRATIONS):
        raise SchemaTooNew(f"schema {version} is newer than {len(MIGRATIONS)}, the newest this version knows")
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        db.execute("BEGIN IMMEDIATE")
        for statement in statements:
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {number}")
        db.execute("COMMIT")


def check_current(db: sqlite3.Connection) -> None:
    """Whether the file has exactly this program's schema. Raises `SchemaTooNew` or `StoreUnusable`."""
    version = _number(db, "PRAGMA user_version")
    if _number(db, "PRAGMA application_id") != APPLICATION_ID:
        raise StoreUnusable("the file belongs to another program")
    if version > len(MIGRATIONS):
        raise SchemaTooNew(f"schema {version} is newer than {len(MIGRATIONS)}, the newest this version knows")
    if version < len(MIGRATIONS):
        raise StoreUnusable(f"schema {version} is older than {len(MIGRATIONS)}: start the server once")


def _number(db: sqlite3.Connection, query: str) -> int:
    return int(db.execute(query).fetchone()[0])
