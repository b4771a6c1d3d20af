"""Keys in PostgreSQL: the writes, applied in the transaction under way, and the queries.

The row of a device is locked by whoever puts or takes prekeys of it, so that claims of several nodes get them
one after another and the highest id is known. An account is locked by whoever changes its device list, and
with it all of its rooms: sealed events are appended before that or after it.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
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
from relay.postgres import locks, rooms
from relay.postgres.connection import Connection, count, snapshot
from relay.rows import Revocation
from relay.writes import Applied, Write

# An empty body stands for a list that was reset: its number is kept, so that the next one goes on from it.
_LIST: Final = "SELECT l.account, l.number, l.body, l.epoch FROM device_lists l"
_RESULT: Final = msgspec.msgpack.Decoder(tuple[ClaimedPrekey, ...])
# Those of the devices asked for that may be claimed from; locked in one order by all.
_CLAIMABLE: Final = """
    SELECT k.no, k.account, k.device FROM device_keys k
    WHERE (k.account, k.device) IN (SELECT * FROM unnest($1::text[], $2::text[]))
    AND k.listed AND NOT EXISTS (
        SELECT 1 FROM revocations r WHERE r.account = k.account AND r.device IN ('', k.device)
    ) ORDER BY k.no FOR NO KEY UPDATE
"""
_TAKE: Final = """
    DELETE FROM prekeys p USING unnest($1::bigint[]) AS k (no) CROSS JOIN LATERAL (
        SELECT q.id FROM prekeys q WHERE q.key_no = k.no AND q.epoch = $2 ORDER BY q.id LIMIT 1
    ) AS first WHERE p.key_no = k.no AND p.id = first.id RETURNING p.key_no, p.id, p.body
"""
_LEFT: Final = """
    SELECT key_no, count(*) FROM prekeys WHERE key_no = ANY($1::bigint[]) AND epoch = $2 GROUP BY key_no
"""
_LAST: Final = "SELECT key_no, id, body FROM last_resorts WHERE key_no = ANY($1::bigint[])"


async def apply(db: Connection, epoch: int, write: KeysWrite) -> Applied:
    """Apply one write. Raises what the write names."""
    match write:
        case PutDeviceList():
            return await _put_list(db, epoch, write)
        case RequestDevice():
            return await _request(db, write)
        case RestoreDevice(account, device, key, at_ms):
            done = await count(
                db,
                "INSERT INTO device_keys (account, device, key, name, listed, since_ms) "
                "VALUES ($1, $2, $3, '', true, $4) ON CONFLICT DO NOTHING",
                account,
                device,
                key,
                at_ms,
            )
            return Applied(changed=done > 0)
        case ListDevice():
            return await _list(db, write)
        case NameDevice(account, device, name):
            named = "UPDATE device_keys SET name = $3 WHERE account = $1 AND device = $2"
            if not await count(db, named, account, device, name):
                raise NotFound("no such device")
            return Applied()
        case DropDevice(account, device):
            dropped = "DELETE FROM device_keys WHERE account = $1 AND device = $2"
            return Applied(changed=await count(db, dropped, account, device) > 0)
        case PutPrekeys():
            return await _put_prekeys(db, epoch, write)
        case ForgetClaims(before_ms):
            return Applied(changed=await count(db, "DELETE FROM claims WHERE at_ms < $1", before_ms) > 0)
        case ResetKeys(account):
            return await reset(db, account)
        case _:
            assert_never(write)


async def claim(db: Connection, epoch: int, write: ClaimPrekeys) -> Claimed:
    """Hand out prekeys in the transaction under way. Raises what the write names."""
    asked = hashlib.sha256(msgspec.msgpack.encode(write.devices)).digest()
    # Whoever makes the same claim at the same time waits here, and gets the result of the first.
    new = await count(
        db,
        "INSERT INTO claims (claimer, claim, asked, result, at_ms) VALUES ($1, $2, $3, '', $4) "
        "ON CONFLICT DO NOTHING",
        write.claimer,
        write.claim,
        asked,
        write.at_ms,
    )
    if not new:
        return await _claimed(db, write, asked)
    taken = await _take(db, epoch, write.devices)
    prekeys = tuple([taken[device] for device in write.devices if device in taken])
    await db.execute(
        "UPDATE claims SET result = $3 WHERE claimer = $1 AND claim = $2",
        write.claimer,
        write.claim,
        msgspec.msgpack.encode(prekeys),
    )
    return Claimed(prekeys)


async def lock_ahead(db: Connection, writes: Iterable[Write]) -> None:
    """Lock the devices that all these writes claim from or put prekeys of, before they do so one by one."""
    devices: set[tuple[str, str]] = set()
    for write in writes:
        if isinstance(write, ClaimPrekeys):
            devices.update(write.devices)
        elif isinstance(write, PutPrekeys):
            devices.add((write.account, write.device))
    if devices:
        await db.execute(
            "SELECT FROM device_keys k "
            "WHERE (k.account, k.device) IN (SELECT * FROM unnest($1::text[], $2::text[])) "
            "ORDER BY k.no FOR NO KEY UPDATE",
            [account for account, _ in devices],
            [device for _, device in devices],
        )


async def device_lists(db: Connection, accounts: Collection[str]) -> dict[str, DeviceListRow]:
    """The lists of those accounts that have one."""
    rows = await db.fetch(f"{_LIST} WHERE l.body <> '' AND l.account = ANY($1)", list(accounts))
    return {row[0]: DeviceListRow(*row) for row in rows}


async def device_lists_in(db: Connection, room: str) -> dict[str, DeviceListRow]:
    """The lists of the members of a room that have one."""
    rows = await db.fetch(
        f"{_LIST} JOIN members m ON m.account = l.account JOIN rooms r ON r.no = m.room_no "
        "WHERE r.id = $1 AND l.body <> ''",
        room,
    )
    return {row[0]: DeviceListRow(*row) for row in rows}


async def devices_of(db: Connection, account: str) -> tuple[DeviceRow, ...]:
    """The devices of an account, by id."""
    rows = await db.fetch(
        "SELECT account, device, key, name, listed, since_ms FROM device_keys "
        "WHERE account = $1 ORDER BY device",
        account,
    )
    return tuple([DeviceRow(*row) for row in rows])


async def stock(db: Connection, epoch: int, account: str, device: str) -> Stock:
    """What is held of a device's keys."""
    async with snapshot(db):
        list_row = await db.fetchrow(
            "SELECT CASE WHEN body <> '' THEN number ELSE 0 END, CASE WHEN body = '' THEN number ELSE 0 END "
            "FROM device_lists WHERE account = $1",
            account,
        )
        number, ended = list_row if list_row is not None else (0, 0)
        pending = await db.fetchval(
            "SELECT count(*) FROM device_keys WHERE account = $1 AND device <> $2 AND NOT listed",
            account,
            device,
        )
        row = await db.fetchrow(
            "SELECT k.no, CASE WHEN k.epoch = $3 THEN k.highest ELSE 0 END, p.id, k.listed "
            "FROM device_keys k LEFT JOIN last_resorts p ON p.key_no = k.no "
            "WHERE k.account = $1 AND k.device = $2",
            account,
            device,
            epoch,
        )
        if row is None:
            return Stock(number=number, ended=ended, pending=pending)
        no, highest, last_resort, listed = row
        held = await db.fetch(
            "SELECT id, public FROM prekeys WHERE key_no = $1 AND epoch = $2 ORDER BY id", no, epoch
        )
    one_time = tuple([(number, public) for number, public in held])
    return Stock(one_time, highest, last_resort, listed, number, ended, pending)


