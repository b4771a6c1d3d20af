"""Header extensions between two numberings."""

from struct import pack

from aiortc import rtp as oracle
from hypothesis import given
from hypothesis import strategies as st

from rtc.extensions import ExtensionMap, find
from tests.rtc.synthetic import rtp

ELEMENTS = st.lists(st.tuples(st.integers(1, 14), st.binary(min_size=1, max_size=16)), max_size=6)
NUMBERS = st.dictionaries(st.integers(1, 14), st.sampled_from("abcdef"), max_size=6)


def one_byte(elements: list[tuple[int, bytes]]) -> bytes:
    return b"".join(bytes((number << 4 | len(value) - 1,)) + value for number, value in elements)


def with_block(profile: int, block: bytes, csrcs: int = 0) -> bytearray:
    block += bytes(-len(block) % 4)
    head = bytes((0x90 | csrcs, 96)) + bytes(10) + bytes(4 * csrcs)
    return bytearray(head + pack("!HH", profile, len(block) // 4) + block + b"payload")


@given(ELEMENTS, NUMBERS, NUMBERS, st.integers(0, 15))
def test_elements_are_renumbered_or_erased(
    elements: list[tuple[int, bytes]], publisher: dict[int, str], subscriber: dict[int, str], csrcs: int
) -> None:
    packet = with_block(0xBEDE, one_byte(elements), csrcs)
    size = len(packet)
    assert ExtensionMap(publisher, subscriber).rewrite(memoryview(packet))
    assert len(packet) == size
    assert packet.endswith(b"payload")
    numbers = {uri: number for number, uri in subscriber.items()}
    expected = [
        (numbers[publisher[number]], value)
        for number, value in elements
        if number in publisher and publisher[number] in numbers
    ]
    at = 12 + 4 * csrcs
    words = int.from_bytes(packet[at + 2 : at + 4], "big")
    assert oracle.unpack_header_extensions(0xBEDE, bytes(packet[at + 4 : at + 4 + 4 * words])) == expected


@given(st.lists(st.tuples(st.integers(1, 255), st.binary(max_size=20)), max_size=6))
def test_the_two_byte_form_is_renumbered(elements: list[tuple[int, bytes]]) -> None:
    block = b"".join(bytes((number, len(value))) + value for number, value in elements)
    packet = with_block(0x1000, block)
    assert ExtensionMap({7: "a"}, {9: "a"}).rewrite(memoryview(packet))
    read = oracle.unpack_header_extensions(0x1000, bytes(packet[16:-7]))
    assert read == [(9, value) for number, value in elements if number == 7]


@given(st.binary(max_size=64), st.sampled_from([0xBEDE, 0x1000, 0x100F, 0x1234]), st.integers(0, 15))
def test_any_block_is_rewritten_within_its_bounds(block: bytes, profile: int, csrcs: int) -> None:
    packet = with_block(profile, block, csrcs)
    before = bytes(packet)
    assert ExtensionMap({1: "a", 2: "b"}, {3: "a"}).rewrite(memoryview(packet))
    assert packet[: 16 + 4 * csrcs] == before[: 16 + 4 * csrcs]
    assert packet.endswith(b"payload")


@given(st.binary(min_size=12, max_size=40))
def test_any_packet_is_rewritten_or_refused(data: bytes) -> None:
    packet = bytearray(bytes((0x90 | data[0] & 0x0F,)) + data[1:])
    ExtensionMap({1: "a"}, {3: "a"}).rewrite(memoryview(packet))
    find(memoryview(packet), 1)


def test_a_block_beyond_the_packet_is_refused() -> None:
    packet = bytearray(with_block(0xBEDE, bytes(8))[:-9])
    assert not ExtensionMap({}, {1: "a"}).rewrite(memoryview(packet))
    assert not ExtensionMap({}, {1: "a"}).rewrite(memoryview(packet)[:14])


def test_equal_numberings_need_no_work() -> None:
    assert ExtensionMap({1: "a"}, {1: "a"}).is_identity
    assert not ExtensionMap({1: "a"}, {2: "a"}).is_identity
    # An id that only the subscriber knows could be used to smuggle something in.
    assert not ExtensionMap({1: "a"}, {1: "a", 2: "b"}).is_identity


@given(ELEMENTS, st.integers(1, 14))
def test_a_value_is_found(elements: list[tuple[int, bytes]], number: int) -> None:
    packet = memoryview(with_block(0xBEDE, one_byte(elements)))
    assert find(packet, number) == next((value for n, value in elements if n == number), None)


def test_a_packet_without_extensions_has_none() -> None:
    assert find(memoryview(rtp(1, 1)), 1) is None
