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
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.web.runtimes import Held, Refused, Runtime

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
OUR_KEM = Held("kem")
INFO, TEXT = b"what it is for", "für Ines".encode()
RATE = 136  # bytes that Keccak takes in at once


async def test_sha3_and_shake(ours: Runtime) -> None:
    for length in (0, 1, 3, 4, RATE - 2, RATE - 1, RATE, RATE + 1, 2 * RATE, 1000):
        data = bytes(i * 7 % 251 for i in range(length))
        assert await ours.call("keccak.sha3_256", data) == hashlib.sha3_256(data).digest()
        assert await ours.call("keccak.shake256", data, 300) == hashlib.shake_256(data).digest(300)


async def test_blake2b(ours: Runtime) -> None:
    for length in (0, 1, 127, 128, 129, 256, 1000):
        data = bytes(i * 7 % 251 for i in range(length))
        assert await ours.call("blake2b.blake2b", data) == hashlib.blake2b(data).digest()
        assert await ours.call("blake2b.blake2b", data, 20) == hashlib.blake2b(data, digest_size=20).digest()


@pytest.mark.parametrize(
    ("passes", "memory", "lanes"),
    [(1, 8, 1), (3, 32, 4), (2, 1000, 2), (1, 2048, 1), (3, 512, 1)],
)
async def test_argon2id(ours: Runtime, theirs: Runtime, passes: int, memory: int, lanes: int) -> None:
    salt = bytes(range(16))
    cost = {"passes": passes, "memoryKib": memory, "lanes": lanes, "length": 32}
    key = await ours.call("argon2.argon2id", TEXT, salt, cost)
    assert key == await theirs.call("argon2id", TEXT, salt, cost)
    python = Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory)
    assert key == python.derive(TEXT)


async def test_hkdf(ours: Runtime) -> None:
    for salt, length in ((b"", 32), (b"salt", 1), (b"s" * 100, 44), (b"salt", 255 * 32)):
        theirs = HKDF(hashes.SHA256(), length, salt, INFO).derive(b"key material")
        await ours.call("kdf.secretKey", await ours.call("kdf.extract", salt, b"key material"), hold="prk")
        assert await ours.call("kdf.expand", Held("prk"), INFO, length) == theirs


async def test_signatures_are_good_for_their_purpose_only(ours: Runtime) -> None:
    public = (await ours.call("signing.generate", hold="device"))["publicKey"]
    signature = await ours.call("signing.sign", Held("device.privateKey"), "keys", TEXT)
    ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, b"rapport/v1/keys\0" + TEXT)
    assert await ours.call("signing.verify", public, "keys", TEXT, signature)
    for key, label, body, other in (
        (public, "message", TEXT, signature),
        (public, "keys", TEXT + b"!", signature),
        (bytes(32), "keys", TEXT, signature),
        (public[:31], "keys", TEXT, signature),
        (public, "keys", TEXT, signature[:63]),
    ):
        assert not await ours.call("signing.verify", key, label, body, other)


async def test_a_seed_gives_the_same_signing_key(ours: Runtime) -> None:
    seed = bytes(range(32))
    private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    pair = await ours.call("signing.fromSeed", seed, hold="seeded")
    assert pair["publicKey"] == private.public_key().public_bytes_raw()
    signature = await ours.call("signing.sign", Held("seeded.privateKey"), "keys", TEXT)
    assert signature == private.sign(b"rapport/v1/keys\0" + TEXT)


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
        public = (await ours.call("kem.fromSeed", seed))["publicKey"]
        assert public == python_pair(seed)[0]
        assert public == await theirs.call("kemFromSeed", "seeded", seed)


async def test_what_python_seals_the_browser_opens(ours: Runtime) -> None:
    public = (await ours.call("kem.generate", hold="mine"))["publicKey"]
    sealed = SUITE.encrypt(TEXT, python_public(public), INFO)
    message = {"enc": sealed[:1120], "sealed": sealed[1120:]}
    assert await ours.call("hpke.open", OUR_KEM, Held("mine.privateKey"), INFO, message) == TEXT


async def test_what_the_browser_seals_python_opens(ours: Runtime) -> None:
    public, private = python_pair(bytes(range(32)))
    for text in (b"", TEXT, bytes(70_000)):
        sealed = await ours.call("hpke.seal", OUR_KEM, public, INFO, text)
        assert SUITE.decrypt(sealed["enc"] + sealed["sealed"], private, INFO) == text


async def test_what_a_package_seals_the_browser_opens_and_the_other_way_round(
    ours: Runtime, theirs: Runtime
) -> None:
    my_public = (await ours.call("kem.generate", hold="mine"))["publicKey"]
    their_public = await theirs.call("kemFromSeed", "theirs", bytes(range(32)))
    to_me = await theirs.call("hpkeSeal", my_public, INFO, TEXT)
    assert await ours.call("hpke.open", OUR_KEM, Held("mine.privateKey"), INFO, to_me) == TEXT
    to_them = await ours.call("hpke.seal", OUR_KEM, their_public, INFO, TEXT)
    assert await theirs.call("hpkeOpen", "theirs", INFO, to_them) == TEXT


@pytest.mark.parametrize("part", ["ML-KEM", "X25519", "sealed", "tag", "info"])
async def test_nothing_opens_with_one_bit_changed(ours: Runtime, part: str) -> None:
    public = (await ours.call("kem.generate", hold="mine"))["publicKey"]
    message = await ours.call("hpke.seal", OUR_KEM, public, INFO, TEXT)
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
        await ours.call("hpke.open", OUR_KEM, Held("mine.privateKey"), info, message)
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
            await chromium_modules.call("hpke.seal", OUR_KEM, bad, INFO, TEXT)
        assert refused.value.kind == "malformed"
