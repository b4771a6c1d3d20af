"""Preallocated room for datagrams: what Python reads and writes, libsrtp encrypts and the kernel transfers.

The three see the same memory, so a packet is not copied between them, and nothing is allocated per packet.
"""

from collections.abc import Callable
from typing import Any, Final

from cffi import FFI

from rtc.address import Address
from rtc.srtp import TRAILER_BYTES, Pointer

SLOT_BYTES: Final = 2048
"Distance between two datagrams in the buffer, bytes."

MAX_DATAGRAM_BYTES: Final = 1600
"""Longest datagram that is accepted, bytes: above the MTU of an Ethernet with its encapsulations. A longer
one is dropped whole."""

FFI_TYPES: Final = FFI()


class Slots:
    """`count` slots; slot `i` lies at `i * SLOT_BYTES` of `view`."""

    __slots__ = ("bytes_of", "count", "memory", "pointers", "view")

    def __init__(self, count: int) -> None:
        self.count = count
        self.memory: Any = FFI_TYPES.new("uint8_t[]", count * SLOT_BYTES)
        self.view = memoryview(FFI_TYPES.buffer(self.memory)).cast("B")
        self.bytes_of: Any = FFI_TYPES.buffer(self.memory)
        "Slices of this are `bytes`; three times as fast as by way of `view`."
        self.pointers: list[Pointer] = [self.memory + i * SLOT_BYTES for i in range(count)]


class Outbox:
    """Datagrams that wait for the end of the batch. Full: the batch ends early, nothing is lost by it.

    `claim()` a slot, write into it, then `commit` it; or `push` finished bytes.
    """

    __slots__ = ("_transmit", "dropped", "pending", "sent", "sent_bytes", "slots")

    def __init__(self, capacity: int, transmit: Callable[["Outbox"], None]) -> None:
        self.slots = Slots(capacity)
        self.pending: list[tuple[int, Address]] = []
        "Length and target of the datagrams in the slots, from the first on."
        self.sent = 0
        "Datagrams handed to the network; those it did not take are in `dropped` too."
        self.sent_bytes = 0
        self.dropped = 0
        self._transmit = transmit

    def claim(self) -> int:
        """The number of a free slot; it stays free until `commit`."""
        if len(self.pending) == self.slots.count:
            self.flush()
        return len(self.pending)

    def commit(self, length: int, target: Address) -> None:
        """Queue what was written into the slot that was claimed last."""
        self.pending.append((length, target))

    def push(self, datagram: bytes, target: Address) -> None:
        """Queue a datagram of at most `MAX_DATAGRAM_BYTES` plus the trailer of SRTP."""
        if len(datagram) > MAX_DATAGRAM_BYTES + TRAILER_BYTES:
            raise ValueError("datagram too long for a slot")
        start = self.claim() * SLOT_BYTES
        self.slots.view[start : start + len(datagram)] = datagram
        self.pending.append((len(datagram), target))

    def flush(self) -> None:
        """Hand everything to the network."""
        if self.pending:
            self.sent += len(self.pending)
            self.sent_bytes += sum([length for length, _ in self.pending])
            self._transmit(self)
            self.pending.clear()
