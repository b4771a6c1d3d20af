"""Which part of a blob is asked for (RFC 9110, 14). Pure."""

from __future__ import annotations

import re

from protocol import errors
from protocol.errors import ProtocolError

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


def asked(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and length of the part that a ``Range`` header asks for; None: everything.

    What is no single range of bytes is ignored, as RFC 9110, 14.2 allows. ``range_invalid`` when none of the
    ``size`` bytes is asked for.
    """
    found = _ONE.fullmatch(header.strip()) if header is not None else None
    if found is None or found[1] == found[2] == "":
        return None
    if found[1] == "":
        first, last = max(0, size - int(found[2])), size - 1
        return _part(first, last, size)
    first = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None
    return _part(first, min(last, size - 1), size)


def _part(first: int, last: int, size: int) -> tuple[int, int]:
    if first > last or first >= size:
        raise ProtocolError(errors.RANGE_INVALID)
    return first, last - first + 1
