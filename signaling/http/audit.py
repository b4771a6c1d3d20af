"""The audit trail, for those who hold others to account, with legal holds and break-glass access."""

from __future__ import annotations

import structlog

from protocol import errors
from protocol.errors import ProtocolError
from relay.audit_chain import AuditRecord
from relay.audit_trail import (
    AppendAudit,
    AuditCheckpoint,
    AuditFilter,
    AuditHold,
    Grant,
    HoldAudit,
    PutGrant,
    ReleaseAudit,
)
from relay.errors import NotFound
from signaling.audit import origin
from signaling.audit.actions import entry_of
from signaling.audit.checkpoints import line_of
from signaling.audit.exporting import fields_of
from signaling.http.audit_schemas import (
    AuditItem,
    AuditQuery,
    BreakGlassSpec,
    CheckpointItem,
    GrantItem,
    HoldItem,
    HoldSpec,
)
from signaling.http.endpoint import Call, Reply, Services
from signaling.http.pagination import cursor_of
from signaling.http.schemas import Page
from signaling.webhooks import notices

MINUTE_MS = 60_000

_log = structlog.get_logger("rapport.audit")


async def list_entries(services: Services, call: Call[AuditQuery]) -> Reply:
    """The entries that are asked for, the oldest first."""
    call.caller.check_unbound()
    asked = call.body
    if asked.object_id and not asked.object_kind:
        raise ProtocolError(errors.INVALID_FIELD, "`object_id` goes with `object_kind`")
    matching = AuditFilter(
        asked.actor or None,
        asked.action or None,
        asked.object_kind or None,
        asked.object_id or None,
        asked.since_ms,
        asked.until_ms,
    )
    place = call.page.place(int)
    after = int(place[0]) if place else 0
    found = await services.store.audit(after=after, limit=call.page.limit + 1, matching=matching)
    shown = found[: call.page.limit]
    following = cursor_of(shown[-1].sequence) if len(found) > len(shown) else None
    return Reply(200, Page(tuple(map(_item, shown)), following))


async def list_checkpoints(services: Services, call: Call[None]) -> Reply:
    """Checkpoints, for keeping them where nobody can take them back."""
    call.caller.check_unbound()
    place = call.page.place(int)
    after = int(place[0]) if place else 0
    found = await services.store.audit_checkpoints(after=after, limit=call.page.limit + 1)
    shown = found[: call.page.limit]
    following = cursor_of(shown[-1].sequence) if len(found) > len(shown) else None
    return Reply(200, Page(tuple(map(_checkpoint_item, shown)), following))


async def list_holds(services: Services, call: Call[None]) -> Reply:
    """Legal holds, by kind and id."""
    call.caller.check_unbound()
    place = call.page.place(str, str)
    after = (str(place[0]), str(place[1])) if place else ("", "")
    found = await services.store.audit_holds(after=after, limit=call.page.limit + 1)
    shown = found[: call.page.limit]
    following = cursor_of(shown[-1].kind, shown[-1].id) if len(found) > len(shown) else None
    return Reply(200, Page(tuple(map(_hold_item, shown)), following))


async def place_hold(services: Services, call: Call[HoldSpec]) -> Reply:
    """Keep the entries about something."""
    call.caller.check_unbound()
    asked, by = call.body, origin.current()
    hold = AuditHold(asked.kind, asked.id, services.timebase.now_ms(), by.actor, asked.reason)
    address = f"/v1/audit/holds/{hold.kind}/{hold.id}"
    reply = Reply(201, _hold_item(hold), address)
    await services.rooms.commit(HoldAudit(hold), *call.keep(reply))
    return reply


async def release_hold(services: Services, call: Call[None]) -> Reply:
    """Let the entries about something go again when their time has come."""
    call.caller.check_unbound()
    try:
        await services.rooms.commit(ReleaseAudit(call.path["kind"], call.path["id"]))
    except NotFound:
        raise ProtocolError(errors.NO_SUCH_HOLD) from None
    return Reply(204)


async def break_glass(services: Services, call: Call[BreakGlassSpec]) -> Reply:
    """Open a scope to the caller for a while: recorded with its reason, told to everyone who watches."""
    call.caller.check_unbound()
    asked, now_ms = call.body, services.timebase.now_ms()
    if asked.minutes > services.break_glass_minutes:
        raise ProtocolError(
            errors.INVALID_FIELD, f"`$.minutes` is {services.break_glass_minutes} at most on this server"
        )
    by = origin.current()
    grant = Grant(by.actor, asked.scope, now_ms + asked.minutes * MINUTE_MS)
    entry = entry_of(by, "break_glass.opened", "scope", asked.scope, at_ms=now_ms, reason=asked.reason)
    reply = Reply(201, GrantItem(grant.scope, grant.until_ms))
    told = services.webhooks.deliveries([notices.break_glass(grant, now_ms)])
    await services.rooms.commit(PutGrant(grant), AppendAudit(entry), *told, *call.keep(reply))
    _log.warning("break_glass_opened", scope=grant.scope, minutes=asked.minutes)
    return reply


def _hold_item(hold: AuditHold) -> HoldItem:
    return HoldItem(hold.kind, hold.id, hold.since_ms, hold.account, hold.reason)


def _item(record: AuditRecord) -> AuditItem:
    return AuditItem(**fields_of(record))  # type: ignore[arg-type]  # its fields are those of an entry


def _checkpoint_item(checkpoint: AuditCheckpoint) -> CheckpointItem:
    line = line_of(checkpoint)
    return CheckpointItem(line.sequence, line.digest, line.at_ms, line.key, line.signature)
