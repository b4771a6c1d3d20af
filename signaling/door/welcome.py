"""From a ``hello`` to what ``welcome`` tells: who it is, which rooms they have, where each is to go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from protocol import errors
from protocol.errors import CloseCode, ErrorKind, ProtocolError
from protocol.frames import VERSION, Hello, Position, RoomHead
from relay.errors import StoreError
from relay.rows import Cursor, Membership
from relay.store import Store
from signaling.access import Access
from signaling.caller import Caller
from signaling.memberships import memberships_of
from signaling.storage_errors import refusal

MAX_ROOMS = 4096
"""As many rooms are delivered on one connection as ``hello`` can give positions for."""

_CLOSE: Mapping[ErrorKind, CloseCode] = {
    errors.REVOKED: errors.DEVICE_REVOKED,
    errors.UNSUPPORTED_VERSION: errors.VERSION,
    errors.RATE_LIMITED: errors.RATE,
}


@dataclass(frozen=True, slots=True)
class Inventory:
    """The rooms of an account, as one of its devices has them."""

    memberships: tuple[Membership, ...]
    positions: Mapping[str, Position]
    """Where each of them goes on; a room that is left out begins at the start of its log."""
    cursors: Mapping[str, Cursor]
    """What the server knew of the device before this ``hello``."""
    gone: tuple[str, ...]
    """Rooms that the device asks for and the account is not in."""

    def position(self, room: str) -> Position:
        """Where the room goes on."""
        return self.positions.get(room) or Position(0, 0)

    def heads(self, held: Callable[[str], bool]) -> tuple[RoomHead, ...]:
        """The rooms as ``welcome`` tells of them.

        Of one that is held back nothing is told but what the device has persisted: how fast its log grows is
        something of what goes on there.
        """
        return tuple(self._head(one, held=held(one.room)) for one in self.memberships)

    def _head(self, one: Membership, *, held: bool) -> RoomHead:
        cursor = self.cursors.get(one.room)
        persisted = cursor.offset if cursor else 0
        return RoomHead(one.room, one.log.epoch, persisted if held else one.log.head, persisted, one.read)


def close_code(error: ProtocolError) -> CloseCode:
    """How a connection ends whose ``hello`` is refused with ``error``."""
    if error.kind in _CLOSE:
        return _CLOSE[error.kind]
    return errors.FAILED if error.kind.temporary else errors.NOT_AUTHORISED


async def identify(access: Access, hello: Hello, connection: str) -> Caller:
    """Who says hello; not yet whether they were revoked. Raises :exc:`ProtocolError`."""
    if VERSION not in hello.versions:
        raise ProtocolError(errors.UNSUPPORTED_VERSION, f"version {VERSION} is spoken here")
    claims = await access.prove(hello.token, hello.device)
    return Caller.of(claims, device=hello.device, connection=connection)


async def take_inventory(
    store: Store, caller: Caller, hello: Hello, unwritten: Mapping[str, Cursor]
) -> Inventory:
    """The caller's rooms; ``unwritten`` are cursors of the device that the store may not have yet.

    The account must be attached to the bus before, so that nothing falls between this and what is published.
    Raises :exc:`ProtocolError`.
    """
    assert caller.device is not None
    try:
        memberships = await _memberships(store, caller)
        cursors = {**await store.cursors(caller.account, caller.device), **unwritten}
    except StoreError as error:
        raise refusal(error) from error
    rooms = {one.room for one in memberships}
    stored = {
        room: Position(cursor.epoch, cursor.offset) for room, cursor in cursors.items() if room in rooms
    }
    asked = {room: position for room, position in hello.rooms.items() if room in rooms}
    gone = tuple(room for room in hello.rooms if room not in rooms)
    return Inventory(memberships, {**stored, **asked}, cursors, gone)


async def _memberships(store: Store, caller: Caller) -> tuple[Membership, ...]:
    only = caller.claims.room
    if only is None:
        return tuple(await memberships_of(store, caller.account, MAX_ROOMS))
    return tuple([one for one in await memberships_of(store, caller.account) if one.room == only])
