"""The transcript of a demonstration: who, when, what, one to a line."""

from __future__ import annotations

import time
from typing import Final, TextIO

WIDTH: Final = 10


class Transcript:
    """Writes lines with the seconds since it was made."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._started = time.monotonic()

    def heading(self, text: str) -> None:
        """Lines that stand apart."""
        self._out.write(f"\n{text}\n\n")
        self._out.flush()

    def line(self, who: str, text: str) -> None:
        """Someone did something now; further lines of ``text`` are indented."""
        seconds = time.monotonic() - self._started
        indented = text.replace("\n", "\n" + " " * (WIDTH + 13))
        self._out.write(f"{seconds:6.1f} s   {who:<{WIDTH}}  {indented}\n")
        self._out.flush()

    def last(self, text: str) -> None:
        """The last line, for machines."""
        self._out.write(f"{text}\n")
        self._out.flush()
