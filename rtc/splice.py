"""One outgoing stream made of several incoming ones, without a seam (RFC 3550, section 5.1).

The subscriber sees a single SSRC whose sequence numbers go up by one and whose timestamps follow the clock,
whichever stream they came from and wherever that one's numbers stand or wrap.
"""

from rtc.rtp import U16, U32

_SETTLED = 0x1000
"Packets after which none from before the splice can come any more."


class Splicer:
    """Maps the numbers of the current source to the outgoing ones."""

    __slots__ = (
        "_guarded",
        "_last_at",
        "_source",
        "_start",
        "clock_rate",
        "sequence",
        "sequence_offset",
        "timestamp",
        "timestamp_offset",
    )

    def __init__(self, clock_rate: int, sequence: int, timestamp: int) -> None:
        self.clock_rate = clock_rate
        self.sequence = sequence
        "The newest outgoing number; the first packet gets the one after it."
        self.timestamp = timestamp
        self.sequence_offset = 0
        self.timestamp_offset = 0
        self._source: int | None = None
        self._start = 0
        self._guarded = False
        self._last_at: float | None = None

    @property
    def source(self) -> int | None:
        """The SSRC that is being mapped."""
        return self._source

    def detach(self) -> None:
        """The source pauses or goes: whatever comes next continues the stream as a new source would."""
        self._source = None

    def map(self, ssrc: int, sequence: int, timestamp: int, now: float) -> tuple[int, int] | None:
        """The outgoing sequence number and timestamp, or None for a packet from before the splice."""
        if ssrc != self._source:
            self._begin(ssrc, sequence, timestamp, now)
        elif self._guarded:
            since = (sequence - self._start) & U16
            if since >= 0x8000:
                return None
            self._guarded = since < _SETTLED
        out = (sequence + self.sequence_offset) & U16
        out_timestamp = (timestamp + self.timestamp_offset) & U32
        if 0 < (out - self.sequence) & U16 < 0x8000:
            self.sequence = out
            self.timestamp = out_timestamp
            self._last_at = now
        return out, out_timestamp

    def source_sequence(self, out: int) -> int:
        """The source's number for an outgoing one."""
        return (out - self.sequence_offset) & U16

    def _begin(self, ssrc: int, sequence: int, timestamp: int, now: float) -> None:
        elapsed = 0.0 if self._last_at is None else max(now - self._last_at, 0.001)
        # At least one tick on, or two frames would share a timestamp.
        ahead = max(int(elapsed * self.clock_rate), 1)
        self.sequence_offset = (self.sequence + 1 - sequence) & U16
        self.timestamp_offset = (self.timestamp + ahead - timestamp) & U32
        self._source = ssrc
        self._start = sequence
        self._guarded = True
