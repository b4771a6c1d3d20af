"""The form of the ids that back ends choose: what has another form is nobody's id, and may be anything."""

from __future__ import annotations

import re

ID_PATTERN = r"^[A-Za-z0-9_~-][A-Za-z0-9_.~-]{0,63}(?![\s\S])"
"""No dot at the beginning, which would change an address. The end is not `$`, which lets a line feed pass."""

_ID = re.compile(ID_PATTERN)


def is_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    return _ID.match(text) is not None
