"""Pages of long lists: how many, and from where. Cursors are opaque to those who use them."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from protocol import errors
from protocol.errors import ProtocolError

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MAX_CURSOR_CHARACTERS = 512
PARAMETERS = frozenset({"limit", "cursor"})
"""What queries for pages take."""


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page is asked for."""

    limit: int = DEFAULT_LIMIT
    cursor: tuple[str | int, ...] | None = None
    """The place behind which it begins: what :func:`cursor_of` was given."""

    def place(self, *types: type) -> tuple[str | int, ...] | None:
        """The cursor, if it is one of the list asked for. ``cursor_invalid`` if it belongs to another."""
        if self.cursor is not None and tuple(map(type, self.cursor)) != types:
            raise ProtocolError(errors.CURSOR_INVALID)
        return self.cursor


def page_request(query: Mapping[str, str]) -> PageRequest:
    """The page that a query asks for. ``invalid_field``, ``cursor_invalid``."""
    limit = query.get("limit", str(DEFAULT_LIMIT))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= MAX_LIMIT):
        raise ProtocolError(errors.INVALID_FIELD, f"`limit` is 1 to {MAX_LIMIT}")
    return PageRequest(int(limit), _place(query["cursor"]) if "cursor" in query else None)


def cursor_of(*place: str | int) -> str:
    """The cursor of the page that begins behind ``place``."""
    return urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _place(cursor: str) -> tuple[str | int, ...]:
    if len(cursor) > MAX_CURSOR_CHARACTERS:
        raise ProtocolError(errors.CURSOR_INVALID)
    try:
        decoded = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        return msgspec.json.decode(decoded, type=tuple[str | int, ...])
    except (binascii.Error, UnicodeError, ValueError, msgspec.MsgspecError, RecursionError):
        raise ProtocolError(errors.CURSOR_INVALID) from None
