"""The endpoints of the audit trail, declared; they are part of the table in :mod:`signaling.http.api`."""

from __future__ import annotations

from protocol import errors
from signaling.http import audit
from signaling.http.audit_schemas import (
    AuditItem,
    AuditQuery,
    BreakGlassSpec,
    CheckpointItem,
    GrantItem,
    HoldItem,
    HoldSpec,
)
from signaling.http.endpoint import AnyEndpoint, Endpoint
from signaling.http.schemas import Page

AUDIT: tuple[AnyEndpoint, ...] = (
    Endpoint(
        method="GET",
        path="/v1/audit",
        name="listAudit",
        summary="List entries of the audit trail, the oldest first.",
        scope="audit",
        handle=audit.list_entries,
        query=AuditQuery,
        status=200,
        result=Page[AuditItem],
        paged=True,
    ),
    Endpoint(
        method="GET",
        path="/v1/audit/checkpoints",
        name="listCheckpoints",
        summary="List signatures over the audit trail, to be kept where nobody can take them back.",
        scope="audit",
        handle=audit.list_checkpoints,
        status=200,
        result=Page[CheckpointItem],
        paged=True,
    ),
    Endpoint(
        method="GET",
        path="/v1/audit/holds",
        name="listHolds",
        summary="List legal holds, by kind and id.",
        scope="audit",
        handle=audit.list_holds,
        status=200,
        result=Page[HoldItem],
        paged=True,
    ),
    Endpoint(
        method="POST",
        path="/v1/audit/holds",
        name="placeHold",
        summary="Place a legal hold: what is in it, and the entries about it, are not deleted, however old.",
        scope="holds",
        handle=audit.place_hold,
        body=HoldSpec,
        status=201,
        result=HoldItem,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/audit/holds/{kind}/{id}",
        name="releaseHold",
        summary="Release a legal hold.",
        scope="holds",
        handle=audit.release_hold,
        status=204,
        result=None,
        errors=(errors.NO_SUCH_HOLD,),
    ),
    Endpoint(
        method="POST",
        path="/v1/break-glass",
        name="breakGlass",
        summary="Open a scope for reading that the token does not have, for a while and with a reason.",
        scope="break_glass",
        handle=audit.break_glass,
        body=BreakGlassSpec,
        status=201,
        result=GrantItem,
    ),
)
