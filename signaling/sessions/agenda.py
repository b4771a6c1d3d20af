"""When to look at the clock: which stored deadlines to fire now, and when to look again.

Pure: instants are arguments, in milliseconds. The store is the truth; this is what one node knows of it for
the near future. It may hold deadlines that have been moved or cleared since: firing one of those changes
nothing, because what is due is derived from the session itself.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from relay.rows import Deadline

RETRY_FIRST_MS = 250
RETRY_MOST_MS = 30_000


class Agenda:
    """The deadlines of the near future, earliest first.

    Holds what is due soon and no more, however many sessions are planned: a load is bounded by its limit,
    and what is put for later is left to a later load. ``horizon_ms`` is how far ahead is loaded, and so how
    long a deadline that another node has set can stay unseen.
    """

    def __init__(self, horizon_ms: int) -> None:
        self._horizon_ms = horizon_ms
        self._heap: list[tuple[int, int, str, str, Deadline]] = []  # when to fire, and the store's order
        self._held: set[Deadline] = set()
        self._left: set[Deadline] = set()  # due, and another node's to carry out
        self._failures: dict[Deadline, int] = {}
        self._known_before_ms = 0
        self._near_before_ms = 0  # what is put before this was perhaps not there yet when it was read

    @property
    def held(self) -> int:
        """How many deadlines are known here. A load of more brings something new, or all there is."""
        return len(self._held) + len(self._left)

    def stale(self, now_ms: int) -> bool:
        """Whether deadlines may be due that have not been loaded."""
        return now_ms >= self._known_before_ms

    def load_before_ms(self, now_ms: int) -> int:
        """The instant up to which to load, exclusive. The load begins with this."""
        self._near_before_ms = now_ms + self._horizon_ms
        return self._near_before_ms

    def loaded(self, rows: Sequence[Deadline], before_ms: int, *, complete: bool) -> None:
        """What the store holds before ``before_ms``, earliest first; ``complete`` if no limit cut it."""
        for row in rows:
            self._add(row)
        self._left.difference_update(self._left if complete else rows)
        # A load that was cut says nothing about what follows its last row, not even at the same instant.
        self._known_before_ms = before_ms if complete else rows[-1].due_ms

    def put(self, deadline: Deadline) -> bool:
        """A deadline was set. Whether it is so near that others may see it too late."""
        near = deadline.due_ms < self._near_before_ms
        if near:
            self._add(deadline)
        return near

    def look_again(self) -> None:
        """What is due may be for others to carry out than before: it is to be loaded anew."""
        self._known_before_ms = 0

    def take(self, now_ms: int, limit: int) -> tuple[Deadline, ...]:
        """At most ``limit`` deadlines that are due, in order, no two of the same session.

        What a session has due at the same instant is carried out with the first of it, and is not taken.
        """
        taken: dict[str, Deadline] = {}
        while self._heap and self._heap[0][0] <= now_ms and len(taken) < limit:
            deadline = self._heap[0][-1]
            first = taken.setdefault(deadline.session, deadline)
            if first.due_ms != deadline.due_ms:
                break
            heapq.heappop(self._heap)
            self._held.discard(deadline)
            if first is not deadline:
                self._failures.pop(deadline, None)
        return tuple(taken.values())

    def done(self, deadline: Deadline) -> None:
        """A deadline that was taken has been carried out."""
        self._failures.pop(deadline, None)

    def leave(self, deadline: Deadline) -> None:
        """A deadline that was taken is another node's to carry out. It comes again with every load."""
        self._left.add(deadline)
        self._failures.pop(deadline, None)

    def failed(self, deadline: Deadline, now_ms: int) -> None:
        """A deadline that was taken could not be carried out: it is due again after a pause that grows."""
        failures = self._failures.get(deadline, 0)
        self._failures[deadline] = failures + 1
        self._push(deadline, now_ms + min(RETRY_FIRST_MS << min(failures, 16), RETRY_MOST_MS))

    def wake_ms(self) -> int:
        """When to look again: at the next deadline, or when what lies further ahead has to be loaded."""
        return min(self._heap[0][0], self._known_before_ms) if self._heap else self._known_before_ms

    def _add(self, deadline: Deadline) -> None:
        if deadline not in self._held:
            self._push(deadline, deadline.due_ms)

    def _push(self, deadline: Deadline, when_ms: int) -> None:
        self._held.add(deadline)
        heapq.heappush(self._heap, (when_ms, deadline.due_ms, deadline.session, deadline.kind, deadline))
