"""UDP in batches: many datagrams per system call (`recvmmsg`, `sendmmsg`), without a compiler.

`BatchPort` calls the C library through cffi's ABI mode. `PlainPort` does the same with one system call per
datagram, for systems without those calls, and as the oracle in tests. Both only ever touch one non-blocking
socket; when the kernel takes no more, datagrams are dropped and counted, as on any full link.
"""

import errno
import socket
from typing import Any, Final, Protocol

from cffi import FFI

from rtc.address import IPV4_BYTES, IPV6_BYTES, Address, from_tuple, to_tuple
from rtc.slots import MAX_DATAGRAM_BYTES, SLOT_BYTES, Outbox, Slots

RECEIVE_BATCH: Final = 64
"Datagrams per turn of the loop at most, so that control work does not wait for long."
SEND_BATCH: Final = 256

_ADDRESS_STRIDE: Final = 32

_ffi = FFI()
_ffi.cdef(
    """
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr {
        void *msg_name; unsigned int msg_namelen;
        struct iovec *msg_iov; size_t msg_iovlen;
        void *msg_control; size_t msg_controllen;
        int msg_flags;
    };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    int recvmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags, void *timeout);
    int sendmmsg(int fd, struct mmsghdr *messages, unsigned int count, int flags);
    """
)


class Port(Protocol):
    """A non-blocking UDP socket. Both implementations behave alike; one suite of tests runs against both."""

    inbox: Slots
    "What the last `receive` brought, in order."
    outbox: Outbox

    def receive(self) -> list[tuple[int, Address]]:
        """Fill the inbox: length and source of at most `RECEIVE_BATCH` datagrams, none when none waits.

        A datagram longer than `MAX_DATAGRAM_BYTES` has a length above that, and its content is cut off.
        """


def open_port(sock: socket.socket) -> Port:
    """The best port for this system."""
    return BatchPort(sock) if _has_batch_calls() else PlainPort(sock)


def _has_batch_calls() -> bool:
    library = _ffi.dlopen(None)
    return hasattr(library, "recvmmsg") and hasattr(library, "sendmmsg")


class BatchPort:
    """Linux and FreeBSD."""

    def __init__(self, sock: socket.socket) -> None:
        self.inbox = Slots(RECEIVE_BATCH)
        self.outbox = Outbox(SEND_BATCH, self._transmit)
        self._fd = sock.fileno()
        self._libc: Any = _ffi.dlopen(None)
        self._address_bytes = IPV4_BYTES if sock.family == socket.AF_INET else IPV6_BYTES
        # One byte more than is accepted tells a datagram that is too long from one that just fits.
        self._received = _Messages(self.inbox, self._address_bytes, MAX_DATAGRAM_BYTES + 1)
        self._sent = _Messages(self.outbox.slots, self._address_bytes, SLOT_BYTES)

    def receive(self) -> list[tuple[int, Address]]:
        messages = self._received
        count = self._libc.recvmmsg(self._fd, messages.headers, RECEIVE_BATCH, 0, _ffi.NULL)
        if count <= 0:
            # A pending error of an earlier send (ICMP) is reported here once; it is nobody's in particular.
            return []
        names, lengths, size = messages.names, messages.lengths, self._address_bytes
        step = messages.lengths_step
        first = messages.lengths_first
        return [
            (lengths[first + i * step], names[i * _ADDRESS_STRIDE : i * _ADDRESS_STRIDE + size])
            for i in range(count)
        ]

    def _transmit(self, outbox: Outbox) -> None:
        messages = self._sent
        names, vectors, size = messages.names, messages.vectors, self._address_bytes
        for i, (length, target) in enumerate(outbox.pending):
            vectors[2 * i + 1] = length
            names[i * _ADDRESS_STRIDE : i * _ADDRESS_STRIDE + size] = target
        total = len(outbox.pending)
        at = 0
        while at < total:
            sent = self._libc.sendmmsg(self._fd, messages.headers + at, total - at, 0)
            if sent > 0:
                at += sent
            elif _ffi.errno in (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS):
                outbox.dropped += total - at
                return
            elif _ffi.errno != errno.EINTR:
                # The fault lies with the first datagram or its target: the others go on.
                outbox.dropped += 1
                at += 1


class _Messages:
    """The kernel's headers for a set of slots, set up once: only lengths and addresses change."""

    def __init__(self, slots: Slots, address_bytes: int, room: int) -> None:
        self.headers: Any = _ffi.new("struct mmsghdr[]", slots.count)
        self._names: Any = _ffi.new("uint8_t[]", slots.count * _ADDRESS_STRIDE)
        self._vectors: Any = _ffi.new("struct iovec[]", slots.count)
        for i in range(slots.count):
            self._vectors[i].iov_base = slots.pointers[i]
            self._vectors[i].iov_len = room
            header = self.headers[i].msg_hdr
            header.msg_name = self._names + i * _ADDRESS_STRIDE
            header.msg_namelen = address_bytes
            header.msg_iov = self._vectors + i
            header.msg_iovlen = 1
        self.names: Any = _ffi.buffer(self._names)
        # `struct iovec` is a pointer and a `size_t`, which is an `unsigned long` wherever these calls exist.
        self.vectors = memoryview(_ffi.buffer(self._vectors)).cast("B").cast("L")
        self.lengths = memoryview(_ffi.buffer(self.headers)).cast("B").cast("I")
        self.lengths_step = _ffi.sizeof("struct mmsghdr") // 4
        self.lengths_first = _ffi.offsetof("struct mmsghdr", "msg_len") // 4


class PlainPort:
    """Any system."""

    def __init__(self, sock: socket.socket) -> None:
        self.inbox = Slots(RECEIVE_BATCH)
        self.outbox = Outbox(SEND_BATCH, self._transmit)
        self._socket = sock

    def receive(self) -> list[tuple[int, Address]]:
        received: list[tuple[int, Address]] = []
        family = self._socket.family
        while len(received) < RECEIVE_BATCH:
            start = len(received) * SLOT_BYTES
            room = self.inbox.view[start : start + MAX_DATAGRAM_BYTES + 1]
            try:
                length, source = self._socket.recvfrom_into(room)
            except OSError:
                # Nothing waits, or a pending error of an earlier send (ICMP).
                break
            received.append((length, from_tuple(family, source)))
        return received

    def _transmit(self, outbox: Outbox) -> None:
        for i, (length, target) in enumerate(outbox.pending):
            start = i * SLOT_BYTES
            try:
                self._socket.sendto(outbox.slots.view[start : start + length], to_tuple(target))
            except OSError:
                outbox.dropped += 1
