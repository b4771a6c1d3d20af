"""Deliveries to webhooks, for operators: what waits, what was given up, and making it once more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

from protocol import errors
from protocol.errors import ProtocolError
from relay.webhooks import Delivery, DeliveryCursor, DeliveryState, DropDelivery, ReplayDelivery
from signaling.http.endpoint import Call, Reply, Services
from signaling.http.pagination import cursor_of
from signaling.http.schemas import (
    MAX_DELIVERIES,
    DeliveryItem,
    DropItem,
    DropSpec,
    Page,
    ReplayItem,
    ReplaySpec,
)


async def list_deliveries(services: Services, call: Call[None]) -> Reply:
    """The deliveries in one state."""
    _check_unbound(call)
    if call.path["state"] not in get_args(DeliveryState):
        raise ProtocolError(errors.NOT_FOUND)
    state = cast(DeliveryState, call.path["state"])
    place = call.page.place(int, int)
    after = DeliveryCursor(int(place[0]), int(place[1])) if place else None
    found = await services.store.deliveries(state, after=after, limit=call.page.limit + 1)
    shown = found[: call.page.limit]
    following = cursor_of(shown[-1].since_ms, shown[-1].position) if len(found) > len(shown) else None
    return Reply(200, Page(tuple(map(_item, shown)), following))


async def replay(services: Services, call: Call[ReplaySpec]) -> Reply:
    """Make deliveries once more, at most so many as one request may name."""
    _check_unbound(call)
    spec, now_ms = call.body, services.timebase.now_ms()
    until_ms = now_ms if spec.until_ms is None else spec.until_ms
    if spec.deliveries:
        found: Sequence[Delivery] = await _named(services, spec.deliveries)
    elif spec.state is not None:
        found = await services.store.deliveries(
            spec.state,
            endpoint=spec.endpoint,
            since_ms=spec.since_ms,
            until_ms=until_ms,
            limit=MAX_DELIVERIES + 1,
        )
    else:
        raise ProtocolError(errors.INVALID_FIELD, "give `deliveries` or a `state`")
    ended = [one for one in found if one.state != "waiting"][:MAX_DELIVERIES]
    reply = Reply(200, ReplayItem(len(ended), until_ms, more=len(found) > MAX_DELIVERIES))
    await services.rooms.commit(*(ReplayDelivery(one.id, now_ms) for one in ended), *call.keep(reply))
    return reply


async def drop(services: Services, call: Call[DropSpec]) -> Reply:
    """Forget deliveries."""
    _check_unbound(call)
    now_ms = services.timebase.now_ms()
    found = await _named(services, call.body.deliveries)
    reply = Reply(200, DropItem(len(found)))
    await services.rooms.commit(*(DropDelivery(one.id, now_ms) for one in found), *call.keep(reply))
    return reply


async def _named(services: Services, ids: Sequence[str]) -> list[Delivery]:
    """The deliveries with these ids, each once. ``no_such_delivery`` unless there are all of them."""
    found = [await services.store.delivery(one) for one in dict.fromkeys(ids)]
    known = [one for one in found if one is not None]
    if len(known) < len(found):
        raise ProtocolError(errors.NO_SUCH_DELIVERY)
    return known


def _check_unbound(call: Call[None] | Call[ReplaySpec] | Call[DropSpec]) -> None:
    """Deliveries are those of all rooms: a token for one room or session does not reach them."""
    if call.caller.claims.room is not None or call.caller.claims.session is not None:
        raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one room or session")


def _item(delivery: Delivery) -> DeliveryItem:
    return DeliveryItem(
        delivery=delivery.id,
        endpoint=delivery.endpoint,
        type=delivery.type,
        state=delivery.state,
        at_ms=delivery.at_ms,
        since_ms=delivery.since_ms,
        attempts=delivery.attempts,
        room=delivery.lane,
        due_ms=delivery.due_ms,
        failure=delivery.failure,
    )