async def revocations_of(db: Connection, accounts: Collection[str]) -> tuple[Revocation, ...]:
    """The revocations of these accounts and of their devices."""
    rows = await db.fetch(
        "SELECT account, nullif(device, ''), at_ms FROM revocations "
        "WHERE account = ANY($1) ORDER BY account, device",
        list(accounts),
    )
    return tuple([Revocation(*row) for row in rows])


async def _claimed(db: Connection, write: ClaimPrekeys, asked: bytes) -> Claimed:
    """The first result of a claim once more."""
    row = await db.fetchrow(
        "SELECT asked, result FROM claims WHERE claimer = $1 AND claim = $2", write.claimer, write.claim
    )
    if row is None or row[0] != asked:  # None: forgotten since
        raise Conflict("the claim was used for other devices")
    return Claimed(_RESULT.decode(row[1]), duplicate=True)


async def _take(
    db: Connection, epoch: int, devices: tuple[tuple[str, str], ...]
) -> Mapping[tuple[str, str], ClaimedPrekey]:
    """One prekey of each device that has any."""
    accounts, names = [account for account, _ in devices], [name for _, name in devices]
    numbers = {no: (account, device) for no, account, device in await db.fetch(_CLAIMABLE, accounts, names)}
    one_time = await db.fetch(_TAKE, list(numbers), epoch)
    left = {no: held for no, held in await db.fetch(_LEFT, list(numbers), epoch)}  # noqa: C416 - of records
    taken = {
        numbers[no]: ClaimedPrekey(*numbers[no], number, body, last_resort=False, left=left.get(no, 0))
        for no, number, body in one_time
    }
    without = [no for no, device in numbers.items() if device not in taken]
    for no, number, body in await db.fetch(_LAST, without):
        taken[numbers[no]] = ClaimedPrekey(*numbers[no], number, body, last_resort=True, left=0)
    return taken


async def _put_list(db: Connection, epoch: int, write: PutDeviceList) -> Applied:
    await locks.lock_account(db, write.account)
    await rooms.lock_all_of(db, write.account)
    row = (write.account, write.number, write.body, epoch)
    if write.expect_number:
        done = await count(
            db,
            "UPDATE device_lists SET number = $2, body = $3, epoch = $4 WHERE account = $1 AND number = $5",
            *row,
            write.expect_number,
        )
    else:
        done = await count(
            db,
            "INSERT INTO device_lists AS l (account, number, body, epoch) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (account) DO UPDATE "
            "SET number = excluded.number, body = excluded.body, epoch = excluded.epoch "
            "WHERE l.body = '' AND l.number < excluded.number",
            *row,
        )
    if not done:
        raise Conflict("another device list stands there")
    return Applied()


