"""Socket addresses as the bytes that the kernel uses for them, which makes them cheap keys and targets.

The layout is Linux's `sockaddr_in` (16 bytes) and `sockaddr_in6` (28 bytes).
"""

import socket
import sys
from typing import Final, TypeAlias

Address: TypeAlias = bytes
"A raw socket address; equal addresses are equal bytes."

IPV4_BYTES: Final = 16
IPV6_BYTES: Final = 28

_MAPPED_PREFIX: Final = bytes(10) + b"\xff\xff"


def from_tuple(family: int, address: tuple[str, int]) -> Address:
    """The raw form of `(host, port)`; `host` is a numeric address of the given family."""
    host, port = address[0], address[1]
    head = family.to_bytes(2, sys.byteorder) + port.to_bytes(2, "big")
    if family == socket.AF_INET:
        return head + socket.inet_pton(family, host) + bytes(8)
    return head + bytes(4) + socket.inet_pton(family, host) + bytes(4)


def to_tuple(address: Address) -> tuple[str, int]:
    """`(host, port)` of a raw address, as the socket that it belongs to takes it."""
    port = int.from_bytes(address[2:4], "big")
    if len(address) == IPV4_BYTES:
        return socket.inet_ntop(socket.AF_INET, address[4:8]), port
    return socket.inet_ntop(socket.AF_INET6, address[8:24]), port


def ip_and_port(address: Address) -> tuple[bytes, int]:
    """The IP address in network order (4 or 16 bytes) and the port; an IPv4-mapped address is IPv4."""
    port = int.from_bytes(address[2:4], "big")
    if len(address) == IPV4_BYTES:
        return address[4:8], port
    ip = address[8:24]
    return (ip[12:] if ip.startswith(_MAPPED_PREFIX) else ip), port
