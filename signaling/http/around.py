"""Office hours of accounts, and the words that rooms answer with outside them, for back ends."""

from __future__ import annotations

import msgspec

from protocol import errors
from protocol.around import HoursView
from protocol.errors import ProtocolError
from relay.documents import PutDocument
from signaling.hours.replies import WORDS, ReplyWords
from signaling.hours.service import kept, view
from signaling.http.around_schemas import HoursItem, HoursSpec, ReplyWordsSpec
from signaling.http.endpoint import Call, Reply, Services


async def get_hours(services: Services, call: Call[None]) -> Reply:
    """The hours of an account, and what they say now."""
    call.caller.check_unbound()
    return Reply(200, _hours_item(await services.around.hours.view(call.path["account"])))


async def set_hours(services: Services, call: Call[HoursSpec]) -> Reply:
    """Replace the hours of an account."""
    call.caller.check_unbound()
    hours = call.body.hours
    write = kept(call.path["account"], hours)
    reply = Reply(200, _hours_item(view(hours, services.timebase.now_ms())))
    await services.rooms.commit(write, *call.keep(reply))
    return reply


async def get_words(services: Services, call: Call[None]) -> Reply:
    """What a room answers with outside office hours: its own words, or those of the deployment."""
    await _check_room(services, call)
    words = await services.around.replies.words(call.path["room"])
    return Reply(200, ReplyWordsSpec(words.text, words.emergency) if words else ReplyWordsSpec())


async def set_words(services: Services, call: Call[ReplyWordsSpec]) -> Reply:
    """Give a room words of its own."""
    await _check_room(services, call)
    reply = Reply(200, call.body)
    words = msgspec.msgpack.encode(ReplyWords(call.body.text, call.body.emergency))
    await services.rooms.commit(PutDocument(WORDS, call.path["room"], words), *call.keep(reply))
    return reply


async def _check_room(services: Services, call: Call[ReplyWordsSpec] | Call[None]) -> None:
    room = call.path["room"]
    call.caller.check_room(room)
    if await services.store.room(room) is None:
        raise ProtocolError(errors.NO_SUCH_ROOM)


def _hours_item(view: HoursView) -> HoursItem:
    return HoursItem(view.hours, view.away, view.away_changes_ms, view.quiet_until_ms)
