"""Processes that end themselves by SIGKILL at a named point, when it is passed for the so-manieth time."""

from __future__ import annotations

import os
import signal


class Fate:
    """When to die: ``point count``, or never."""

    def __init__(self, text: str) -> None:
        point, _, count = text.partition(" ")
        self._point = point
        self._left = int(count or 0)

    def passing(self, point: str) -> None:
        """A point is passed, for the last time perhaps."""
        if point == self._point:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
