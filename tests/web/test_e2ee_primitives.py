"""The browser's primitives against Python's and against packages of npm: what one seals the other opens."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.web.runtimes import Refused, Runtime

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
INFO, TEXT = b"what it is for", "für Ines".encode()
RATE = 136  # bytes that Keccak takes in at once


async def test_sha3_and_shake(ours: Runtime) -> None:
    for length in (0, 1, 3, 4, RATE - 2, RATE - 1, RATE, RATE + 1, 2 * RATE, 1000):
        data = bytes(i * 7 % 251 for i in range(length))
        assert await ours.call("sha3_256", data) == hashlib.sha3_256(data).digest()
        assert await ours.call("shake256", data, 300) == hashlib.shake_256(data).digest(300)


async def test_hkdf(ours: Runtime) -> None:
    for salt, length in ((b"", 32), (b"salt", 1), (b"s" * 100, 44), (b"salt", 255 * 32)):
        theirs = HKDF(hashes.SHA256(), length, salt, INFO).derive(b"key material")
        assert await ours.call("hkdf", salt, b"key material", INFO, length) == theirs


async def test_signatures_are_good_for_their_purpose_only(ours: Runtime) -> None:
    public = await ours.call("signingGenerate", "device")
    signature = await ours.call("sign", "device", "keys", TEXT)
    ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, b"rapport/v1/keys\0" + TEXT)
    assert await ours.call("verify", public, "keys", TEXT, signature)
    assert not await ours.call("verify", public, "message", TEXT, signature)
    assert not await ours.call("verify", public, "keys", TEXT + b"!", signature)
    assert not await ours.call("verify", bytes(32), "keys", TEXT, signature)
    assert not await ours.call("verify", public[:31], "keys", TEXT, signature)
    assert not await ours.call("verify", public, "keys", TEXT, signature[:63])


async def test_a_seed_gives_the_same_signing_key(ours: Runtime) -> None:
    seed = bytes(range(32))
    private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    assert await ours.call("signingFromSeed", "seeded", seed) == private.public_key().public_bytes_raw()
    assert await ours.call("sign", "seeded", "keys", TEXT) == private.sign(b"rapport/v1/keys\0" + TEXT)


def python_pair(seed: bytes) -> tuple[bytes, MLKEM768X25519PrivateKey]:
    """The X-Wing key pair of a seed, as Python makes it."""
    expanded = hashlib.shake_256(seed).digest(96)
    halves = (
        mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
        x25519.X25519PrivateKey.from_private_bytes(expanded[64:]),
    )
    public = b"".join(half.public_key().public_bytes_raw() for half in halves)
    return public, MLKEM768X25519PrivateKey(*halves)


def python_public(public: bytes) -> MLKEM768X25519PublicKey:
    """An X-Wing public key for Python's HPKE."""
    return MLKEM768X25519PublicKey(
        mlkem.MLKEM768PublicKey.from_public_bytes(public[:1184]),
        x25519.X25519PublicKey.from_public_bytes(public[1184:]),
    )


async def test_a_seed_gives_the_same_x_wing_key(ours: Runtime, theirs: Runtime) -> None:
    for seed in (bytes(32), bytes(range(32)), b"\xff" * 32):
        public = await ours.call("kemFromSeed", "seeded", seed)
        assert public == python_pair(seed)[0]
        assert public == await theirs.call("kemFromSeed", "seeded", seed)


async def test_what_python_seals_the_browser_opens(ours: Runtime) -> None:
    public = await ours.call("kemGenerate", "mine")
    sealed = SUITE.encrypt(TEXT, python_public(public), INFO)
    message = {"enc": sealed[:1120], "sealed": sealed[1120:]}
    assert await ours.call("hpkeOpen", "mine", INFO, message) == TEXT


async def test_what_the_browser_seals_python_opens(ours: Runtime) -> None:
    public, private = python_pair(bytes(range(32)))
    for text in (b"", TEXT, bytes(70_000)):
        sealed = await ours.call("hpkeSeal", public, INFO, text)
        assert SUITE.decrypt(sealed["enc"] + sealed["sealed"], private, INFO) == text


async def test_what_a_package_seals_the_browser_opens_and_the_other_way_round(
    ours: Runtime, theirs: Runtime
) -> None:
    my_public = await ours.call("kemGenerate", "mine")
    their_public = await theirs.call("kemFromSeed", "theirs", bytes(range(32)))
    to_me = await theirs.call("hpkeSeal", my_public, INFO, TEXT)
    assert await ours.call("hpkeOpen", "mine", INFO, to_me) == TEXT
    to_them = await ours.call("hpkeSeal", their_public, INFO, TEXT)
    assert await theirs.call("hpkeOpen", "theirs", INFO, to_them) == TEXT


@pytest.mark.parametrize("part", ["ML-KEM", "X25519", "sealed", "tag", "info"])
async def test_nothing_opens_with_one_bit_changed(ours: Runtime, part: str) -> None:
    public = await ours.call("kemGenerate", "mine")
    message = await ours.call("hpkeSeal", public, INFO, TEXT)
    info = INFO
    match part:
        case "ML-KEM":
            message["enc"] = flipped(message["enc"], 0)
        case "X25519":
            message["enc"] = flipped(message["enc"], 1100)
        case "sealed":
            message["sealed"] = flipped(message["sealed"], 0)
        case "tag":
            message["sealed"] = flipped(message["sealed"], -1)
        case _:
            info = flipped(INFO, 0)
    with pytest.raises(Refused) as refused:
        await ours.call("hpkeOpen", "mine", info, message)
    assert refused.value.kind == "unreadable_slot"


def flipped(data: bytes, at: int) -> bytes:
    """The bytes with one bit changed."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


async def test_keys_that_are_none_are_refused(chromium_modules: Runtime) -> None:
    public, _ = python_pair(bytes(32))
    for bad in (b"", public[:-1], public + b"\0", b"\xff" * 1216):
        with pytest.raises(Refused) as refused:
            await chromium_modules.call("hpkeSeal", bad, INFO, TEXT)
        assert refused.value.kind == "malformed"
