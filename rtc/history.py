"""Packets that were sent to one subscriber, kept for retransmission (RFC 4585, section 6.2.1).

Kept as they were sent: encrypted. Resending the very bytes costs no encryption, and never puts a second
packet under an SRTP index that was used, which AES-GCM does not forgive.
"""

from typing import Final

SIZE: Final = 512
"Packets per video stream: about a second at 4 Mbit/s. Full: the oldest goes."

MAX_RESENDS_PER_SECOND: Final = 500
"Per stream: who asks for more has a link that retransmission would only choke further."


class History:
    """The last `SIZE` packets by sequence number."""

    __slots__ = ("_budget", "_packets", "_refilled_at")

    def __init__(self) -> None:
        self._packets: list[bytes] = [b""] * SIZE
        self._budget = float(MAX_RESENDS_PER_SECOND)
        self._refilled_at = 0.0

    def remember(self, sequence: int, packet: bytes) -> None:
        """Keep a protected packet."""
        self._packets[sequence % SIZE] = packet

    def recall(self, sequence: int, now: float) -> bytes | None:
        """The packet with this number, or None when it is not there.

        Empty when it is there but has to stay unsent, because the stream is over its budget.
        """
        packet = self._packets[sequence % SIZE]
        # The number stands in clear in an SRTP packet, which tells a packet from its successor in the slot.
        if packet[2:4] != sequence.to_bytes(2, "big"):
            return None
        earned = (now - self._refilled_at) * MAX_RESENDS_PER_SECOND
        self._budget = min(self._budget + earned, MAX_RESENDS_PER_SECOND)
        self._refilled_at = now
        if self._budget < 1:
            return b""
        self._budget -= 1
        return packet
