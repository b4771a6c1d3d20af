"""How far the members of a room have received and read its log: the row and the part of the Store port."""

from typing import Protocol

import msgspec


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """How far one member has come, in the log's present epoch."""

    account: str
    role: str
    read: int  # 0 for not at all
    devices: tuple[tuple[str, int], ...]  # those that have acknowledged anything, by name, and how far


class Receipts(Protocol):
    """The part of the Store port that reads receipts."""

    async def receipts(self, room: str) -> tuple[Receipt, ...]:
        """The members of a room by account; empty for a room that does not exist.

        Devices that are barred are left out, and of an account with a device list those that are not in it.
        """
