"""What waits to be written to one socket: bounded, in order, signals coalesced. Pure; time is an argument.

Three kinds wait here, and each meets the limit in its own way:

- *events* are only put in while they fit (:meth:`Outbox.fits`); otherwise their room is marked lagging and is
  read from the store again when there is space. Nothing durable is ever dropped.
- *signals* replace the waiting one with the same key; one that does not fit, or that has waited too long, is
  dropped and counted.
- *replies* always go in. There are never more of them than requests in flight, and while the outbox is over
  its limit nothing more is read from the socket, so that no further request can add to them.
"""

from __future__ import annotations


class Outbox:
    """Encoded WebSocket messages on their way to one socket."""

    __slots__ = ("_messages", "_signal_seconds", "_signals", "dropped", "max_bytes", "size")

    def __init__(self, max_bytes: int, signal_seconds: float) -> None:
        self.max_bytes = max_bytes
        self._signal_seconds = signal_seconds
        self._messages: list[bytes] = []
        self._signals: dict[str, tuple[float, bytes]] = {}  # key: (when it is too old, message)
        self.size = 0
        """Bytes waiting here."""
        self.dropped = 0
        """Signals dropped since the connection began."""

    def __bool__(self) -> bool:
        return bool(self._messages or self._signals)

    def over(self, in_transport: int) -> bool:
        """Whether the limit is reached, with ``in_transport`` bytes waiting in the transport's buffer."""
        return self.size + in_transport >= self.max_bytes

    def fits(self, size: int, in_transport: int) -> bool:
        """Whether ``size`` more bytes stay within the limit; anything fits into what is empty."""
        waiting = self.size + in_transport
        return waiting == 0 or waiting + size <= self.max_bytes

    def put(self, message: bytes) -> None:
        """A reply, or an event that was found to fit."""
        self._messages.append(message)
        self.size += len(message)

    def put_signal(self, key: str, message: bytes, in_transport: int, now: float) -> None:
        """A signal; it takes the place of the waiting one with the same ``key``."""
        replaced = self._signals.pop(key, None)
        if replaced is not None:
            self.size -= len(replaced[1])
            self.dropped += 1
        if self.fits(len(message), in_transport):
            self._signals[key] = (now + self._signal_seconds, message)
            self.size += len(message)
        else:
            self.dropped += 1

    def take(self, now: float, max_bytes: int) -> bytes:
        """The next messages, joined, up to ``max_bytes`` or one message; empty when nothing waits."""
        if not self._signals and self.size <= max_bytes:
            joined = b"".join(self._messages)
            self._messages.clear()
            self.size = 0
            return joined
        return self._take_some(now, max_bytes)

    def clear(self) -> None:
        """Forget everything that waits: the connection is being closed."""
        self._messages.clear()
        self._signals.clear()
        self.size = 0

    def _take_some(self, now: float, max_bytes: int) -> bytes:
        count, size = 0, 0
        for message in self._messages:
            if count and size + len(message) > max_bytes:
                break
            count, size = count + 1, size + len(message)
        taken = self._messages[:count]
        del self._messages[:count]
        if not self._messages:
            taken += self._take_signals(now, max_bytes - size)
        joined = b"".join(taken)
        self.size -= len(joined)
        return joined

    def _take_signals(self, now: float, max_bytes: int) -> list[bytes]:
        """Signals come last, so that an old one can still be replaced while events are read."""
        taken: list[bytes] = []
        for key, (too_old, message) in list(self._signals.items()):
            if too_old > now and taken and len(message) > max_bytes:
                break
            del self._signals[key]
            if too_old > now:
                taken.append(message)
                max_bytes -= len(message)
            else:
                self.size -= len(message)
                self.dropped += 1
        return taken
