"""Raw socket addresses."""

import socket

from hypothesis import given
from hypothesis import strategies as st

from rtc.address import from_tuple, ip_and_port, to_tuple

PORTS = st.integers(0, 65535)


@given(st.ip_addresses(v=4), PORTS)
def test_an_ipv4_address_comes_back(ip: object, port: int) -> None:
    address = from_tuple(socket.AF_INET, (str(ip), port))
    assert len(address) == 16
    assert to_tuple(address) == (str(ip), port)
    assert ip_and_port(address) == (socket.inet_aton(str(ip)), port)


@given(st.ip_addresses(v=6), PORTS)
def test_an_ipv6_address_comes_back(ip: object, port: int) -> None:
    address = from_tuple(socket.AF_INET6, (str(ip), port))
    assert len(address) == 28
    host, same_port = to_tuple(address)
    packed = socket.inet_pton(socket.AF_INET6, str(ip))
    assert socket.inet_pton(socket.AF_INET6, host) == packed
    assert same_port == port


def test_a_mapped_address_is_told_as_ipv4() -> None:
    address = from_tuple(socket.AF_INET6, ("::ffff:192.0.2.7", 9))
    assert ip_and_port(address) == (bytes((192, 0, 2, 7)), 9)