async def _request(db: Connection, write: RequestDevice) -> Applied:
    await locks.lock_account(db, write.account)
    place = (write.account, write.device)
    row = await db.fetchrow(
        "SELECT key, listed FROM device_keys WHERE account = $1 AND device = $2 FOR UPDATE", *place
    )
    if row is not None:
        key, listed = row
        if key == write.key:
            named = "UPDATE device_keys SET name = $3 WHERE account = $1 AND device = $2 AND name <> $3"
            return Applied(changed=await count(db, named, *place, write.name) > 0)
        if listed:
            raise Conflict("the device is listed with another key")
        await db.execute("DELETE FROM device_keys WHERE account = $1 AND device = $2", *place)
    pending = "SELECT count(*) FROM device_keys WHERE account = $1 AND NOT listed"
    if await db.fetchval(pending, write.account) >= write.max_pending:
        raise TooMany("too many devices of the account ask to be listed")
    await db.execute(
        "INSERT INTO device_keys (account, device, key, name, since_ms) VALUES ($1, $2, $3, $4, $5)",
        *place,
        write.key,
        write.name,
        write.at_ms,
    )
    return Applied()


async def _list(db: Connection, write: ListDevice) -> Applied:
    row = await db.fetchrow(
        "SELECT no, listed FROM device_keys WHERE account = $1 AND device = $2 AND key = $3 "
        "FOR NO KEY UPDATE",
        write.account,
        write.device,
        write.key,
    )
    if row is None:
        raise NotFound("the device has not asked to be listed with this key")
    no, listed = row
    if await db.fetchval("SELECT 1 FROM last_resorts WHERE key_no = $1", no) is None:
        raise NotFound("there is no last-resort prekey of the device")
    await db.execute("UPDATE device_keys SET listed = true WHERE no = $1", no)
    return Applied(changed=not listed)


async def _put_prekeys(db: Connection, epoch: int, write: PutPrekeys) -> Applied:
    row = await db.fetchrow(
        "SELECT no, CASE WHEN epoch = $4 THEN highest ELSE 0 END FROM device_keys "
        "WHERE account = $1 AND device = $2 AND key = $3 FOR NO KEY UPDATE",
        write.account,
        write.device,
        write.key,
        epoch,
    )
    if row is None:
        raise NotFound("no such device with this key")
    no, highest = row
    # What was handed out before a restore cannot be told from what was not: none of it is handed out again.
    await db.execute("DELETE FROM prekeys WHERE key_no = $1 AND epoch <> $2", no, epoch)
    highest = await _put_one_time(db, epoch, no, highest, write.one_time)
    if await db.fetchval("SELECT count(*) FROM prekeys WHERE key_no = $1", no) > write.max_held:
        raise TooMany("too many prekeys of the device would be held")
    if write.last_resort is not None:
        await db.execute(
            "INSERT INTO last_resorts (key_no, id, body) VALUES ($1, $2, $3) "
            "ON CONFLICT (key_no) DO UPDATE SET id = excluded.id, body = excluded.body",
            no,
            write.last_resort.id,
            write.last_resort.body,
        )
    await db.execute("UPDATE device_keys SET highest = $1, epoch = $2 WHERE no = $3", highest, epoch, no)
    return Applied()


async def _put_one_time(
    db: Connection, epoch: int, no: int, highest: int, prekeys: tuple[Prekey, ...]
) -> int:
    """Keep those that are new: the highest id there is now."""
    new: dict[int, Prekey] = {}
    known: list[Prekey] = []
    for prekey in prekeys:
        if prekey.id > highest:
            highest = prekey.id
            new[prekey.id] = prekey
        else:
            known.append(prekey)
    held = await db.fetch(
        "SELECT id, body FROM prekeys WHERE key_no = $1 AND id = ANY($2)", no, [one.id for one in known]
    )
    bodies = {prekey.id: prekey.body for prekey in new.values()}
    bodies.update([(number, body) for number, body in held])
    if any(bodies.get(prekey.id, prekey.body) != prekey.body for prekey in known):
        raise Conflict("the id of a prekey is that of another one")
    await db.execute(
        "INSERT INTO prekeys (key_no, id, epoch, public, body) "
        "SELECT $1, p.id, $2, p.public, p.body "
        "FROM unnest($3::bigint[], $4::bytea[], $5::bytea[]) AS p (id, public, body)",
        no,
        epoch,
        list(new),
        [one.public for one in new.values()],
        [one.body for one in new.values()],
    )
    return highest


async def reset(db: Connection, account: str) -> Applied:
    """Forget the list and the devices of an account, in the transaction under way."""
    await locks.lock_account(db, account)
    await rooms.lock_all_of(db, account)
    emptied = "UPDATE device_lists SET body = '' WHERE account = $1 AND body <> ''"
    lists = await count(db, emptied, account)
    devices = await count(db, "DELETE FROM device_keys WHERE account = $1", account)
    return Applied(changed=lists + devices > 0)
