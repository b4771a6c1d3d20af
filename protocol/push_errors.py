"""The errors of doorbells: rows of the table in :mod:`protocol.errors`."""

from __future__ import annotations

from protocol.error_table import kind as _kind

PUSH_ENDPOINT_REFUSED = _kind(
    1495,
    "push_endpoint_refused",
    400,
    "doorbells are not sent to this address",
    "give the `endpoint` of a Web Push subscription as the browser has made it; the operator says which push "
    "services are rung (`push.services`)",
)
PUSH_NOT_OFFERED = _kind(
    1496,
    "push_not_offered",
    409,
    "no back end of the platform is told of doorbells",
    "subscribe to a push service and give its endpoint, or have the operator tell a webhook `push.doorbell`",
)
