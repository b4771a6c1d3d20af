"""Binding requests and responses, against aioice's STUN."""

import socket

import pytest
from aioice import stun as oracle
from hypothesis import given
from hypothesis import strategies as st

from rtc import stun

PASSWORD = "a-password-of-the-server"


def request(username: str = "ours:theirs", attributes: dict[str, int | None] | None = None) -> bytes:
    message = oracle.Message(oracle.Method.BINDING, oracle.Class.REQUEST, transaction_id=b"0123456789ab")
    message.attributes.update({"USERNAME": username, "PRIORITY": 1, **(attributes or {})})
    message.add_message_integrity(PASSWORD.encode())
    return bytes(message)


def test_a_check_is_read() -> None:
    parsed = stun.parse_binding_request(request(attributes={"USE-CANDIDATE": None, "ICE-CONTROLLING": 5}))
    assert (parsed.local_ufrag, parsed.remote_ufrag) == ("ours", "theirs")
    assert parsed.transaction_id == b"0123456789ab"
    assert parsed.use_candidate
    assert not parsed.controlled
    assert parsed.is_signed_with(PASSWORD.encode())
    assert not parsed.is_signed_with(b"another password")
    assert stun.parse_binding_request(request(attributes={"ICE-CONTROLLED": 5})).controlled
    assert not stun.parse_binding_request(request()).use_candidate


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "192.0.2.33"), (socket.AF_INET6, "2001:db8::7")]
)
def test_a_success_response_is_what_aioice_expects(family: int, host: str) -> None:
    parsed = stun.parse_binding_request(request())
    packed = socket.inet_pton(family, host)
    response = stun.success(parsed, ip=packed, port=40000, password=PASSWORD.encode())
    message = oracle.parse_message(response)
    assert message.message_class == oracle.Class.RESPONSE
    assert message.transaction_id == parsed.transaction_id
    assert message.attributes["XOR-MAPPED-ADDRESS"] == (host, 40000)
    assert message.check_message_integrity(PASSWORD.encode())
    assert "FINGERPRINT" in message.attributes


def test_a_role_conflict_is_what_aioice_expects() -> None:
    response = stun.role_conflict(stun.parse_binding_request(request()), password=PASSWORD.encode())
    message = oracle.parse_message(response)
    assert message.error_code == 487
    assert message.check_message_integrity(PASSWORD.encode())


def test_a_check_without_fingerprint_is_refused() -> None:
    message = oracle.Message(oracle.Method.BINDING, oracle.Class.REQUEST)
    message.attributes["USERNAME"] = "ours:theirs"
    message.add_message_integrity(PASSWORD.encode())
    del message.attributes["FINGERPRINT"]
    with pytest.raises(stun.StunError):
        stun.parse_binding_request(bytes(message))


def test_a_check_without_integrity_is_refused() -> None:
    message = oracle.Message(oracle.Method.BINDING, oracle.Class.REQUEST)
    message.attributes["USERNAME"] = "ours:theirs"
    message.add_fingerprint()
    with pytest.raises(stun.StunError):
        stun.parse_binding_request(bytes(message))


@pytest.mark.parametrize("username", ["", "no-colon", "ümlaut:theirs", "x" * 600 + ":theirs"])
def test_a_useless_username_is_refused(username: str) -> None:
    with pytest.raises(stun.StunError):
        stun.parse_binding_request(request(username))


@pytest.mark.parametrize("kind", [oracle.Class.INDICATION, oracle.Class.RESPONSE, oracle.Class.ERROR])
def test_other_messages_are_refused(kind: oracle.Class) -> None:
    message = oracle.Message(oracle.Method.BINDING, kind)
    message.attributes["USERNAME"] = "ours:theirs"
    message.add_message_integrity(PASSWORD.encode())
    with pytest.raises(stun.StunError):
        stun.parse_binding_request(bytes(message))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_request_or_our_error(data: bytes) -> None:
    with pytest.raises(stun.StunError):
        stun.parse_binding_request(data)


@given(st.data())
def test_no_changed_byte_passes(data: st.DataObject) -> None:
    good = request()
    at = data.draw(st.integers(0, len(good) - 1))
    flipped = bytes((*good[:at], good[at] ^ data.draw(st.integers(1, 255)), *good[at + 1 :]))
    with pytest.raises(stun.StunError):
        stun.parse_binding_request(flipped)


@given(st.integers(0, 100), st.binary(max_size=60), st.binary(max_size=60))
def test_a_right_fingerprint_over_nonsense_gives_our_error(cut: int, middle: bytes, end: bytes) -> None:
    # The checksum is no secret: what is behind it may be anything.
    body = (request()[20 : 20 + cut] + middle + end)[:200]
    message = b"\0\1" + (len(body) + 8).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12) + body
    try:
        parsed = stun.parse_binding_request(message + stun._fingerprint(message))
    except stun.StunError:
        return
    assert not parsed.is_signed_with(PASSWORD.encode())
