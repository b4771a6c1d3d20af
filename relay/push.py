"""What a store keeps for doorbells: which devices want to be told, while they are away, that something waits.

Rows, writes and the reading part of the Store port. Each device has one doorbell at most, which is itself
what waits to be rung: `due_ms` says when to look at it next. The store does not look into endpoints.
"""

from typing import Final, Protocol

import msgspec

DOORBELLS: Final = 20  # as many of an account are kept, those that were put last
WAITING: Final = 256  # whether something waits is looked for among so many of the newest events of a room


class Doorbell(msgspec.Struct, frozen=True, gc=False):
    """How a device is told that something waits for it."""

    account: str
    device: str
    endpoint: str  # empty: the platform tells it
    version: int  # another one after every `PutDoorbell`


class Waits(msgspec.Struct, frozen=True, gc=False):
    """The first message that a device has not acknowledged, and whether one of them is flagged."""

    room: str
    offset: int
    flagged: bool


class Rung(msgspec.Struct, frozen=True, gc=False):
    """When a doorbell was rung, and for what."""

    at_ms: int
    room: str
    offset: int
    flagged: bool


class DueDoorbell(msgspec.Struct, frozen=True, gc=False):
    """A doorbell to be looked at, with all that is to be known."""

    bell: Doorbell
    due_ms: int
    attempts: int  # that have failed since it waits
    rung: Rung | None  # last, and the device has not come for it since
    waits: Waits | None
    in_force: bool  # False: the device is barred, or not in its account's list any more


class Unrung(msgspec.Struct, frozen=True, gc=False):
    """A run of all logs together, and the devices with doorbells that lack some of it."""

    after: int
    through: int  # equal to `after` when there was nothing to examine
    devices: tuple[tuple[str, str], ...]  # account and device


class PutDoorbell(msgspec.Struct, frozen=True, gc=False):
    """Give a device a doorbell, or another endpoint. Those of the account beyond `DOORBELLS` are dropped.

    Outcome: `Applied`, `changed=False` if it has that endpoint.
    """

    account: str
    device: str
    endpoint: str
    at_ms: int


class DropDoorbell(msgspec.Struct, frozen=True, gc=False):
    """Take a device's doorbell away; with a `version` only if it stands at that.

    Outcome: `Applied`, `changed=False` if there was none.
    """

    account: str
    device: str
    version: int | None = None


class NoteUnrung(msgspec.Struct, frozen=True, gc=False):
    """What `Doorbells.unrung` has found is to be looked at from `at_ms` on; go on behind it.

    Those with failed attempts keep their time. `Conflict` if someone else has gone on meanwhile. Outcome:
    `Applied`.
    """

    unrung: Unrung
    at_ms: int


class SettleDoorbell(msgspec.Struct, frozen=True, gc=False):
    """What came of looking at a doorbell. None as `due_ms`: there is nothing to ring for.

    With `rung` it was rung. If something has come meanwhile that it is to be looked at for, it stays due.
    Outcome: `Applied`, `changed=False` if it is not the one that was looked at any more.
    """

    seen: DueDoorbell
    due_ms: int | None
    attempts: int = 0
    rung: Rung | None = None


DoorbellWrite = PutDoorbell | DropDoorbell | NoteUnrung | SettleDoorbell


class Doorbells(Protocol):
    """The part of the Store port that reads doorbells."""

    async def doorbell(self, account: str, device: str) -> Doorbell | None:
        """The doorbell of a device."""

    async def unrung(self, *, appended_before_ms: int, limit: int) -> Unrung:
        """The devices with doorbells that lack one of the next `limit` events of all logs, as far as these
        are older than an instant.

        Only messages of others count, and only those sent while the account was a member. Events are examined
        each once: it begins behind the last `NoteUnrung`.
        """

    async def due_doorbells(self, *, until_ms: int, limit: int) -> tuple[DueDoorbell, ...]:
        """The doorbells to be looked at by an instant, by when that is."""
