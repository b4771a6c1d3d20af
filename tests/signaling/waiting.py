"""Waiting for something that happens by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE_SECONDS = 60.0
"""Only a test that would fail anyway waits for so long."""


async def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds, looking at it again and again."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - what is waited for knows nothing of this test
            await asyncio.sleep(0.001)
