"""Keys in SQLite: the writes, applied in the transaction under way, and the queries. All of them block."""

import hashlib
import sqlite3
from collections.abc import Collection
from typing import Final, assert_never

import msgspec

from relay.errors import Conflict, NotFound, TooMany
from relay.keys import (
    Claimed,
    ClaimedPrekey,
    ClaimPrekeys,
    DeviceListRow,
    DeviceRow,
    DropDevice,
    ForgetClaims,
    KeysWrite,
    ListDevice,
    NameDevice,
    Prekey,
    PutDeviceList,
    PutPrekeys,
    RequestDevice,
    ResetKeys,
    RestoreDevice,
    Stock,
)
from relay.rows import Revocation
from relay.sqlite.catalog import Catalog
from relay.sqlite.reads import snapshot
from relay.writes import Applied

# An empty body stands for a list that was reset: its number is kept, so that the next one goes on from it.
_LIST: Final = "SELECT l.account, l.number, l.body, l.epoch FROM device_lists l"
_RESULT: Final = msgspec.msgpack.Decoder(tuple[ClaimedPrekey, ...])
_NEXT: Final = """
    SELECT p.id, p.body, (SELECT count(*) FROM prekeys q WHERE q.key_no = k.no AND q.epoch = ?3)
    FROM device_keys k JOIN prekeys p ON p.key_no = k.no AND p.epoch = ?3
    WHERE k.account = ?1 AND k.device = ?2 AND k.listed AND NOT EXISTS (
        SELECT 1 FROM revocations r WHERE r.account = ?1 AND r.device IN ('', ?2)
    ) ORDER BY p.id LIMIT 1
"""
_LAST: Final = """
    SELECT p.id, p.body FROM device_keys k JOIN last_resorts p ON p.key_no = k.no
    WHERE k.account = ?1 AND k.device = ?2 AND k.listed AND NOT EXISTS (
        SELECT 1 FROM revocations r WHERE r.account = ?1 AND r.device IN ('', ?2)
    )
"""


def apply(db: sqlite3.Connection, catalog: Catalog, epoch: int, write: KeysWrite) -> Applied:
    """Apply one write. Raises what the write names."""
    match write:
        case PutDeviceList():
            return _put_list(db, catalog, epoch, write)
        case RequestDevice():
            return _request(db, write)
        case RestoreDevice(account, device, key, at_ms):
            done = db.execute(
                "INSERT INTO device_keys (account, device, key, name, listed, since_ms) "
                "VALUES (?, ?, ?, x'', 1, ?) ON CONFLICT DO NOTHING",
                (account, device, key, at_ms),
            )
            return Applied(changed=done.rowcount > 0)
        case ListDevice():
            return _list(db, write)
        case NameDevice(account, device, name):
            done = db.execute(
                "UPDATE device_keys SET name = ? WHERE account = ? AND device = ?", (name, account, device)
            )
            if not done.rowcount:
                raise NotFound("no such device")
            return Applied()
        case DropDevice(account, device):
            done = db.execute("DELETE FROM device_keys WHERE account = ? AND device = ?", (account, device))
            return Applied(changed=done.rowcount > 0)
        case PutPrekeys():
            return _put_prekeys(db, epoch, write)
        case ForgetClaims(before_ms):
            done = db.execute("DELETE FROM claims WHERE at_ms < ?", (before_ms,))
            return Applied(changed=done.rowcount > 0)
        case ResetKeys(account):
            return reset(db, catalog, account)
        case _:
            assert_never(write)


def claim(db: sqlite3.Connection, epoch: int, write: ClaimPrekeys) -> Claimed:
    """Hand out prekeys in the transaction under way. Raises what the write names."""
    asked = hashlib.sha256(msgspec.msgpack.encode(write.devices)).digest()
    row = db.execute(
        "SELECT asked, result FROM claims WHERE claimer = ? AND claim = ?", (write.claimer, write.claim)
    ).fetchone()
    if row is not None:
        if row[0] != asked:
            raise Conflict("the claim was used for other devices")
        return Claimed(_RESULT.decode(row[1]), duplicate=True)
    taken = [_take(db, epoch, account, device) for account, device in write.devices]
    prekeys = tuple([one for one in taken if one is not None])
    db.execute(
        "INSERT INTO claims (claimer, claim, asked, result, at_ms) VALUES (?, ?, ?, ?, ?)",
        (write.claimer, write.claim, asked, msgspec.msgpack.encode(prekeys), write.at_ms),
    )
    # By this number a backup is told from the store that it was taken of: see the guard.
    db.execute("UPDATE line SET claims = claims + 1")
    return Claimed(prekeys)


