"""The worker process: one UDP socket, one control channel, one loop around `rtc.engine`.

    python -m rtc.worker --control-fd N --options JSON

It ends when its control channel does, so that it never outlives signaling, and on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import datetime
import gc
import secrets
import signal
import socket
import string
import sys
import time
from collections.abc import Sequence
from typing import Final, cast

import msgspec
import uvloop

from rtc import control
from rtc.datagrams import RECEIVE_BATCH, Port, open_port
from rtc.dtls import Certificate
from rtc.engine import TICK_SECONDS, Engine
from rtc.errors import ControlError

SOCKET_BUFFER_BYTES: Final = 4 << 20
"Asked of the kernel for both directions: about a quarter of a second at 100 Mbit/s. It may grant less."

BATCHES_PER_TURN: Final = 4
"Then the loop gets to see the control channel and timers, even if more datagrams wait."

MAX_CONTROL_BACKLOG_BYTES: Final = 4 << 20
"What signaling has not read yet. Full: signaling is as good as gone, and the worker ends."

_INTERNET: Final = ((socket.AF_INET6, "2001:db8::1"), (socket.AF_INET, "192.0.2.1"))
"Addresses out there, of ranges that are kept for documentation (RFC 3849, RFC 5737)."

_ICE_CHARS: Final = string.ascii_letters + string.digits + "+/"


class SystemEntropy:
    """Random values of the operating system."""

    def number(self) -> int:
        return secrets.randbits(32)

    def token(self, length: int) -> str:
        return "".join(secrets.choice(_ICE_CHARS) for _ in range(length))


class Worker(asyncio.Protocol):
    """Carries datagrams and control messages between the sockets and the engine."""

    def __init__(self, options: control.WorkerOptions, sock: socket.socket) -> None:
        self.closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._port: Port = open_port(sock)
        self._certificate = Certificate(datetime.datetime.now(datetime.UTC))
        self._udp_port: int = sock.getsockname()[1]
        self._frames = control.FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self._engine = Engine(
            options,
            self._certificate,
            tuple((address, self._udp_port) for address in announced(options)),
            inbox=self._port.inbox,
            outbox=self._port.outbox,
            entropy=SystemEntropy(),
            emit=self._send,
            cpu_seconds=time.process_time,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio's, but are stream transports all the same.
        self._transport = cast(asyncio.Transport, transport)
        self._send(control.Ready(self._udp_port, self._certificate.fingerprint.value))
        self._loop.add_reader(self._sock.fileno(), self._receive)
        self._tick()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        try:
            requests = [control.decode_request(body) for body in self._frames.feed(data)]
        except ControlError as error:
            # Both ends are ours: this is a defect, and what would follow cannot be trusted.
            print(f"media worker: {error.name}: {error.detail}", file=sys.stderr)  # noqa: T201  # no logger here
            self.closed.set()
            return
        for request in requests:
            self._send(self._engine.handle(request, self._loop.time()))
        self._port.outbox.flush()

    def _receive(self) -> None:
        for _ in range(BATCHES_PER_TURN):
            datagrams = self._port.receive()
            if datagrams:
                self._engine.receive(datagrams, self._loop.time())
                self._port.outbox.flush()
            if len(datagrams) < RECEIVE_BATCH:
                return

    def _tick(self) -> None:
        if self.closed.is_set():
            return
        self._loop.call_later(TICK_SECONDS, self._tick)
        self._engine.tick(self._loop.time())
        self._port.outbox.flush()

    def _send(self, message: control.Message) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > MAX_CONTROL_BACKLOG_BYTES:
            self.closed.set()
            return
        self._transport.write(control.encode(message))


def announced(options: control.WorkerOptions) -> tuple[str, ...]:
    """The addresses for candidates: those of the options, or else the one that the worker listens on.

    For a wildcard they are those that packets to the internet would leave from.
    """
    if options.announce:
        return options.announce
    if options.host == "0.0.0.0":  # noqa: S104  # compared, not bound
        return _outward_addresses(_INTERNET[1:]) or ("127.0.0.1",)
    if options.host == "::":
        return _outward_addresses(_INTERNET) or ("::1", "127.0.0.1")
    return (options.host,)


def _outward_addresses(targets: Sequence[tuple[socket.AddressFamily, str]]) -> tuple[str, ...]:
    found = []
    for family, target in targets:
        with socket.socket(family, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.connect((target, 9))  # asks the routing table; nothing is sent
            found.append(probe.getsockname()[0])
    return tuple(found)


def open_socket(options: control.WorkerOptions) -> socket.socket:
    """The UDP socket of the options, non-blocking. Raises `OSError` when the port is in use."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        sock.bind((options.host, options.port))
    except OSError:
        sock.close()
        raise
    return sock


async def serve(options: control.WorkerOptions, channel: socket.socket) -> None:
    """Work until the channel closes or SIGTERM comes."""
    loop = asyncio.get_running_loop()
    with open_socket(options) as sock:
        worker = Worker(options, sock)
        loop.add_signal_handler(signal.SIGTERM, worker.closed.set)
        # The terminal sends this to the whole group; when to end is signaling's decision.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        transport, _ = await loop.connect_accepted_socket(lambda: worker, channel)
        # What exists now lives as long as the process: the collector need not look at it again.
        gc.freeze()
        await worker.closed.wait()
        loop.remove_reader(sock.fileno())
        transport.close()


def main(arguments: list[str] | None = None) -> int:
    """Run a worker; 0 when it was ended from outside."""
    parser = argparse.ArgumentParser(prog="python -m rtc.worker")
    parser.add_argument("--control-fd", type=int, required=True)
    parser.add_argument("--options", required=True)
    parsed = parser.parse_args(arguments)
    options = msgspec.json.decode(parsed.options, type=control.WorkerOptions)
    channel = socket.socket(fileno=parsed.control_fd)
    channel.setblocking(False)
    try:
        uvloop.run(serve(options, channel))
    except OSError as error:
        print(f"media worker: cannot listen: {error.strerror}", file=sys.stderr)  # noqa: T201  # no logger here
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
