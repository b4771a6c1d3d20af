"""Cutting off accounts and devices, and letting them in again, for back ends."""

from __future__ import annotations

from relay.writes import Reinstate, Revoke
from signaling.http.endpoint import Call, Reply, Services
from signaling.http.schemas import RevocationItem, RevocationSpec

PAGE = 256


async def revoke(services: Services, call: Call[RevocationSpec]) -> Reply:
    """Bar an account or a device: its connections are closed, and it is out of every session at once."""
    call.caller.check_unbound()
    account, device = call.path["account"], call.body.device
    reply = Reply(200, RevocationItem(account, device))
    now_ms = services.timebase.now_ms()
    await services.rooms.commit(Revoke(account, device, now_ms), *call.keep(reply))
    if device is None:
        await _evict(services, account)
    return reply


async def reinstate(services: Services, call: Call[RevocationSpec]) -> Reply:
    """Undo the revocation of the same account and device."""
    call.caller.check_unbound()
    account, device = call.path["account"], call.body.device
    reply = Reply(200, RevocationItem(account, device))
    await services.rooms.commit(Reinstate(account, device), *call.keep(reply))
    return reply


async def _evict(services: Services, account: str) -> None:
    last = ""
    while memberships := await services.store.rooms_of(account, after=last, limit=PAGE):
        for membership in memberships:
            await services.sessions.evict(account, membership.room)
        last = memberships[-1].room
