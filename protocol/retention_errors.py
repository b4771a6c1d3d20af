"""The errors of what is kept and deleted: rows of the table in :mod:`protocol.errors`."""

from __future__ import annotations

from protocol.error_table import kind as _kind

LEGAL_HOLD = _kind(
    1490,
    "legal_hold",
    409,
    "a legal hold keeps this",
    "`GET /v1/audit/holds` lists the holds; it can be deleted once they are released",
)
RETENTION_STANDS = _kind(
    1491,
    "retention_stands",
    409,
    "something here is not past its retention",
    "`detail` says what; wait, or set another retention with `POST /v1/rooms/{room}/retention`",
)
