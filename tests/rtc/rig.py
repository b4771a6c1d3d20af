"""An engine with synthetic peers around it, on a wire made of lists and a clock that tests set."""

from __future__ import annotations

import datetime
import itertools
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from rtc import control
from rtc.address import Address, from_tuple
from rtc.demux import KIND_BY_FIRST_BYTE, Kind
from rtc.dtls import Certificate
from rtc.engine import Engine
from rtc.slots import SLOT_BYTES, Outbox, Slots
from tests.rtc.synthetic import SyntheticPeer

SESSION = "session"
CERTIFICATE = Certificate(datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))

EventT = TypeVar("EventT", bound=control.EventMessage)
ReplyT = TypeVar("ReplyT", bound=control.Reply)


def address(number: int) -> Address:
    """A client's address; every number gives another one."""
    return from_tuple(socket.AF_INET, (f"10.0.{number >> 8 & 255}.{number & 255}", 40000))


class CountingEntropy:
    """Never the same value twice, and the same ones in every run."""

    def __init__(self) -> None:
        self._next = itertools.count(0x2000_0000)

    def number(self) -> int:
        return next(self._next)

    def token(self, length: int) -> str:
        return f"{next(self._next):x}".rjust(length, "a")


@dataclass
class Guest:
    """A synthetic peer at an address, and what has come to it, decrypted."""

    peer: SyntheticPeer
    address: Address
    rtp: list[bytes] = field(default_factory=list)
    rtcp: list[bytes] = field(default_factory=list)
    responses: int = 0


class Rig:
    """See the module. `now` is the engine's clock."""

    def __init__(self, **options: object) -> None:
        self.now = 100.0
        self.generation = 1
        self.sent: list[tuple[bytes, Address]] = []
        "What the engine sent and nobody took yet."
        self.events: list[control.EventMessage] = []
        self.guests: dict[str, Guest] = {}
        self.inbox = Slots(64)
        self.outbox = Outbox(16, self._transmit)
        self._ids = itertools.count(1)
        self.engine = Engine(
            control.WorkerOptions(**options),  # type: ignore[arg-type]  # the caller's keywords are its fields
            CERTIFICATE,
            (("127.0.0.1", 5000),),
            inbox=self.inbox,
            outbox=self.outbox,
            entropy=CountingEntropy(),
            emit=self.events.append,
            cpu_seconds=lambda: 1.5,
        )

    def _transmit(self, outbox: Outbox) -> None:
        for slot, (length, target) in enumerate(outbox.pending):
            self.sent.append((outbox.slots.bytes_of[slot * SLOT_BYTES : slot * SLOT_BYTES + length], target))

    def ask(self, request: control.RequestMessage, expected: type[ReplyT]) -> ReplyT:
        """Put a request to the engine, which has to answer in the expected way."""
        reply = self.engine.handle(request, self.now)
        self.outbox.flush()
        assert isinstance(reply, expected), reply
        assert reply.id == request.id
        return reply

    def offer_request(self, name: str, text: str) -> control.Offer:
        """A request with this offer."""
        return control.Offer(next(self._ids), SESSION, self.generation, name, text)

    def offer(self, peer: SyntheticPeer) -> str:
        """Have the engine answer the peer's offer; the text of the answer."""
        answer = self.ask(self.offer_request(peer.name, peer.offer()), control.Answered).sdp
        peer.accept(answer)
        return answer

    def set_modality(self, modality: str) -> None:
        """Change what is forwarded."""
        request = control.SetModality(next(self._ids), SESSION, self.generation, modality)  # type: ignore[arg-type]
        self.ask(request, control.Done)

    def remove(self, name: str) -> None:
        """Take a participant out."""
        self.ask(control.Remove(next(self._ids), SESSION, self.generation, name), control.Done)
        self.deliver()

    def stats(self) -> control.WorkerStats:
        """The engine's totals."""
        return self.ask(control.Stats(next(self._ids)), control.WorkerStats)

    def dropped(self) -> dict[str, int]:
        """What was dropped, by cause."""
        return self.stats().dropped

    def datagram(self, data: bytes, source: Address) -> None:
        """One datagram arrives."""
        self.datagrams([(data, source)])

    def datagrams(self, arriving: Iterable[tuple[bytes, Address]]) -> None:
        """A batch of datagrams arrives; longer than a slot, they are cut as the kernel does."""
        batch = []
        for slot, (data, source) in enumerate(arriving):
            kept = data[:SLOT_BYTES]
            self.inbox.view[slot * SLOT_BYTES : slot * SLOT_BYTES + len(kept)] = kept
            batch.append((len(data), source))
        self.engine.receive(batch, self.now)
        self.outbox.flush()

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        self.engine.tick(self.now)
        self.outbox.flush()
        self.deliver()

    def join(self, peer: SyntheticPeer) -> Guest:
        """Offer, check and shake hands."""
        self.offer(peer)
        guest = self.guests[peer.name] = Guest(peer, address(len(self.guests) + 1))
        self.datagram(peer.check(), guest.address)
        for datagram in peer.start_dtls():
            self.datagram(datagram, guest.address)
        self.deliver()
        return guest

    def call(self, *names: str) -> list[Guest]:
        """Participants who have joined and offered again, so that each receives the others."""
        guests = []
        for number, name in enumerate(names):
            peer = SyntheticPeer(name)
            for section in peer.media:
                assert section.ssrc is not None
                section.ssrc += number << 16
            guests.append(self.join(peer))
        for guest in guests:
            self.offer(guest.peer)
        self.deliver()
        for guest in guests:
            guest.rtp.clear()
            guest.rtcp.clear()
        self.events.clear()
        return guests

    def deliver(self) -> None:
        """Bring what was sent to the guests, and what they answer to the engine, until nothing is left."""
        while self.sent:
            data, target = self.sent.pop(0)
            guest = next((guest for guest in self.guests.values() if guest.address == target), None)
            assert guest is not None, "something was sent to nobody's address"
            self._receive(guest, data)

    def _receive(self, guest: Guest, data: bytes) -> None:
        match KIND_BY_FIRST_BYTE[data[0]]:
            case Kind.STUN:
                assert guest.peer.is_success(data)
                guest.responses += 1
            case Kind.DTLS:
                for answer in guest.peer.receive_dtls(data):
                    self.datagram(answer, guest.address)
            case Kind.MEDIA if 192 <= data[1] <= 223:
                assert guest.peer.receiving is not None
                guest.rtcp.append(guest.peer.receiving.unprotect_rtcp(data))
            case Kind.MEDIA:
                assert guest.peer.receiving is not None
                guest.rtp.append(guest.peer.receiving.unprotect(data))
            case _:
                raise AssertionError("a datagram of no known kind")

    def send_rtp(self, guest: Guest, packet: bytes) -> None:
        """The guest sends a packet."""
        assert guest.peer.sending is not None
        self.datagram(guest.peer.sending.protect(packet), guest.address)
        self.deliver()

    def send_rtcp(self, guest: Guest, compound: bytes) -> None:
        """The guest sends feedback."""
        assert guest.peer.sending is not None
        self.datagram(guest.peer.sending.protect_rtcp(compound), guest.address)
        self.deliver()

    def told(self, kind: type[EventT]) -> list[EventT]:
        """The events of a kind so far."""
        return [event for event in self.events if isinstance(event, kind)]
