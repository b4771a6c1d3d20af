"""The vault: an account's secrets under a passphrase, kept by the server for a next device.

The key comes from Argon2id (RFC 9106); its parameters stand in the blob, so that they can be raised later.
They are bounded when a vault is opened: the blob comes from the server.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from msgspec import Meta

from protocol.e2ee.errors import VaultError
from protocol.e2ee.kdf import expand
from protocol.e2ee.structures import Bytes12, Bytes16, Bytes32, Secret, Structure, pack, unpack

MAX_VAULT_BYTES = 16 * 1024
PASSES = 3
MEMORY_KIB = 64 * 1024
LANES = 1
SALT_BYTES = 16
NONCE_BYTES = 12

_LABEL = b"rapport/v1/vault\0"


class AccountSecrets(Secret, frozen=True):
    """What the vault holds."""

    account_seed: Bytes32
    """The account's private key."""
    archive_seed: Bytes32 | None
    """The archive's private key, if the account keeps one."""


class Vault(Structure, frozen=True):
    """The blob."""

    version: Literal[1]
    passes: Annotated[int, Meta(ge=1, le=16)]
    """Argon2id's t."""
    memory_kib: Annotated[int, Meta(ge=8, le=1 << 20)]
    """Argon2id's m."""
    lanes: Annotated[int, Meta(ge=1, le=4)]
    """Argon2id's p."""
    salt: Bytes16
    nonce: Bytes12
    ciphertext: Annotated[bytes, Meta(max_length=MAX_VAULT_BYTES)]


def lock(
    secrets: AccountSecrets,
    passphrase: str,
    account: str,
    *,
    salt: bytes,
    nonce: bytes,
    passes: int = PASSES,
    memory_kib: int = MEMORY_KIB,
) -> bytes:
    """The vault of an account. ``salt``, 16 bytes, and ``nonce``, 12, are random and fresh each time."""
    key = _key(passphrase, salt, passes, memory_kib, LANES)
    ciphertext = AESGCM(key).encrypt(nonce, pack(secrets), _LABEL + account.encode())
    return pack(Vault(1, passes, memory_kib, LANES, salt, nonce, ciphertext))


def unlock(blob: bytes, passphrase: str, account: str) -> AccountSecrets:
    """The secrets inside. Raises :exc:`VaultError`, or :exc:`Malformed` when it is no vault at all."""
    vault = unpack(Vault, blob, MAX_VAULT_BYTES)
    key = _key(passphrase, vault.salt, vault.passes, vault.memory_kib, vault.lanes)
    try:
        plaintext = AESGCM(key).decrypt(vault.nonce, vault.ciphertext, _LABEL + account.encode())
    except InvalidTag:
        raise VaultError() from None
    return unpack(AccountSecrets, plaintext)


def seal_name(account_seed: bytes, name: str, nonce: bytes) -> bytes:
    """A device's name as only the account's own devices read it; ``nonce`` is 12 random bytes.

    Raises :exc:`ValueError` for a name of more than 128 bytes.
    """
    plaintext = name.encode()
    if len(plaintext) > 128:
        raise ValueError("a device's name has at most 128 bytes")
    return nonce + AESGCM(_name_key(account_seed)).encrypt(nonce, plaintext, b"")


def open_name(account_seed: bytes, sealed: bytes) -> str:
    """The inverse of :func:`seal_name`; :exc:`VaultError` when it was sealed by another account."""
    try:
        plaintext = AESGCM(_name_key(account_seed)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], b"")
        return plaintext.decode()
    except (InvalidTag, ValueError):
        raise VaultError("the name was not sealed by this account") from None


def _name_key(account_seed: bytes) -> bytes:
    return expand(account_seed, b"rapport/v1/device-name", 32)


def _key(passphrase: str, salt: bytes, passes: int, memory_kib: int, lanes: int) -> bytes:
    return Argon2id(salt=salt, length=32, iterations=passes, lanes=lanes, memory_cost=memory_kib).derive(
        unicodedata.normalize("NFKC", passphrase).encode()
    )
