"""A cheap WebSocket client for benches: blocking sockets, frames made beforehand, nothing decoded but sizes.

What it saves leaves the machine to the server that is measured.
"""

from __future__ import annotations

import base64
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import pack, unpack_from

import msgpack

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_ROOT = Path(__file__).parents[2]


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_bytes(pid: int) -> int:
    """Memory that a process has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def message(frame: object) -> bytes:
    """A frame as the WebSocket message of a client, masked with zeros."""
    payload: bytes = msgpack.packb(frame)
    size = len(payload)
    head = pack("!BB", 0x82, 0x80 | size) if size < 126 else pack("!BBH", 0x82, 0xFE, size)
    return head + bytes(4) + payload


class Peer:
    """One connection. ``token`` None is for servers that want no ``hello``."""

    def __init__(self, port: int, token: str | None, path: str = "/v1/connect") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        key = base64.b64encode(bytes(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Protocol: rapport.v1.msgpack\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._rest:
            self._rest += self.socket.recv(4096)
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        assert b" 101 " in head, head
        if token is not None:
            self.socket.sendall(message({"op": "hello", "token": token, "device": "bench"}))
            self.until(b"\xa2op\xa7welcome", 1)

    def until(self, kind: bytes, count: int) -> bytes:
        """Read until ``count`` messages of a kind have come; the last of them."""
        return self.until_all({kind: count})

    def until_all(self, kinds: dict[bytes, int]) -> bytes:
        """Read until so many messages of each kind have come; the last of the last kind.

        A kind is what the map in the payload begins with.
        """
        last = b""
        while True:
            for payload in self._messages():
                for kind in kinds:
                    if payload.startswith(kind, 1):
                        kinds[kind] -= 1
                        last = payload
            if max(kinds.values()) <= 0:
                return last
            data = self.socket.recv(1 << 16)
            assert data, "the server has closed the connection"
            self._rest += data

    def messages(self) -> list[bytes]:
        """What has come, whole messages only; waits until something does."""
        data = self.socket.recv(1 << 16)
        assert data, "the server has closed the connection"
        self._rest += data
        return list(self._messages())

    def settle(self) -> None:
        """Read what comes by itself after ``hello``, until nothing more does."""
        self._rest = b""
        self.socket.settimeout(0.2)
        with suppress(TimeoutError):
            while self.socket.recv(1 << 16):
                pass
        self.socket.settimeout(None)

    def waiting(self) -> int:
        """Bytes that have come and are not read."""
        return len(self.socket.recv(1 << 20, socket.MSG_PEEK))

    def read(self, size: int) -> None:
        """Read so many bytes."""
        size -= len(self._rest)
        self._rest = b""
        while size > 0:
            size -= len(self.socket.recv(min(size, 1 << 16)))

    def _messages(self) -> Iterator[bytes]:
        data, at = self._rest, 0
        while len(data) - at >= 2:
            size, begin = data[at + 1], at + 2
            if size == 126:
                if len(data) < at + 4:
                    break
                (size,), begin = unpack_from("!H", data, at + 2), at + 4
            assert size < 1 << 16, "longer messages do not come up in benches"
            if len(data) < begin + size:
                break
            at = begin + size
            yield data[begin:at]
        self._rest = data[at:]


@contextmanager
def process(*command: str, folder: Path, **environment: str) -> Iterator[tuple[int, int]]:
    """A Python server of our own; its process id and the port that its output names last on a line."""
    child = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert child.stdout is not None
        for line in child.stdout:
            if found := re.search(rb"127\.0\.0\.1:(\d+)", line):
                yield child.pid, int(found[1])
                break
        else:
            raise RuntimeError("the server did not start")
    finally:
        child.terminate()
        child.wait()


KEY, SECRET = "bench", "a secret for benches that is long enough"


@contextmanager
def rapport(folder: Path, store_url: str | None = None, **more: str) -> Iterator[tuple[int, int]]:
    """``rapport serve`` on a store, or else on ``bench.db`` in the folder, with limits out of the way.

    ``more`` are variables of its environment.
    """
    settings = {
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": "0",
        "STORE_URL": store_url or f"sqlite:///{folder / 'bench.db'}",
        "TOKENS_KEYS": f"{KEY}={SECRET}",
        "MEDIA_WORKERS": "1",
        "MEDIA_PORT": "0",
        "LIMITS_REQUESTS_PER_SECOND": "1000000",
        "LIMITS_REQUESTS_BURST": "1000000",
        "LIMITS_ACCOUNT_REQUESTS_PER_SECOND": "1000000",
        "LIMITS_ACCOUNT_REQUESTS_BURST": "1000000",
        "LIMITS_PING_SECONDS": "600",
    }
    environment = {f"RAPPORT_{name}": value for name, value in settings.items()} | more
    with process("-m", "signaling.cli", "serve", "--dev", folder=folder, **environment) as started:
        yield started


def send_all(peers: Sequence[Peer], data: bytes) -> None:
    """Send the same to everyone."""
    for peer in peers:
        peer.socket.sendall(data)
