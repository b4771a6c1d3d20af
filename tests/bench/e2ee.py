"""What end-to-end encryption costs a client in Python: a message sealed, a message opened, an epoch begun.

The limit of sealing is one Ed25519 signature with a key at hand, that of opening one verification: everything
else is small beside them.
"""

import statistics
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.e2ee import epochs, messages, ratchet, signing, xwing
from protocol.e2ee.epochs import Place, Recipient
from protocol.e2ee.messages import Arrival, MessageHeader
from protocol.e2ee.ratchet import Chain
from tests.bench import Measurement
from tests.vectors.talking import header
from tests.vectors.values import drawn

MESSAGES = 1000
EPOCHS = 100
ROUNDS = 5
CONTENT = bytes(200)  # a short message
SEED = drawn("device")
MID = drawn("mid", 16)
PUBLIC = signing.public_key(SEED)
CHAIN, _ = ratchet.start(b"header", drawn("seed"))
HEADER = header()
RECIPIENT = Recipient("ben", "tablet", 1, xwing.public_key(drawn("prekey")))


def measure() -> dict[str, Measurement]:
    """Microseconds of one core, each the median of some rounds."""
    key, signed = Ed25519PrivateKey.from_private_bytes(SEED), bytes(400)
    signature, public = key.sign(signed), key.public_key()
    data = [seal(index % ratchet.MAX_MESSAGES) for index in range(MESSAGES)]
    return {
        "e2ee.seal": Measurement(
            timed(MESSAGES, lambda index: seal(index % ratchet.MAX_MESSAGES)),
            "us",
            timed(MESSAGES, lambda _: key.sign(signed)),
        ),
        "e2ee.open": Measurement(
            timed(MESSAGES, lambda index: open_message(data[index])),
            "us",
            timed(MESSAGES, lambda _: public.verify(signature, signed)),
        ),
        "e2ee.slot": Measurement(timed(EPOCHS, lambda _: seal_slot()), "us"),
    }


def timed(times: int, work: Callable[[int], object]) -> float:
    """Microseconds of processor for one piece of work."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for index in range(times):
            work(index)
        rounds.append((time.process_time() - began) / times * 1e6)
    return statistics.median(rounds)


def seal(index: int) -> bytes:
    """One message, and the ratchet's step to the next."""
    chain = Chain(CHAIN.key, index)
    previous = index - 1 if index else None
    sealed_header = MessageHeader(
        "room-1", "ada", "laptop", bytes(16), index, previous, MID, Place(1, 5), None
    )
    data = messages.seal(sealed_header, chain, CONTENT, SEED)
    chain.forward(index + 1)
    return data


def open_message(data: bytes) -> bytes:
    """One message, and the ratchet's step to the next."""
    envelope, sealed_header = messages.read(data)
    arrival = Arrival("room-1", "ada", "laptop", MID, None, Place(1, 9))
    messages.check(envelope, sealed_header, arrival, PUBLIC)
    messages.check_order(sealed_header, sealed_header.index)
    here = Chain(CHAIN.key, sealed_header.index)
    here.forward(here.index + 1)
    return messages.decrypt(envelope, here)


def seal_slot() -> object:
    """An epoch for one device."""
    return epochs.make_keys(HEADER, drawn("seed"), SEED, [RECIPIENT])