def device_lists(db: sqlite3.Connection, accounts: Collection[str]) -> dict[str, DeviceListRow]:
    """The lists of those accounts that have one."""
    names = msgspec.json.encode(list(accounts)).decode()
    rows = db.execute(
        f"{_LIST} WHERE l.body <> x'' AND l.account IN (SELECT value FROM json_each(?))",  # noqa: S608 - constants
        (names,),
    )
    return {row[0]: DeviceListRow(*row) for row in rows}


def device_lists_in(db: sqlite3.Connection, room: str) -> dict[str, DeviceListRow]:
    """The lists of the members of a room that have one."""
    rows = db.execute(
        f"{_LIST} JOIN members m ON m.account = l.account JOIN rooms r ON r.no = m.room_no "
        "WHERE r.id = ? AND l.body <> x''",
        (room,),
    )
    return {row[0]: DeviceListRow(*row) for row in rows}


def devices_of(db: sqlite3.Connection, account: str) -> tuple[DeviceRow, ...]:
    """The devices of an account, by id."""
    rows = db.execute(
        "SELECT account, device, key, name, listed, since_ms FROM device_keys "
        "WHERE account = ? ORDER BY device",
        (account,),
    )
    return tuple(
        [
            DeviceRow(owner, device, key, name, bool(listed), since)
            for owner, device, key, name, listed, since in rows
        ]
    )


def stock(db: sqlite3.Connection, epoch: int, account: str, device: str) -> Stock:
    """What is held of a device's keys."""
    with snapshot(db):
        list_row = db.execute(
            "SELECT number * (body <> x''), number * (body = x'') FROM device_lists WHERE account = ?",
            (account,),
        ).fetchone()
        number, ended = list_row if list_row is not None else (0, 0)
        (pending,) = db.execute(
            "SELECT count(*) FROM device_keys WHERE account = ? AND device <> ? AND NOT listed",
            (account, device),
        ).fetchone()
        row = db.execute(
            "SELECT k.no, CASE WHEN k.epoch = ?3 THEN k.highest ELSE 0 END, p.id, k.listed "
            "FROM device_keys k LEFT JOIN last_resorts p ON p.key_no = k.no "
            "WHERE k.account = ?1 AND k.device = ?2",
            (account, device, epoch),
        ).fetchone()
        if row is None:
            return Stock(number=number, ended=ended, pending=pending)
        no, highest, last_resort, listed = row
        held = db.execute(
            "SELECT id, public FROM prekeys WHERE key_no = ? AND epoch = ? ORDER BY id", (no, epoch)
        ).fetchall()
    return Stock(tuple(held), highest, last_resort, bool(listed), number, ended, pending)


def revocations_of(db: sqlite3.Connection, accounts: Collection[str]) -> tuple[Revocation, ...]:
    """The revocations of these accounts and of their devices."""
    rows = db.execute(
        "SELECT account, nullif(device, ''), at_ms FROM revocations "
        "WHERE account IN (SELECT value FROM json_each(?)) ORDER BY account, device",
        (msgspec.json.encode(list(accounts)).decode(),),
    )
    return tuple([Revocation(*row) for row in rows])


def _put_list(db: sqlite3.Connection, catalog: Catalog, epoch: int, write: PutDeviceList) -> Applied:
    row = (write.account, write.number, write.body, epoch)
    if write.expect_number:
        done = db.execute(
            "UPDATE device_lists SET number = ?2, body = ?3, epoch = ?4 WHERE account = ?1 AND number = ?5",
            (*row, write.expect_number),
        )
    else:
        done = db.execute(
            "INSERT INTO device_lists (account, number, body, epoch) VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE "
            "SET number = excluded.number, body = excluded.body, epoch = excluded.epoch "
            "WHERE body = x'' AND number < excluded.number",
            row,
        )
    if not done.rowcount:
        raise Conflict("another device list stands there")
    catalog.forget_rooms_of(write.account)
    return Applied()


