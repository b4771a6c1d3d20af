"""An epoch of Ada's laptop in a room with Ben, its slots, its ratchet, and messages in it."""

from __future__ import annotations

from protocol.e2ee import epochs, messages, ratchet, xwing
from protocol.e2ee.epochs import ARCHIVE, Before, EpochHeader, Place, Recipient
from protocol.e2ee.kdf import digest
from protocol.e2ee.messages import MessageHeader
from protocol.e2ee.ratchet import Chain
from protocol.e2ee.structures import pack
from tests.vectors.identity import archive_seed, device_seed, lists, prekey_seed
from tests.vectors.values import CREATED_MS, Vector, drawn

ROOM, ACCOUNT, DEVICE = "room-1", "ada", "laptop"
ORGANISATION = drawn("archive of the organisation")
SLOTS = {
    ("ada", "phone", 7): prekey_seed("ada", "phone", 7),
    ("ben", "tablet", 1): prekey_seed("ben", "tablet", 1),
    ("ada", ARCHIVE, 0): archive_seed("ada"),
    (ARCHIVE, ARCHIVE, 0): ORGANISATION,
}
"""Account, device and prekey of each slot, and the seed of its private key."""

EXPORTS = (("media", b"session-1", 32), ("chat", b"session-1", 44))


def header() -> EpochHeader:
    """The header of the epoch."""
    names = {
        account: (made[-1][0].number, made[-1][1].digest)
        for account, made in ((account, lists(account)) for account in ("ada", "ben"))
    }
    return EpochHeader(
        ROOM,
        ACCOUNT,
        DEVICE,
        drawn("epoch", 16),
        ratchet.commitment(drawn("seed")),
        epochs.names_of(names),
        lists(ACCOUNT)[-1][1],
        digest(xwing.public_key(ORGANISATION)),
        Before(drawn("epoch before", 16), 41),
        Place(1, 12),
        CREATED_MS,
    )


def talking() -> Vector:
    """``keys`` is a whole event as it travels; ``messages`` are envelopes."""
    packed = pack(header())
    chain, exporter = ratchet.start(packed, drawn("seed"))
    return {
        "room": ROOM,
        "account": ACCOUNT,
        "device": DEVICE,
        "device_seed": device_seed(ACCOUNT, DEVICE).hex(),
        "seed": drawn("seed").hex(),
        "commitment": header().commitment.hex(),
        "header": packed.hex(),
        "header_digest": digest(packed).hex(),
        "signature": _keys().signature.hex(),
        "slots": [_slot(packed, *each) for each in SLOTS],
        "keys": pack(_keys()).hex(),
        "exporter": exporter.hex(),
        "exports": [
            {
                "label": label,
                "context": context.hex(),
                "length": length,
                "key": ratchet.export(exporter, label, context, length).hex(),
            }
            for label, context, length in EXPORTS
        ],
        "chain": [_link(chain.forward(index)) for index in (0, 1, 2, 99)],
        "messages": [_message(chain.forward(index)) for index in (0, 1, 2)],
    }


def _keys() -> epochs.EpochKeys:
    recipients = [Recipient(*address, xwing.public_key(seed)) for address, seed in SLOTS.items()]
    return epochs.make_keys(header(), drawn("seed"), device_seed(ACCOUNT, DEVICE), recipients)


def _slot(packed: bytes, account: str, device: str, prekey: int) -> Vector:
    return {
        "account": account,
        "device": device,
        "prekey": prekey,
        "prekey_seed": SLOTS[account, device, prekey].hex(),
        "info": epochs.slot_info(packed, account, device, prekey).hex(),
    }


def _link(chain: Chain) -> Vector:
    key, nonce = chain.message_key()
    return {"index": chain.index, "chain": chain.key.hex(), "key": key.hex(), "nonce": nonce.hex()}


def _message(chain: Chain) -> Vector:
    mid, content = drawn(f"mid {chain.index}", 16), pack(("text", {"text": f"message {chain.index}"}))
    sealed_header = MessageHeader(
        ROOM,
        ACCOUNT,
        DEVICE,
        header().epoch,
        chain.index,
        chain.index - 1 if chain.index else None,
        mid,
        Place(1, 13 + chain.index),
        "session-1" if chain.index == 1 else None,
    )
    return {
        "index": chain.index,
        "mid": mid.hex(),
        "session": sealed_header.session,
        "after": [sealed_header.after.log, sealed_header.after.offset],
        "header": pack(sealed_header).hex(),
        "content": content.hex(),
        "envelope": messages.seal(sealed_header, chain, content, device_seed(ACCOUNT, DEVICE)).hex(),
    }
