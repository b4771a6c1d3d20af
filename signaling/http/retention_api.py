"""The endpoints about how long things are kept."""

from __future__ import annotations

from protocol import errors
from signaling.export.service import Line
from signaling.http import retention
from signaling.http.endpoint import JSON_LINES, AnyEndpoint, Endpoint
from signaling.http.retention_schemas import ErasureItem, ErasureSpec, RetentionItem, RetentionSpec

RETENTION: tuple[AnyEndpoint, ...] = (
    Endpoint(
        method="DELETE",
        path="/v1/rooms/{room}",
        name="deleteRoom",
        summary="Delete a room with everything in it, once all of it is past its retention; for good.",
        scope="rooms",
        handle=retention.delete_room,
        status=204,
        result=None,
        errors=(errors.NO_SUCH_ROOM, errors.LEGAL_HOLD, errors.RETENTION_STANDS),
    ),
    Endpoint(
        method="GET",
        path="/v1/rooms/{room}/retention",
        name="getRetention",
        summary="Show for how long a room keeps its messages.",
        scope="rooms",
        handle=retention.get_retention,
        status=200,
        result=RetentionItem,
        errors=(errors.NO_SUCH_ROOM,),
    ),
    Endpoint(
        method="POST",
        path="/v1/rooms/{room}/retention",
        name="setRetention",
        summary="Say for how long a room keeps its messages, those that it has already included.",
        scope="rooms",
        handle=retention.set_retention,
        body=RetentionSpec,
        status=200,
        result=RetentionItem,
        errors=(errors.NO_SUCH_ROOM,),
    ),
    Endpoint(
        method="GET",
        path="/v1/accounts/{account}/export",
        name="exportAccount",
        summary="Export everything that there is of an account, as lines of JSON.",
        scope="export",
        handle=retention.export_account,
        status=200,
        result=Line,
        media_types=(JSON_LINES,),
    ),
    Endpoint(
        method="POST",
        path="/v1/accounts/{account}/erase",
        name="eraseAccount",
        summary="Erase an account for good: it is barred, leaves its rooms, what is its alone is deleted.",
        scope="erase",
        handle=retention.erase_account,
        body=ErasureSpec,
        status=200,
        result=ErasureItem,
        errors=(errors.LEGAL_HOLD,),
    ),
)
