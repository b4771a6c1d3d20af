"""``rapport`` that dies while it stores what is sealed or erases an account, where the file ``die-at`` says.

The points: ``receive``, before anything of it is written; ``commit``, when it is written and not committed;
``publish``, when it is durable and nobody was told; ``reply``, when its readers were told and its sender not;
``acknowledge``, before it is written how far a device has persisted a room; ``persist``, when that is written
and not committed; ``erase`` and ``erased``, before and after an account is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relay.accounts import EraseAccount
from relay.sqlite.writer import Writer
from relay.writes import Ack, Append
from signaling import cli
from signaling.rooms import Rooms
from tests.faults.mortal import Fate

DIE_AT = Path("die-at")


def main() -> int:
    """Put the points in place, then be the server."""
    fate = Fate(DIE_AT.read_text() if DIE_AT.exists() else "")
    apply, flush, publish = Writer.apply, Writer._flush, Rooms._publish

    def applied(self: Writer, calls: Sequence[Sequence[Any]]) -> Any:
        writes = [write for call in calls for write in call]
        sealed = any(_is_sealed(write) for write in writes)
        if any(isinstance(write, Ack) for write in writes):
            fate.passing("acknowledge")
        if sealed:
            fate.passing("receive")
        erases = any(isinstance(write, EraseAccount) for write in writes)
        if erases:
            fate.passing("erase")
        answers = apply(self, calls)
        if erases:
            fate.passing("erased")
        if sealed:
            fate.passing("publish")
        return answers

    def flushed(self: Writer) -> None:
        some, cursors = bool(self._rows), bool(self._cursors)
        flush(self)
        if some:
            fate.passing("commit")
        if cursors:
            fate.passing("persist")

    def published(self: Rooms, write: Append, *more: Any) -> None:
        publish(self, write, *more)
        if _is_sealed(write):
            fate.passing("reply")

    Writer.apply, Writer._flush, Rooms._publish = applied, flushed, published  # type: ignore[method-assign,assignment]
    return cli.main()


def _is_sealed(write: Any) -> bool:
    return isinstance(write, Append) and write.sealing is not None


if __name__ == "__main__":
    sys.exit(main())
