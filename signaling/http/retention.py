"""The retention of rooms, for back ends."""

from __future__ import annotations

import msgspec

from protocol import errors
from protocol.errors import ProtocolError
from relay.rows import Room
from signaling.http.endpoint import JSON_LINES, Call, Download, Reply, Services
from signaling.http.retention_schemas import ErasureItem, ErasureSpec, RetentionItem, RetentionSpec
from signaling.retention.service import RetentionTerms, kept


async def get_retention(services: Services, call: Call[None]) -> Reply:
    """For how long a room keeps its messages."""
    room = await _room(services, call)
    terms = (await services.retention.of([room.room])).get(room.room)
    return Reply(200, _item(services, room, terms))


async def set_retention(services: Services, call: Call[RetentionSpec]) -> Reply:
    """Say for how long a room keeps its messages, those that it has already included."""
    room = await _room(services, call)
    terms = RetentionTerms(call.body.days)
    reply = Reply(200, _item(services, room, terms))
    await services.rooms.commit(kept(room.room, terms), *call.keep(reply))
    return reply


async def export_account(services: Services, call: Call[None]) -> Reply:
    """Everything that there is of an account, as lines of JSON, made while they are sent."""
    call.caller.check_unbound()
    chunks = services.export.lines(call.path["account"])
    return Reply(200, download=Download(JSON_LINES, "account.ndjson", chunks))


async def erase_account(services: Services, call: Call[ErasureSpec]) -> Reply:
    """Erase an account, as far as what there is of it is not others' as well."""
    call.caller.check_unbound()
    account = call.path["account"]
    remains = await services.erasure.remains(account)
    reply = Reply(200, ErasureItem(account, **msgspec.structs.asdict(remains)))
    await services.erasure.erase(account, call.keep(reply))
    return reply


async def delete_room(services: Services, call: Call[None]) -> Reply:
    """Delete a room, if everything in it is past its retention."""
    room = await _room(services, call)
    await services.retention.delete(room.room)
    return Reply(204)


async def _room(services: Services, call: Call[RetentionSpec] | Call[None]) -> Room:
    name = call.path["room"]
    call.caller.check_room(name)
    room = await services.store.room(name)
    if room is None:
        raise ProtocolError(errors.NO_SUCH_ROOM)
    return room


def _item(services: Services, room: Room, terms: RetentionTerms | None) -> RetentionItem:
    own = terms is not None and terms.days is not None
    return RetentionItem(services.retention.days(terms), own, room.log.lowest, room.log.expired)
