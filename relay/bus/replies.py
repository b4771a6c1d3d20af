"""Which requests of other nodes were taken and what was replied, so that a repeated one is not carried out
twice. Pure; time is an argument, in seconds of a monotonic clock.
"""

from collections import OrderedDict
from enum import Enum, auto

from relay.bus import ReplyNotice


class Standing(Enum):
    """What is known of a request that has not been replied to."""

    NEW = auto()
    """It is to be carried out; it counts as under way from here on."""
    UNDER_WAY = auto()
    """It came before, and its reply will go out."""
    TOO_MUCH = auto()
    """As much is under way or remembered as may be. It will be repeated."""


class Replies:
    """Remembers each reply for `kept_seconds`; none is forgotten before that to make room."""

    def __init__(
        self,
        *,
        kept_seconds: float = 60.0,
        max_requests: int = 65_536,
        max_bytes: int = 64 << 20,
        max_under_way: int = 1_024,
    ) -> None:
        self._kept_seconds = kept_seconds
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._max_under_way = max_under_way
        self._under_way: set[tuple[str, str]] = set()
        self._replies: OrderedDict[tuple[str, str], tuple[float, ReplyNotice]] = OrderedDict()
        self._bytes = 0

    def take(self, caller: str, request: str, now: float) -> Standing | ReplyNotice:
        """What is to be done about a request of that id that came in: carry it out, reply again, nothing."""
        self._forget(now)
        key = (caller, request)
        known = self._replies.get(key)
        if known is not None:
            return known[1]
        if key in self._under_way:
            return Standing.UNDER_WAY
        remembered = len(self._replies) + len(self._under_way)
        if remembered >= self._max_requests or self._bytes >= self._max_bytes:
            return Standing.TOO_MUCH
        if len(self._under_way) >= self._max_under_way:
            return Standing.TOO_MUCH
        self._under_way.add(key)
        return Standing.NEW

    def done(self, caller: str, reply: ReplyNotice, now: float) -> None:
        """A request was carried out."""
        key = (caller, reply.id)
        self._under_way.discard(key)
        self._replies[key] = (now + self._kept_seconds, reply)
        self._bytes += len(reply.body or b"")

    def _forget(self, now: float) -> None:
        while self._replies:
            key, (until, reply) = next(iter(self._replies.items()))
            if now < until:
                break
            del self._replies[key]
            self._bytes -= len(reply.body or b"")
