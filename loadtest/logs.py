"""How far this device has each room's log, and what the next event means. No I/O.

The rule of the log: per room, offsets come one after the other, without gaps, within one epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from loadtest.wire import Map


class Verdict(Enum):
    """What to do with an event."""

    NEW = "new"
    """The next one: hand it over."""
    REPEATED = "repeated"
    """Had before: drop it."""
    GAP = "gap"
    """Something before it is missing: resume from the position."""


@dataclass(slots=True)
class _Log:
    epoch: int
    offset: int
    behind_at: int | None = None  # the position at the last ping, when that ping told of a head beyond it


class RoomLogs:
    """The positions of all rooms of one device.

    ``remembered`` is what a device that restarts kept of :meth:`positions`.
    """

    def __init__(self, remembered: Mapping[str, tuple[int, int]] | None = None) -> None:
        self._logs = {room: _Log(*position) for room, position in (remembered or {}).items()}

    def positions(self) -> dict[str, dict[str, int]]:
        """What ``hello`` resumes from."""
        return {room: {"epoch": log.epoch, "offset": log.offset} for room, log in self._logs.items()}

    def welcomed(self, heads: list[Map]) -> None:
        """The rooms of ``welcome``: those that are new to this device go on from the server's cursor."""
        for head in heads:
            self._logs.setdefault(head["room"], _Log(head["epoch"], head["cursor"])).behind_at = None
        gone = self._logs.keys() - {head["room"] for head in heads}
        for room in gone:
            del self._logs[room]

    def event(self, room: str, epoch: int, offset: int) -> Verdict:
        """An event has come; on ``NEW`` the position moves to it.

        The first event of a room that was entered while connected tells where its log begins.
        """
        log = self._logs.setdefault(room, _Log(epoch, offset - 1))
        if epoch != log.epoch or offset > log.offset + 1:
            return Verdict.GAP
        if offset <= log.offset:
            return Verdict.REPEATED
        log.offset = offset
        return Verdict.NEW

    def reset(self, room: str, epoch: int, lowest: int) -> None:
        """The server cannot resume from the position: the log goes on with ``lowest``."""
        self._logs[room] = _Log(epoch, max(lowest - 1, 0))

    def removed(self, room: str) -> None:
        """This account is no longer a member."""
        self._logs.pop(room, None)

    def stuck(self, heads: Mapping[str, int]) -> bool:
        """Whether a ping shows, for the second time, events that exist and do not come."""
        stuck = False
        for room, log in self._logs.items():
            behind = heads.get(room, 0) > log.offset
            stuck = stuck or (behind and log.behind_at == log.offset)
            log.behind_at = log.offset if behind else None
        return stuck
