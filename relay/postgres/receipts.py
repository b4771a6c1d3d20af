"""Receipts: their one query, in two statements."""

from itertools import groupby
from operator import itemgetter
from typing import Final

from relay.postgres.connection import Connection, snapshot
from relay.receipts import Receipt

_MEMBERS: Final = """
    SELECT m.account, m.role, CASE WHEN m.read_epoch = $1 THEN m.read_offset ELSE 0 END
    FROM members m JOIN rooms r ON r.no = m.room_no WHERE r.id = $2 ORDER BY m.account
"""
IN_FORCE: Final = """
    NOT EXISTS (SELECT 1 FROM revocations v WHERE v.account = d.account AND v.device IN ('', d.device))
    AND (
        NOT EXISTS (SELECT 1 FROM device_lists l WHERE l.account = d.account AND l.body <> '')
        OR EXISTS (
            SELECT 1 FROM device_keys k WHERE k.account = d.account AND k.device = d.device AND k.listed
        )
    )
"""
"""Whether the device `d` is one that its account has, as far as the account's keys tell."""

_DEVICES: Final = f"""
    SELECT d.account, d.device, c.offset_no
    FROM rooms r JOIN members m ON m.room_no = r.no JOIN devices d ON d.account = m.account
    JOIN cursors c ON c.device_no = d.no AND c.room_no = r.no AND c.epoch = $1
    WHERE r.id = $2 AND {IN_FORCE} ORDER BY d.account, d.device
"""  # noqa: S608 - constants


async def receipts(db: Connection, epoch: int, room: str) -> tuple[Receipt, ...]:
    """How far the members of a room have come."""
    async with snapshot(db):
        members = await db.fetch(_MEMBERS, epoch, room)
        devices = await db.fetch(_DEVICES, epoch, room)
    of_account = {
        account: tuple([(device, offset) for _, device, offset in rows])
        for account, rows in groupby(devices, itemgetter(0))
    }
    return tuple(
        [Receipt(account, role, read, of_account.get(account, ())) for account, role, read in members]
    )
