"""The files of the audit trail: keys that are made, kept private and rotated; the witness of checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from relay.audit_trail import EMPTY, AuditCheckpoint, AuditHead
from signaling.audit import witness
from signaling.audit.keys import load_or_create, load_public, public_file, rotate
from signaling.audit.seals import checkpoint_is_genuine, key_id, sign_checkpoint
from signaling.audit.witness import Witness, WitnessError
from signaling.key_files import KeyFileError
from tests.signaling.audit_kit import KEY


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "audit.key"


def test_the_key_is_made_once_and_private(key_file: Path) -> None:
    first, again = load_or_create(key_file), load_or_create(key_file)
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert first.public.keys() == again.public.keys() == {key_id(first.private.public_key())}
    assert len(public_file(key_file).read_text().splitlines()) == 1


def test_what_an_earlier_key_has_signed_stays_good(key_file: Path) -> None:
    old = load_or_create(key_file)
    seal = sign_checkpoint(old.private, EMPTY, 1)
    fresh = rotate(key_file)
    ring = load_or_create(key_file)
    assert key_id(ring.private.public_key()) == fresh != seal.key
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert checkpoint_is_genuine(seal, ring.public)
    assert checkpoint_is_genuine(sign_checkpoint(ring.private, EMPTY, 2), ring.public)
    assert set(key_file.parent.iterdir()) == {key_file, public_file(key_file)}


def test_a_rotation_that_was_cut_short_is_begun_anew(key_file: Path) -> None:
    load_or_create(key_file)
    key_file.with_name(key_file.name + ".new").write_text("half a ke")
    assert rotate(key_file) in load_or_create(key_file).public


def test_a_lost_list_of_public_keys_is_begun_with_the_key_in_use(key_file: Path) -> None:
    ring = load_or_create(key_file)
    public_file(key_file).unlink()
    assert load_or_create(key_file).public.keys() == ring.public.keys()


def test_a_key_that_others_can_read_is_refused(key_file: Path) -> None:
    load_or_create(key_file)
    key_file.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_or_create(key_file)


def test_what_is_no_key_is_refused(key_file: Path, tmp_path: Path) -> None:
    key_file.parent.mkdir()
    key_file.touch(0o600)
    for content in (b"", b"-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n", _other_kind()):
        key_file.write_bytes(content)
        with pytest.raises(KeyFileError):
            load_or_create(key_file)
    for text in ("", "x\n", "a b\n", f"0123456789abcdef {'A' * 43}=\n", "\xff"):
        (tmp_path / "keys.pub").write_text(text)
        with pytest.raises(KeyFileError):
            load_public(tmp_path / "keys.pub")
    with pytest.raises(KeyFileError):
        load_public(tmp_path / "none")
    with pytest.raises(KeyFileError):
        load_or_create(tmp_path / "keys.pub" / "key")


def _other_kind() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def seal(sequence: int) -> AuditCheckpoint:
    return sign_checkpoint(KEY, AuditHead(sequence, bytes(32)), sequence)


def test_the_witness_keeps_every_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "data" / "checkpoints"
    opened = Witness(file)
    assert opened.last() is None
    for sequence in range(1, 30):
        opened.append(seal(sequence))
    opened.close()
    assert file.stat().st_mode & 0o777 == 0o600
    again = Witness(file)
    assert again.last() == seal(29)
    again.append(seal(30))
    again.close()
    assert list(witness.read(file)) == [seal(sequence) for sequence in range(1, 31)]


def test_half_a_line_is_passed_over_and_dropped(tmp_path: Path) -> None:
    file = tmp_path / "checkpoints"
    opened = Witness(file)
    opened.append(seal(1))
    opened.append(seal(2))
    opened.close()
    whole = file.read_bytes()
    file.write_bytes(whole[:-10])
    assert list(witness.read(file)) == [seal(1)]
    again = Witness(file)
    assert again.last() == seal(1)
    again.append(seal(2))
    again.close()
    assert file.read_bytes() == whole


@pytest.mark.parametrize("line", [b"{}", b"\xff", b"[" * 900, b"x" * 5000, b'{"sequence": 1}', b""])
def test_a_damaged_witness_says_where(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "checkpoints"
    opened = Witness(file)
    opened.append(seal(1))
    opened.close()
    good = file.read_bytes()
    file.write_bytes(good + line + b"\n" + good)
    with pytest.raises(WitnessError, match="line 2"):
        list(witness.read(file))
    file.write_bytes(good + (line or b"x") + b"\n")
    broken = Witness(file)
    with pytest.raises(WitnessError):
        broken.last()
    broken.close()


def test_a_witness_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(WitnessError):
        Witness(tmp_path)
    with pytest.raises(WitnessError):
        list(witness.read(tmp_path / "none"))
