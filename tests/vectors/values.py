"""What the vectors are made from: bytes out of names."""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

Vector: TypeAlias = dict[str, Any]

CREATED_MS = 1_800_000_000_000


def drawn(name: str, length: int = 32) -> bytes:
    """Bytes that look random and are the same in every run."""
    return hashlib.shake_256(b"rapport vectors " + name.encode()).digest(length)
