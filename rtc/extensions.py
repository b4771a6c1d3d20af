"""RTP header extensions (RFC 8285) handed from one person's numbering to another's.

An extension is passed on only if both sides negotiated it. What is not is overwritten with padding, so that
the packet keeps its length and the payload its place.
"""

from collections.abc import Mapping
from struct import Struct

from rtc.rtp import extension_offset

_BLOCK = Struct("!HH")
_ONE_BYTE = 0xBEDE
_TWO_BYTE = 0x1000


class ExtensionMap:
    """From the extensions of a publisher to those of a subscriber."""

    __slots__ = ("_ids", "is_identity")

    def __init__(self, publisher: Mapping[int, str], subscriber: Mapping[int, str]) -> None:
        wanted = {uri: number for number, uri in subscriber.items()}
        self._ids = {number: wanted[uri] for number, uri in publisher.items() if uri in wanted}
        self.is_identity = dict(publisher) == dict(subscriber)
        """Nothing needs rewriting. An id that neither side negotiated is passed on then: the subscriber
        ignores it (RFC 8285, section 4.1.2)."""

    def rewrite(self, packet: memoryview) -> bool:
        """Renumber in place; `packet` is a plain RTP packet with the extension bit set.

        Returns False, with the packet in an undefined state, when the block reaches beyond the packet.
        """
        at = extension_offset(packet[0])
        if at + 4 > len(packet):
            return False
        profile, words = _BLOCK.unpack_from(packet, at)
        start, end = at + 4, at + 4 + 4 * words
        if end > len(packet):
            return False
        if profile == _ONE_BYTE:
            self._rewrite_one_byte(packet[start:end])
        elif profile & 0xFFF0 == _TWO_BYTE:
            self._rewrite_two_byte(packet[start:end])
        else:
            packet[start:end] = bytes(end - start)
        return True

    def _rewrite_one_byte(self, block: memoryview) -> None:
        at = 0
        while at < len(block):
            head = block[at]
            if head == 0:
                at += 1
                continue
            end = at + 2 + (head & 0x0F)
            new = self._ids.get(head >> 4, 0)
            if head >> 4 == 15 or end > len(block):
                # RFC 8285, section 4.2: id 15 ends the processing of the block.
                block[at:] = bytes(len(block) - at)
                return
            if new:
                block[at] = new << 4 | head & 0x0F
            else:
                block[at:end] = bytes(end - at)
            at = end

    def _rewrite_two_byte(self, block: memoryview) -> None:
        at = 0
        while at < len(block):
            if block[at] == 0:
                at += 1
                continue
            end = at + 2 + block[at + 1] if at + 1 < len(block) else len(block) + 1
            if end > len(block):
                block[at:] = bytes(len(block) - at)
                return
            new = self._ids.get(block[at], 0)
            if new:
                block[at] = new
            else:
                block[at:end] = bytes(end - at)
            at = end


def find(packet: memoryview, number: int) -> bytes | None:
    """The value of extension `number` (1 to 14) of an RTP packet in the one-byte form, or None."""
    if not packet[0] & 0x10:
        return None
    at = extension_offset(packet[0])
    if at + 4 > len(packet):
        return None
    profile, words = _BLOCK.unpack_from(packet, at)
    at, end = at + 4, at + 4 + 4 * words
    if profile != _ONE_BYTE or end > len(packet):
        return None
    while at < end:
        head = packet[at]
        if head >> 4 == 15:
            return None
        after = at + 1 if head == 0 else at + 2 + (head & 0x0F)
        if head >> 4 == number and after <= end:
            return bytes(packet[at + 1 : after])
        at = after
    return None
