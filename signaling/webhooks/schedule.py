"""When deliveries are attempted: pure decisions; instants and spans are milliseconds.

settle(...)   what an attempt leads to: the delivery is made, delayed or given up
Agenda        which deliveries of an endpoint are attempted now, and when to look again
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from config.settings import WebhookSettings
from relay.webhooks import DelayDelivery, Delivery, EndDelivery

DOWN_AFTER = 3
"""Attempts that fail in a row, of whatever rooms, until an endpoint counts as down."""

PROBE_MS = 250
"""The pause between attempts while it does. With thousands of rooms, each with an attempt of its own to make,
it would otherwise be asked without a break, and the server would do little else.
"""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The endpoint has the delivery: it answered with a status of 200 to 299."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The endpoint does not have the delivery, as far as we know."""

    failure: str
    """Why, by a stable name: `timeout`, `status_503`, ..."""
    gone: bool = False
    """It does not want it either, now or later (RFC 9110, 15.5.11)."""
    wait_ms: int = 0
    """How long it asks to be left alone (RFC 9110, 10.2.3)."""


Result: TypeAlias = Accepted | Failed


@dataclass(frozen=True, slots=True)
class Pace:
    """How patiently deliveries are attempted."""

    first_ms: int
    """The longest pause before the second attempt; each failure doubles it."""
    most_ms: int
    """The longest pause of all."""
    give_up_ms: int
    """How long after it was put, or replayed, a failed attempt is the last."""

    @classmethod
    def of(cls, settings: WebhookSettings) -> Pace:
        """As the settings say."""
        return cls(
            first_ms=round(settings.retry_seconds * 1000),
            most_ms=round(settings.retry_max_seconds * 1000),
            give_up_ms=round(settings.give_up_seconds * 1000),
        )


def settle(
    delivery: Delivery, result: Result, now_ms: int, chance: float, pace: Pace
) -> EndDelivery | DelayDelivery:
    """What an attempt at a delivery leads to; ``chance`` as for :func:`pause_ms`."""
    attempts = delivery.attempts + 1
    if isinstance(result, Accepted):
        return EndDelivery(delivery.id, attempts, "delivered", now_ms)
    if result.gone or now_ms - delivery.since_ms >= pace.give_up_ms:
        return EndDelivery(delivery.id, attempts, "dead", now_ms, result.failure)
    pause = pause_ms(delivery.attempts, result.wait_ms, chance, pace)
    return DelayDelivery(delivery.id, attempts, now_ms + pause, result.failure)


def pause_ms(failed: int, wait_ms: int, chance: float, pace: Pace) -> int:
    """The pause after an attempt that failed, as ``failed`` others have before; ``wait_ms`` is asked for.

    It grows exponentially with full jitter: ``chance``, uniform in [0, 1), is the part of it that is waited,
    so that those who failed together do not come back together.
    """
    # The exponent is bounded: the longest pause is reached long before.
    ceiling_ms = min(pace.most_ms, pace.first_ms << min(failed, 32))
    return max(round(chance * ceiling_ms), min(wait_ms, pace.most_ms))


class Agenda:
    """What is under way to one endpoint: at most ``parallel`` deliveries, no two of the same lane.

    While the endpoint is down they begin one by one, :data:`PROBE_MS` after one another.
    The store has the deliveries; here are only the ids of those that are being attempted. Each turn is
    :meth:`begin`, a read of as many heads of lanes as :attr:`wanted`, and :meth:`start`.
    """

    def __init__(self, parallel: int) -> None:
        self._parallel = parallel
        self._under_way: set[str] = set()
        self._settled: set[str] = set()  # since the read began, which may still show them as they were
        self._failures = 0  # in a row
        self._probe_ms = 0  # when the next attempt may begin while the endpoint is down

    @property
    def wanted(self) -> int:
        """How many heads of lanes a turn has to look at, to fill all free places and know when to wake."""
        return self._parallel + len(self._under_way) + len(self._settled) + 1

    def begin(self) -> None:
        """The deliveries that are due are going to be read."""
        self._settled.clear()

    def start(self, heads: Sequence[Delivery], now_ms: int) -> tuple[Delivery, ...]:
        """Those of ``heads``, the first of lanes by when they are due, to be attempted now."""
        free = self._parallel - len(self._under_way)
        if self._down:
            free = min(free, 1) if now_ms >= self._probe_ms else 0
        starting = tuple(one for one in self._idle(heads) if _due_ms(one) <= now_ms)[:free]
        if starting:
            self._probe_ms = now_ms + PROBE_MS
        self._under_way.update(one.id for one in starting)
        return starting

    def wake_ms(self, heads: Sequence[Delivery]) -> int | None:
        """When to look again by itself; None if only after something has happened."""
        if len(self._under_way) >= self._parallel:
            return None
        first_ms = min((_due_ms(one) for one in self._idle(heads)), default=None)
        return max(first_ms, self._probe_ms) if first_ms is not None and self._down else first_ms

    def settled(self, delivery: str, result: Result) -> bool:
        """What came of an attempt is in the store. True if the endpoint was down and is back."""
        self._under_way.discard(delivery)
        self._settled.add(delivery)
        if isinstance(result, Failed):
            self._failures += 1
            return False
        was_down = self._down
        self._failures = 0
        return was_down

    @property
    def _down(self) -> bool:
        return self._failures >= DOWN_AFTER

    def _idle(self, heads: Sequence[Delivery]) -> list[Delivery]:
        busy = self._under_way | self._settled
        return [one for one in heads if one.id not in busy]


def _due_ms(head: Delivery) -> int:
    """When the first of a lane is due."""
    assert head.due_ms is not None
    return head.due_ms
