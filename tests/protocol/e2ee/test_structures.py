"""Whatever the bytes are: a structure, or one of our errors; and every error has a name of its own."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.generate import DOCS
from protocol.e2ee import errors, messages, state
from protocol.e2ee.devices import DeviceList, SignedList
from protocol.e2ee.epochs import EpochHeader, EpochKeys
from protocol.e2ee.errors import E2eeError
from protocol.e2ee.prekeys import Prekey
from protocol.e2ee.structures import Structure, pack, unpack
from protocol.e2ee.vault import Vault
from tests.protocol.e2ee.app import App
from tests.protocol.e2ee.server import Server
from tests.vectors.identity import lists
from tests.vectors.talking import header, talking

KINDS: tuple[type[Structure], ...] = (SignedList, DeviceList, Prekey, EpochKeys, EpochHeader, Vault)
GOOD = (pack(lists("ada")[-1][1]), pack(header()), bytes.fromhex(talking()["keys"]))
ENVELOPE = bytes.fromhex(talking()["messages"][0]["envelope"])


@given(st.binary(max_size=300), st.sampled_from(KINDS))
def test_any_bytes(data: bytes, kind: type[Structure]) -> None:
    with contextlib.suppress(E2eeError):
        assert isinstance(unpack(kind, data), kind)


@given(st.sampled_from(GOOD), st.integers(0, 200), st.integers(0, 255), st.sampled_from(KINDS))
def test_changed_bytes(good: bytes, at: int, byte: int, kind: type[Structure]) -> None:
    changed = good[:at] + bytes([byte]) + good[at + 1 :]
    with contextlib.suppress(E2eeError):
        assert isinstance(unpack(kind, changed), kind)


@given(st.integers(0, len(ENVELOPE) - 1), st.integers(0, 255))
def test_changed_envelopes(at: int, byte: int) -> None:
    with contextlib.suppress(E2eeError):
        messages.read(ENVELOPE[:at] + bytes([byte]) + ENVELOPE[at + 1 :])


@pytest.mark.parametrize("length", range(0, len(ENVELOPE), 37))
def test_cut_envelopes(length: int) -> None:
    with pytest.raises(errors.Truncated):
        messages.read(ENVELOPE[:length])


@pytest.mark.parametrize("good", GOOD)
def test_what_is_packed_again_is_the_same(good: bytes) -> None:
    kinds: dict[bytes, type[Structure]] = dict(zip(GOOD, (SignedList, EpochHeader, EpochKeys), strict=True))
    assert pack(unpack(kinds[good], good)) == good


def test_too_much_is_refused_unread() -> None:
    with pytest.raises(errors.Malformed, match="bytes"):
        messages.read(bytes(messages.MAX_ENVELOPE_BYTES + 1))


def test_a_state_is_what_it_was_or_refused() -> None:
    saved = App.first(Server(), "ada", "a1").saved
    assert state.to_bytes(state.from_bytes(saved)) == saved
    for broken in (b"", saved[:-1], b"\x92\x02\x01"):
        with pytest.raises(errors.Malformed):
            state.from_bytes(broken)


def test_a_state_does_not_show() -> None:
    value = state.from_bytes(App.first(Server(), "ada", "a1").saved)
    assert repr(value) == "<State>"


def every(kind: type[E2eeError]) -> list[type[E2eeError]]:
    return [each for sub in kind.__subclasses__() for each in (sub, *every(sub))]


def test_every_error_has_a_name_of_its_own_and_is_explained() -> None:
    names = [kind.name for kind in every(E2eeError) if "name" in vars(kind)]
    assert len(names) == len(set(names))
    page = (DOCS / "encryption.md").read_text()
    assert [name for name in names if f"`{name}`" not in page] == []
