"""When to tell the people in a session where its clock stands. Pure: instants are milliseconds."""

from __future__ import annotations


class Countdowns:
    """The sessions to remind of their clock, each ``every_ms`` after it was last told."""

    def __init__(self, every_ms: int) -> None:
        self._every_ms = every_ms
        self._due: dict[str, int] = {}  # every wait is equally long, so the order of telling is the order due

    def told(self, session: str, now_ms: int) -> None:
        """A session was told; it is due again after the interval."""
        self._due.pop(session, None)
        self._due[session] = now_ms + self._every_ms

    def forget(self, session: str) -> None:
        """There is nobody left to tell."""
        self._due.pop(session, None)

    def due(self, now_ms: int) -> tuple[str, ...]:
        """The sessions to be told now; each is due again after the interval."""
        due: list[str] = []
        for session, at_ms in self._due.items():
            if at_ms > now_ms:
                break
            due.append(session)
        for session in due:
            self.told(session, now_ms)
        return tuple(due)