def _request(db: sqlite3.Connection, write: RequestDevice) -> Applied:
    place = (write.account, write.device)
    row = db.execute(
        "SELECT key, name, listed FROM device_keys WHERE account = ? AND device = ?", place
    ).fetchone()
    if row is not None:
        if row[0] == write.key:
            done = db.execute(
                "UPDATE device_keys SET name = ?3 WHERE account = ?1 AND device = ?2 AND name <> ?3",
                (*place, write.name),
            )
            return Applied(changed=done.rowcount > 0)
        if row[2]:
            raise Conflict("the device is listed with another key")
        db.execute("DELETE FROM device_keys WHERE account = ? AND device = ?", place)
    pending = db.execute(
        "SELECT count(*) FROM device_keys WHERE account = ? AND NOT listed", (write.account,)
    ).fetchone()
    if pending[0] >= write.max_pending:
        raise TooMany("too many devices of the account ask to be listed")
    db.execute(
        "INSERT INTO device_keys (account, device, key, name, since_ms) VALUES (?, ?, ?, ?, ?)",
        (*place, write.key, write.name, write.at_ms),
    )
    return Applied()


def _list(db: sqlite3.Connection, write: ListDevice) -> Applied:
    row = db.execute(
        "SELECT k.no, k.listed, p.id FROM device_keys k LEFT JOIN last_resorts p ON p.key_no = k.no "
        "WHERE k.account = ? AND k.device = ? AND k.key = ?",
        (write.account, write.device, write.key),
    ).fetchone()
    if row is None:
        raise NotFound("the device has not asked to be listed with this key")
    no, listed, last_resort = row
    if last_resort is None:
        raise NotFound("there is no last-resort prekey of the device")
    db.execute("UPDATE device_keys SET listed = 1 WHERE no = ?", (no,))
    return Applied(changed=not listed)


def _put_prekeys(db: sqlite3.Connection, epoch: int, write: PutPrekeys) -> Applied:
    row = db.execute(
        "SELECT no, CASE WHEN epoch = ?4 THEN highest ELSE 0 END FROM device_keys "
        "WHERE account = ?1 AND device = ?2 AND key = ?3",
        (write.account, write.device, write.key, epoch),
    ).fetchone()
    if row is None:
        raise NotFound("no such device with this key")
    no, highest = row
    # What was handed out before a restore cannot be told from what was not: none of it is handed out again.
    db.execute("DELETE FROM prekeys WHERE key_no = ? AND epoch <> ?", (no, epoch))
    for prekey in write.one_time:
        if prekey.id <= highest:
            _check_same(db, no, prekey)
        else:
            highest = prekey.id
            db.execute(
                "INSERT INTO prekeys (key_no, id, epoch, public, body) VALUES (?, ?, ?, ?, ?)",
                (no, prekey.id, epoch, prekey.public, prekey.body),
            )
    held = db.execute("SELECT count(*) FROM prekeys WHERE key_no = ?", (no,)).fetchone()[0]
    if held > write.max_held:
        raise TooMany("too many prekeys of the device would be held")
    if write.last_resort is not None:
        db.execute(
            "INSERT INTO last_resorts (key_no, id, body) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET id = excluded.id, body = excluded.body",
            (no, write.last_resort.id, write.last_resort.body),
        )
    db.execute("UPDATE device_keys SET highest = ?, epoch = ? WHERE no = ?", (highest, epoch, no))
    return Applied()


def _check_same(db: sqlite3.Connection, no: int, prekey: Prekey) -> None:
    row = db.execute("SELECT body FROM prekeys WHERE key_no = ? AND id = ?", (no, prekey.id)).fetchone()
    if row is not None and row[0] != prekey.body:
        raise Conflict("the id of a prekey is that of another one")


def _take(db: sqlite3.Connection, epoch: int, account: str, device: str) -> ClaimedPrekey | None:
    row = db.execute(_NEXT, (account, device, epoch)).fetchone()
    if row is not None:
        number, body, held = row
        db.execute(
            "DELETE FROM prekeys WHERE id = ? AND key_no = "
            "(SELECT no FROM device_keys WHERE account = ? AND device = ?)",
            (number, account, device),
        )
        return ClaimedPrekey(account, device, number, body, last_resort=False, left=held - 1)
    row = db.execute(_LAST, (account, device)).fetchone()
    if row is None:
        return None
    return ClaimedPrekey(account, device, row[0], row[1], last_resort=True, left=0)


def reset(db: sqlite3.Connection, catalog: Catalog, account: str) -> Applied:
    """Forget the list and the devices of an account, in the transaction under way."""
    lists = db.execute(
        "UPDATE device_lists SET body = x'' WHERE account = ? AND body <> x''", (account,)
    ).rowcount
    devices = db.execute("DELETE FROM device_keys WHERE account = ?", (account,)).rowcount
    catalog.forget_rooms_of(account)
    return Applied(changed=lists + devices > 0)
