"""What the server reports about a stream that it receives (RFC 3550, sections 6.4.1, A.3 and A.8)."""

from dataclasses import dataclass

from rtc.rtp import U16, U32

_RESTART_GAP = 3000
"A jump of more sequence numbers than this is a restart of the sender, not a loss (RFC 3550, MAX_DROPOUT)."


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """One reception report (RFC 3550, section 6.4.1)."""

    ssrc: int
    fraction_lost: int
    "Of the packets since the last report, in 1/256."
    lost: int
    "Since the beginning; may be negative when there are duplicates."
    highest: int
    "Extended highest sequence number."
    jitter: int
    "In units of the stream's clock."
    lsr: int
    "The middle 32 bits of the NTP time of the last sender report, 0 if there was none."
    dlsr: int
    "Delay since then in 1/65536 s."


class Reception:
    """Counts one stream. `now` is seconds."""

    __slots__ = (
        "_base",
        "_cycles",
        "_expected_before",
        "_highest",
        "_jitter",
        "_lsr",
        "_lsr_at",
        "_received_before",
        "_timestamp",
        "_transit",
        "clock_rate",
        "received",
        "ssrc",
    )

    def __init__(self, ssrc: int, clock_rate: int, sequence: int) -> None:
        self.ssrc = ssrc
        self.clock_rate = clock_rate
        self.received = 0
        self._base = self._highest = sequence
        self._cycles = 0
        self._expected_before = self._received_before = 0
        self._timestamp = -1
        self._transit = 0.0
        self._jitter = 0.0
        self._lsr = 0
        self._lsr_at = 0.0

    def receive(self, sequence: int, timestamp: int, now: float) -> None:
        """Count a packet."""
        self.received += 1
        ahead = (sequence - self._highest) & U16
        if ahead < _RESTART_GAP:
            if sequence < self._highest:
                self._cycles += 0x10000
            self._highest = sequence
        elif ahead < 0x8000:
            self._restart(sequence)
        # Only the first packet of a frame: the others share its timestamp but are paced by the sender.
        if timestamp != self._timestamp:
            transit = now * self.clock_rate - timestamp
            if self._timestamp >= 0:
                change = abs(transit - self._transit)
                # A wrap of the timestamp, or a new timeline, is no jitter.
                if change < self.clock_rate * 10:
                    self._jitter += (change - self._jitter) / 16
            self._timestamp = timestamp
            self._transit = transit

    def sender_report(self, ntp: int, now: float) -> None:
        """Remember the 64-bit NTP time of a sender report."""
        self._lsr = (ntp >> 16) & U32
        self._lsr_at = now

    def report(self, now: float) -> ReportBlock:
        """A report block; the next one counts its fraction from here."""
        extended = self._cycles + self._highest
        expected = extended - self._base + 1
        expected_now = expected - self._expected_before
        lost_now = expected_now - (self.received - self._received_before)
        self._expected_before, self._received_before = expected, self.received
        fraction = (lost_now << 8) // expected_now if expected_now > 0 and lost_now > 0 else 0
        return ReportBlock(
            ssrc=self.ssrc,
            fraction_lost=min(fraction, 255),
            lost=max(-0x80_0000, min(expected - self.received, 0x7F_FFFF)),
            highest=extended & U32,
            jitter=int(self._jitter) & U32,
            lsr=self._lsr,
            dlsr=int((now - self._lsr_at) * 65536) & U32 if self._lsr else 0,
        )

    def _restart(self, sequence: int) -> None:
        self._base = self._highest = sequence
        self._cycles = 0
        self.received = 1
        self._expected_before = self._received_before = 0
