"""Rooms and their members, for back ends."""

from __future__ import annotations

import uuid

import msgspec

from protocol import errors
from protocol.errors import ProtocolError
from relay.rows import Member, Room
from signaling.http.endpoint import Call, Reply, Services
from signaling.http.pagination import cursor_of
from signaling.http.policies import policy_of, wishes_of
from signaling.http.schemas import (
    MemberItem,
    MemberSpec,
    NotesSpec,
    Page,
    RoomChange,
    RoomItem,
    RoomReference,
    RoomSpec,
)
from signaling.notes import is_notes, notes_beside
from signaling.sessions.terms import decode_wishes, encode_wishes


async def create_room(services: Services, call: Call[RoomSpec]) -> Reply:
    """A new room with its first members."""
    room = call.body.room or uuid.uuid4().hex
    call.caller.check_room(room)
    accounts = {member.account for member in call.body.members}
    if len(accounts) < len(call.body.members):
        raise ProtocolError(errors.INVALID_FIELD, "an account stands twice in `$.members`")
    reply = Reply(201, RoomReference(room), f"/v1/rooms/{room}")
    members = [(member.account, member.role) for member in call.body.members]
    body = encode_wishes(wishes_of(call.body.policy))
    await services.rooms.create(room, body, members, call.keep(reply))
    return reply


async def change_room(services: Services, call: Call[RoomChange]) -> Reply:
    """Other terms for the sessions that are scheduled in a room from now on."""
    room = await _room(services, call)
    body = encode_wishes(wishes_of(call.body.policy))
    reply = Reply(200, _room_item(msgspec.structs.replace(room, body=body)))
    await services.rooms.change(room.room, body, call.keep(reply))
    return reply


async def list_rooms(services: Services, call: Call[None]) -> Reply:
    """All rooms but those of notes, by id; a page may have fewer than there was place for."""
    if call.caller.claims.room is not None:
        raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one room")
    place = call.page.place(str)
    after = str(place[0]) if place else ""
    rooms = await services.store.rooms(after=after, limit=call.page.limit + 1)
    shown = rooms[: call.page.limit]
    following = cursor_of(shown[-1].room) if len(rooms) > len(shown) else None
    return Reply(200, Page(tuple(_room_item(one) for one in shown if not is_notes(one.room)), following))


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


async def open_notes(services: Services, call: Call[NotesSpec]) -> Reply:
    """The room of a therapist's private notes about a room."""
    room = await _room(services, call)
    account = call.body.account
    reply = Reply(200, RoomReference(notes_beside(room.room, account)))
    await services.around.notes.open(room.room, account, call.keep(reply))
    return reply


async def _room(
    services: Services, call: Call[MemberSpec] | Call[NotesSpec] | Call[RoomChange] | Call[None]
) -> Room:
    room = call.path["room"]
    call.caller.check_room(room)
    found = await services.store.room(room)
    if found is None:
        raise ProtocolError(errors.NO_SUCH_ROOM)
    return found


def _room_item(room: Room) -> RoomItem:
    return RoomItem(
        room=room.room,
        created_ms=room.created_ms,
        epoch=room.log.epoch,
        head=room.log.head,
        policy=policy_of(decode_wishes(room.body)),
    )


def _member_item(member: Member) -> MemberItem:
    return MemberItem(account=member.account, role=member.role, since_ms=member.since_ms)
