"""What the headers of encrypted things are held against: whatever the bytes are, our error or an answer."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import errors
from protocol.e2ee import messages, ratchet
from protocol.e2ee.devices import DeviceEntry, DeviceList, SignedList
from protocol.e2ee.epochs import Place
from protocol.e2ee.messages import MessageHeader
from protocol.errors import ProtocolError
from protocol.frames import MessageSend
from protocol.keys import DevicePlace, KeysSend, SlotPlace
from protocol.tokens import Claims
from relay.keys import UNSEALED, Sealing
from signaling.caller import Caller
from signaling.keys.sealing import Members, check_epoch, mismatch_of, sealing_of

MID = UUID(int=7)
CALLER = Caller.of(Claims("key", "ann", "client", exp=1e12), device="a1")
HEADER = MessageHeader("r", "ann", "a1", b"e" * 16, 0, None, MID.bytes, Place(1, 0), None)


def sealed() -> bytes:
    chain, _ = ratchet.start(b"", bytes(32))
    return messages.seal(HEADER, chain, b"content", bytes(32))


GOOD = sealed()


def message(data: bytes, lists: dict[str, int] | None) -> MessageSend:
    return MessageSend(1, "r", MID, data, lists=lists)


def members(*devices: str, archive: bytes | None = None, barred: str = "") -> Members:
    entries = tuple(DeviceEntry(device, bytes(32), 1) for device in devices)
    listed = DeviceList("ben", 2, 1, entries, archive, bytes(32))
    signed = SignedList(bytes(32), b"body", bytes(64))
    places = frozenset({DevicePlace("ben", barred)} if barred else ())
    return Members(("ann", "ben"), {"ben": (signed, listed)}, places)


def test_a_message_is_for_the_lists_that_it_names() -> None:
    assert sealing_of(CALLER, message(b"plain", None)) is UNSEALED
    assert sealing_of(CALLER, message(GOOD, {"ann": 1, "ben": 2})) == Sealing({"ann": 1, "ben": 2}, b"e" * 16)
    assert sealing_of(CALLER, message(GOOD, {"ann": 1, "ben": 0})) == Sealing({"ann": 1}, b"e" * 16)


@given(st.binary(max_size=400) | st.integers(0, len(GOOD) - 1).map(lambda end: GOOD[:end]))
def test_whatever_is_no_message_is_refused_by_its_name(data: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        sealing_of(CALLER, message(data, {}))
    assert caught.value.kind is errors.ENVELOPE_INVALID


@given(st.binary(max_size=400))
def test_whatever_is_no_header_is_refused_by_its_name(header: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        check_epoch(CALLER, KeysSend(1, "r", MID, header, bytes(64), ()), members())
    assert caught.value.kind is errors.ENVELOPE_INVALID


def test_what_is_missing_is_told_by_place_and_barred_devices_are_not() -> None:
    known = members("b1", "b2", archive=bytes(1216), barred="b2")
    told = mismatch_of(message(GOOD, {"eve": 1}), known)
    assert told.kind is errors.DEVICE_MISMATCH
    assert told.mismatch is not None
    assert told.mismatch.missing == (SlotPlace("ben", ""), SlotPlace("ben", "b1"))
    assert told.mismatch.stale == ("eve",)
    assert told.mismatch.barred == (DevicePlace("ben", "b2"),)
    assert told.mismatch.members == ("ann", "ben")
    assert mismatch_of(message(b"plain", None), known).kind is errors.ENCRYPTION_REQUIRED
