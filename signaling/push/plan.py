"""Whether a doorbell is rung: pure decisions; instants and spans are milliseconds.

One doorbell is enough for all that waits: it says nothing, and the device fetches everything when it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from relay.push import DueDoorbell, Waits

LOOK_AGAIN_MS = 900_000
"""How long quiet hours are believed at most until they are looked at again: they may have been changed."""

MAX_ATTEMPTS = 32
"""After so many failures in a row, about a day, nothing is attempted until the next message."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring it now, for this."""

    waits: Waits


@dataclass(frozen=True, slots=True)
class Later:
    """Look at it again then."""

    due_ms: int


@dataclass(frozen=True, slots=True)
class Rest:
    """There is nothing to ring for."""


@dataclass(frozen=True, slots=True)
class Forget:
    """The device is none of the account's any more."""


Decision: TypeAlias = Ring | Later | Rest | Forget


def decide(due: DueDoorbell, quiet_until_ms: int | None, now_ms: int, again_ms: int) -> Decision:
    """What to do about a doorbell that is due.

    ``quiet_until_ms`` is the end of the quiet hours that its account has now, ``again_ms`` how long a device
    that was rung and has not come is left alone.
    """
    if not due.in_force:
        return Forget()
    if due.waits is None:
        return Rest()
    rung = due.rung
    covered = rung is not None and (rung.flagged or not due.waits.flagged)
    # A clock that was set back could make this last for ever: better to ring once too often.
    if rung is not None and covered and rung.at_ms <= now_ms < rung.at_ms + again_ms:
        return Later(rung.at_ms + again_ms)
    if quiet_until_ms is not None and not due.waits.flagged:
        return Later(min(quiet_until_ms, now_ms + LOOK_AGAIN_MS))
    return Ring(due.waits)
