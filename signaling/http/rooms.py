"""Rooms and their members, for back ends."""

from __future__ import annotations

import uuid

from protocol import errors
from protocol.errors import ProtocolError
from relay.rows import Member, Room
from signaling.http.endpoint import Call, Reply, Services
from signaling.http.pagination import cursor_of
from signaling.http.schemas import MemberItem, MemberSpec, Page, RoomItem, RoomReference, RoomSpec

NO_SETTINGS = b""
"""The settings of a room that has none of its own."""


async def create_room(services: Services, call: Call[RoomSpec]) -> Reply:
    """A new room with its first members."""
    room = call.body.room or uuid.uuid4().hex
    call.caller.check_room(room)
    accounts = {member.account for member in call.body.members}
    if len(accounts) < len(call.body.members):
        raise ProtocolError(errors.INVALID_FIELD, "an account stands twice in `$.members`")
    reply = Reply(201, RoomReference(room), f"/v1/rooms/{room}")
    members = [(member.account, member.role) for member in call.body.members]
    await services.rooms.create(room, NO_SETTINGS, members, call.keep(reply))
    return reply


async def list_rooms(services: Services, call: Call[None]) -> Reply:
    """All rooms, by id."""
    if call.caller.claims.room is not None:
        raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one room")
    place = call.page.place(str)
    after = str(place[0]) if place else ""
    rooms = await services.store.rooms(after=after, limit=call.page.limit + 1)
    shown = rooms[: call.page.limit]
    following = cursor_of(shown[-1].room) if len(rooms) > len(shown) else None
    return Reply(200, Page(tuple(map(_room_item, shown)), following))


async def get_room(services: Services, call: Call[None]) -> Reply:
    """One room."""
    return Reply(200, _room_item(await _room(services, call)))


async def list_members(services: Services, call: Call[None]) -> Reply:
    """The members of a room, by account."""
    room = await _room(services, call)
    place = call.page.place(str)
    members = [m for m in await services.store.members(room.room) if not place or m.account > str(place[0])]
    shown = members[: call.page.limit]
    following = cursor_of(shown[-1].account) if len(members) > len(shown) else None
    return Reply(200, Page(tuple(map(_member_item, shown)), following))


async def add_member(services: Services, call: Call[MemberSpec]) -> Reply:
    """Make an account a member of a room, or give a member another role."""
    room = await _room(services, call)
    reply = Reply(201, call.body, f"/v1/rooms/{room.room}/members/{call.body.account}")
    await services.rooms.add_member(room.room, call.body.account, call.body.role, call.keep(reply))
    return reply


async def remove_member(services: Services, call: Call[None]) -> Reply:
    """End a membership; who is in a session of the room is out of it at once."""
    room = await _room(services, call)
    account = call.path["account"]
    if not await services.rooms.remove_member(room.room, account):
        raise ProtocolError(errors.NO_SUCH_MEMBER)
    await services.sessions.evict(account, room.room)
    return Reply(204)


async def _room(services: Services, call: Call[MemberSpec] | Call[None]) -> Room:
    room = call.path["room"]
    call.caller.check_room(room)
    found = await services.store.room(room)
    if found is None:
        raise ProtocolError(errors.NO_SUCH_ROOM)
    return found


def _room_item(room: Room) -> RoomItem:
    return RoomItem(room=room.room, created_ms=room.created_ms, epoch=room.log.epoch, head=room.log.head)


def _member_item(member: Member) -> MemberItem:
    return MemberItem(account=member.account, role=member.role, since_ms=member.since_ms)
