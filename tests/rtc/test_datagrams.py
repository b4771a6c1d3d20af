"""Both ports over real sockets on loopback; one suite for the two."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest

from rtc.address import from_tuple, to_tuple
from rtc.datagrams import RECEIVE_BATCH, BatchPort, PlainPort, Port, open_port
from rtc.slots import MAX_DATAGRAM_BYTES, SLOT_BYTES, Outbox

MakePort: TypeAlias = Callable[[socket.socket], Port]


@pytest.fixture(params=[BatchPort, PlainPort])
def make_port(request: pytest.FixtureRequest) -> MakePort:
    made: MakePort = request.param
    return made


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["ipv4", "ipv6"])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    family, host = request.param
    with socket.socket(family, socket.SOCK_DGRAM) as ours, socket.socket(family, socket.SOCK_DGRAM) as theirs:
        for sock in (ours, theirs):
            sock.bind((host, 0))
            sock.setblocking(False)
        yield ours, theirs


def arrives(sock: socket.socket) -> None:
    assert select.select([sock], [], [], 10)[0]


def receive_all(port: Port, sock: socket.socket, count: int) -> list[tuple[bytes, tuple[str, int]]]:
    received: list[tuple[bytes, tuple[str, int]]] = []
    while len(received) < count:
        arrives(sock)
        batch = port.receive()
        assert 0 < len(batch) <= RECEIVE_BATCH
        for slot, (length, source) in enumerate(batch):
            start = slot * SLOT_BYTES
            received.append((port.inbox.bytes_of[start : start + length], to_tuple(source)))
    return received


def test_datagrams_come_in_with_their_sources(
    make_port: MakePort, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    port = make_port(ours)
    assert port.receive() == []
    sent = [bytes((n,)) * n for n in range(100)]
    for data in sent:
        theirs.sendto(data, ours.getsockname())
    source = theirs.getsockname()[:2]
    assert receive_all(port, ours, len(sent)) == [(data, source) for data in sent]
    assert port.receive() == []


def test_a_datagram_that_is_too_long_is_known_as_such(
    make_port: MakePort, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    port = make_port(ours)
    for size in (MAX_DATAGRAM_BYTES, MAX_DATAGRAM_BYTES + 1, 9000):
        theirs.sendto(bytes(size), ours.getsockname())
    lengths = [len(data) for data, _ in receive_all(port, ours, 3)]
    assert lengths == [MAX_DATAGRAM_BYTES, MAX_DATAGRAM_BYTES + 1, MAX_DATAGRAM_BYTES + 1]


def test_datagrams_go_out_in_order_and_when_the_outbox_is_full(
    make_port: MakePort, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    port = make_port(ours)
    target = from_tuple(ours.family, theirs.getsockname())
    count = port.outbox.slots.count + 20
    received: list[bytes] = []
    for n in range(count):
        port.outbox.push(n.to_bytes(2, "big"), target)
        if n == port.outbox.slots.count:
            received += [theirs.recv(100) for _ in range(port.outbox.slots.count)]
    port.outbox.flush()
    port.outbox.flush()
    received += [theirs.recv(100) for _ in range(20)]
    assert received == [n.to_bytes(2, "big") for n in range(count)]
    assert (port.outbox.sent, port.outbox.sent_bytes, port.outbox.dropped) == (count, 2 * count, 0)


def test_one_target_that_cannot_be_reached_stops_nobody_else(
    make_port: MakePort, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    port = make_port(ours)
    good = from_tuple(ours.family, theirs.getsockname())
    host = "127.0.0.1" if ours.family == socket.AF_INET else "::1"
    nowhere = from_tuple(ours.family, (host, 0))  # nothing can be sent to port 0
    for target in (nowhere, good, nowhere, nowhere, good):
        port.outbox.push(b"data", target)
    port.outbox.flush()
    assert [theirs.recv(100) for _ in range(2)] == [b"data", b"data"]
    assert port.outbox.dropped == 3


def test_a_closed_port_at_the_other_end_is_no_error(
    make_port: MakePort, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, theirs = pair
    port = make_port(ours)
    with socket.socket(ours.family, socket.SOCK_DGRAM) as gone:
        gone.bind((ours.getsockname()[0], 0))
        target = from_tuple(ours.family, gone.getsockname())
    for _ in range(3):
        port.outbox.push(b"data", target)
        port.outbox.flush()
    theirs.sendto(b"still here", ours.getsockname())
    assert receive_all(port, ours, 1)[0][0] == b"still here"


class FullSocket:
    """A C library whose kernel takes a few datagrams and then no more."""

    def __init__(self, takes: list[int]) -> None:
        self.takes = takes

    def sendmmsg(self, fd: int, headers: Any, count: int, flags: int) -> int:
        taken = self.takes.pop(0)
        if taken < 0:
            import rtc.datagrams  # errno of cffi is set where it is read

            rtc.datagrams._ffi.errno = -taken
            return -1
        return min(taken, count)


@pytest.mark.parametrize(
    ("takes", "dropped"),
    [
        ([5], 0),
        ([2, -errno.EAGAIN], 3),
        ([-errno.ENOBUFS], 5),
        ([2, -errno.EINTR, 3], 0),
        ([2, -errno.EPERM, 2], 1),
    ],
)
def test_what_the_kernel_does_not_take_is_dropped_and_counted(takes: list[int], dropped: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        port = BatchPort(sock)
        port._libc = FullSocket(takes)
        for _ in range(5):
            port.outbox.push(b"data", from_tuple(socket.AF_INET, ("127.0.0.1", 9)))
        port.outbox.flush()
        assert port.outbox.dropped == dropped
        assert takes == []


def test_this_system_has_the_fast_port() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        assert isinstance(open_port(sock), BatchPort)


def test_a_datagram_that_fits_no_slot_is_a_defect_of_the_caller() -> None:
    outbox = Outbox(1, lambda _: None)
    with pytest.raises(ValueError, match="too long"):
        outbox.push(bytes(SLOT_BYTES), b"")
