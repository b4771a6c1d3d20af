"""Bundles: what was put in comes out, once, in order, and nothing that anybody changed."""

from __future__ import annotations

import hmac

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.bus import Delivery, EventNotice, InboxNotice, Notice, ReplyNotice, RevokedNotice, SignalNotice
from relay.bus.bundle import MAX_RECEIVED_BYTES, Bundle, Refused, pack, seal, split, unpack, unseal
from relay.bus.outbound import Outbound, by_node
from relay.bus.senders import Senders
from relay.rows import StoredEvent

KEY, OLD_KEY = b"k" * 32, b"o" * 32
NOTICES: tuple[Notice, ...] = (
    EventNotice("r", 1, StoredEvent(1, "ann", None, None, b"body", 5)),
    SignalNotice("r", "k", None, b"body", 5, to_waiting=True),
    RevokedNotice("ann", None),
)


def bundle(sequence: int, sender: str = "a", at_ms: int = 0, *, lost: bool = False) -> Bundle:
    packed = tuple(pack(Delivery(("ann",), notice)) for notice in NOTICES)
    return Bundle(sender, "b", sequence, at_ms, lost, packed)


def test_what_was_sealed_is_unsealed() -> None:
    sealed = seal(bundle(7, lost=True), KEY)
    for keys in ((KEY,), (OLD_KEY, KEY)):
        opened = unseal(sealed, keys, "b")
        assert (opened.sender, opened.sequence, opened.lost) == ("a", 7, True)
        assert [unpack(packed) for packed in opened.deliveries] == [
            Delivery(("ann",), one) for one in NOTICES
        ]


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_bit_can_be_changed(at: int, bit: int) -> None:
    sealed = bytearray(seal(bundle(1), KEY))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises(Refused, match="forged"):
        unseal(bytes(sealed), (KEY,), "b")


@given(st.binary(max_size=200))
def test_garbage_is_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises(Refused, match="forged"):
        unseal(data, (KEY,), "b")


def test_other_nodes_bundles_large_ones_and_those_of_other_versions_are_refused() -> None:
    with pytest.raises(Refused, match="misdirected"):
        unseal(seal(bundle(1), KEY), (KEY,), "c")
    with pytest.raises(Refused, match="oversize"):
        unseal(bytes(MAX_RECEIVED_BYTES + 1), (KEY,), "b")
    content = msgspec.msgpack.encode(["a", "b"])
    odd = hmac.digest(KEY, b"rapport/bus/v1\0" + content, "sha256") + content
    with pytest.raises(Refused, match="unreadable"):
        unseal(odd, (KEY,), "b")


def test_a_notice_of_a_newer_version_is_left_out() -> None:
    newer = msgspec.Raw(msgspec.msgpack.encode({"accounts": ["ann"], "notice": {"type": "newer"}}))
    assert unpack(newer) is None
    more = msgspec.msgpack.encode(
        {"accounts": ["ann"], "notice": {"type": "inbox", "room": "r", "newer": 1}, "newer": 2}
    )
    assert unpack(msgspec.Raw(more)) == Delivery(("ann",), InboxNotice("r"))


@given(st.lists(st.integers(1, 40), max_size=30))
def test_portions_hold_everything_in_order_within_the_limit(sizes: list[int]) -> None:
    packed = [msgspec.Raw(bytes([index]) * size) for index, size in enumerate(sizes)]
    portions = list(split(packed, max_bytes=50))
    assert [bytes(one) for portion in portions for one in portion] == [bytes(one) for one in packed]
    assert all(sum(len(bytes(one)) for one in portion) <= 50 for portion in portions)
    assert all(portions) or portions == [()]


@given(st.lists(st.integers(1, 20), max_size=60))
def test_no_bundle_is_taken_twice_and_every_gap_is_seen(sequences: list[int]) -> None:
    senders, last = Senders(), 0
    for sequence in sequences:
        if sequence <= last:
            with pytest.raises(Refused, match="replayed"):
                senders.take(bundle(sequence), 0)
        else:
            assert senders.take(bundle(sequence), 0) == (sequence != last + 1)
            last = sequence


def test_the_clock_counts_only_for_nodes_that_are_not_known() -> None:
    senders = Senders(max_age_ms=100)
    for at_ms in (899, 1101):
        with pytest.raises(Refused, match="stale"):
            senders.take(bundle(1, at_ms=at_ms), 1000)
    assert not senders.take(bundle(1, at_ms=900), 1000)
    assert not senders.take(bundle(2, at_ms=0), 1000)


def test_the_node_that_was_silent_for_longest_is_forgotten_and_cannot_be_replayed() -> None:
    senders = Senders(max_senders=2, max_age_ms=100)
    for sender in ("a", "c", "d"):
        senders.take(bundle(1, sender), 0)
    with pytest.raises(Refused, match="stale"):
        senders.take(bundle(1, "a"), 1000)
    with pytest.raises(Refused, match="replayed"):
        senders.take(bundle(1, "d"), 1000)


def test_each_node_gets_what_is_for_its_accounts_in_order() -> None:
    outbound = Outbound(max_notices=10, max_bytes=100)
    assert outbound.put(["ann", "ben"], InboxNotice("1"))
    assert outbound.put(["ben"], InboxNotice("2"))
    assert outbound.put((), ReplyNotice("3", None), "y")
    nodes = {"ann": ["x"], "ben": ["x", "y"]}
    found = by_node(outbound.take(), nodes)
    assert {node: [unpack(one) for one in packed] for node, packed in found.items()} == {
        "x": [Delivery(("ann", "ben"), InboxNotice("1")), Delivery(("ben",), InboxNotice("2"))],
        "y": [
            Delivery(("ben",), InboxNotice("1")),
            Delivery(("ben",), InboxNotice("2")),
            Delivery((), ReplyNotice("3", None)),
        ],
    }
    assert outbound.take() == []
