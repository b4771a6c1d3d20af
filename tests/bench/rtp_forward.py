"""What a forwarded RTP packet costs the media worker: CPU of the process, user and system, in microseconds.

Two synthetic peers are connected to a real worker (ICE, DTLS), and 1,100-byte video packets go from one to
the other as fast as the worker takes them, with a bounded number under way so that none is lost. Beside it
stands what the machine costs at least: the same datagrams through bare sockets in batches, and their AES-GCM.
Each figure is the best of several rounds, as other work on the machine can only add to it. Run alone with
``python -m tests.bench.rtp_forward``.
"""

from __future__ import annotations

import asyncio
import socket
import time
from dataclasses import dataclass

from rtc.address import from_tuple
from rtc.client import MediaWorker
from rtc.control import WorkerOptions
from rtc.datagrams import BatchPort
from rtc.rtp import HEADER
from rtc.slots import SLOT_BYTES, Outbox, Slots
from rtc.srtp import PROFILES, SrtpContext
from tests.bench import Measurement
from tests.rtc.synthetic import SyntheticPeer

PACKET_BYTES = 1100
"""RTP header and payload, before encryption."""
UNDER_WAY = 192
"""Packets sent and not yet received."""
BURST = 32
ROUNDS = 5


def measure(seconds: float = 5.0) -> dict[str, Measurement]:
    """The figures by name. Raises `RuntimeError` when a packet was lost."""
    each = seconds / ROUNDS
    forwarded = asyncio.run(_forward(each))
    limit = min(_bare_datagram(each / 2) for _ in range(ROUNDS)) + min(_bare_crypto() for _ in range(ROUNDS))
    return {"rtp.forward_1to1": Measurement(forwarded, "us", limit)}


@dataclass
class Connected:
    """A synthetic peer with its socket, connected to a worker."""

    peer: SyntheticPeer
    port: BatchPort
    sock: socket.socket


async def _forward(seconds: float) -> float:
    worker = MediaWorker(WorkerOptions(), on_event=lambda _: None, on_exit=lambda: None)
    await worker.start()
    try:
        sender, receiver = SyntheticPeer("sender"), SyntheticPeer("receiver")
        for peer in (sender, receiver, sender):
            peer.accept(await worker.offer("bench", 1, peer.name, peer.offer()))
        source = await asyncio.to_thread(_connect, sender, worker.port)
        target = await asyncio.to_thread(_connect, receiver, worker.port)
        load = Load(source, target, worker.port)
        rounds = [await _round(worker, load, seconds) for _ in range(ROUNDS + 1)]
        stats = await worker.stats()
        if stats.dropped:
            raise RuntimeError(f"the worker dropped packets: {stats.dropped}")
        return min(rounds)
    finally:
        await worker.stop()


async def _round(worker: MediaWorker, load: Load, seconds: float) -> float:
    """Microseconds of the worker per packet."""
    before = (await worker.stats()).cpu_seconds
    packets = await asyncio.to_thread(load.saturate, seconds)
    return ((await worker.stats()).cpu_seconds - before) / packets * 1e6


def _connect(peer: SyntheticPeer, port: int) -> Connected:
    """Check, handshake, and be ready to send and receive."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    sock.bind(("127.0.0.1", 0))
    sock.connect(("127.0.0.1", port))
    sock.settimeout(5)
    sock.send(peer.check())
    if not peer.is_success(sock.recv(2048)):
        raise RuntimeError("the check was not answered")
    outgoing = peer.start_dtls()
    while peer.sending is None:
        for datagram in outgoing:
            sock.send(datagram)
        outgoing = peer.receive_dtls(sock.recv(2048))
    for datagram in outgoing:
        sock.send(datagram)
    sock.setblocking(False)
    return Connected(peer, BatchPort(sock), sock)


class Load:
    """Sends packets from one peer to the other and counts what arrives."""

    def __init__(self, source: Connected, target: Connected, port: int) -> None:
        self.source = source
        self.target = target
        profile = next(p for p in PROFILES if p.openssl_name == source.peer.profile.openssl_profile)
        self._srtp = SrtpContext(profile, source.peer.sending_key, inbound=False)
        self._address = from_tuple(socket.AF_INET, ("127.0.0.1", port))
        self._ssrc = source.peer.media[1].ssrc
        self._sent = 0
        self._received = 0

    def saturate(self, seconds: float) -> int:
        """Keep the worker busy; the number of packets forwarded."""
        before = self._received
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._sent - self._received <= UNDER_WAY - BURST:
                self._send(BURST)
            self._drain()
        self._drain_all()
        return self._received - before

    def _send(self, count: int) -> None:
        outbox = self.source.port.outbox
        for _ in range(count):
            slot = outbox.claim()
            view, start = outbox.slots.view, slot * SLOT_BYTES
            self._sent += 1
            HEADER.pack_into(view, start, 0x80, 96, self._sent & 0xFFFF, self._sent * 90, self._ssrc)
            size = self._srtp.protect(outbox.slots.pointers[slot], PACKET_BYTES)
            outbox.commit(size, self._address)
        outbox.flush()

    def _drain(self) -> None:
        # Media alone: reports come to the target, too.
        view = self.target.port.inbox.view
        for slot, (length, _) in enumerate(self.target.port.receive()):
            self._received += length > PACKET_BYTES and view[slot * SLOT_BYTES + 1] == 96
        self.source.port.receive()

    def _drain_all(self) -> None:
        end = time.monotonic() + 2
        while self._received < self._sent:
            if time.monotonic() > end:
                raise RuntimeError(f"{self._sent - self._received} of {self._sent} packets were lost")
            self._drain()


def _bare_datagram(seconds: float) -> float:
    """Receive and send a datagram in batches, nothing else: microseconds of CPU."""
    outside, inside = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with outside, inside:
        for sock in (outside, inside):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
        feeder, port = BatchPort(outside), BatchPort(inside)
        target = from_tuple(socket.AF_INET, inside.getsockname())
        back = from_tuple(socket.AF_INET, outside.getsockname())
        spent, count = 0.0, 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            _fill(feeder.outbox, target)
            before = time.thread_time()
            received = port.receive()
            for _ in received:
                port.outbox.commit(PACKET_BYTES, back)
            port.outbox.flush()
            spent += time.thread_time() - before
            count += len(received)
            while feeder.receive():
                pass
        return spent / count * 1e6


def _fill(outbox: Outbox, target: bytes) -> None:
    for _ in range(64):
        outbox.claim()
        outbox.commit(PACKET_BYTES, target)
    outbox.flush()


def _bare_crypto(rounds: int = 400) -> float:
    """Decrypt and encrypt a packet with AES-128-GCM in place: microseconds of CPU."""
    key = bytes(range(28))
    slots = Slots(64)
    outbound, inbound = (SrtpContext(PROFILES[0], key, inbound=inbound) for inbound in (False, True))
    spent = 0.0
    for number in range(rounds):
        for slot in range(slots.count):
            HEADER.pack_into(
                slots.view, slot * SLOT_BYTES, 0x80, 96, number * slots.count + slot & 0xFFFF, 0, 1
            )
        before = time.thread_time()
        for pointer in slots.pointers:
            inbound.unprotect(pointer, outbound.protect(pointer, PACKET_BYTES))
        spent += time.thread_time() - before
    return spent / (rounds * slots.count) * 1e6


def main() -> None:
    """Print the figures."""
    for name, measurement in measure().items():
        print(f"{name}: {measurement.value:.1f} us, limit {measurement.limit:.1f} us")


if __name__ == "__main__":
    main()
