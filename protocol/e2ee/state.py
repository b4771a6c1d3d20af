"""What a device has to remember: one value, saved as bytes before anything is sent or acknowledged.

It holds private keys: apps keep it where the platform keeps secrets.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta, Struct

from protocol.e2ee.devices import SignedList
from protocol.e2ee.epochs import Before, Place
from protocol.e2ee.errors import Malformed
from protocol.e2ee.ratchet import Chain
from protocol.e2ee.structures import Bytes16, Bytes32, EpochId, Secret

Address: TypeAlias = tuple[str, str]
"""Account and device."""

VERSION = 1
FORMER_KEPT = 8
"""How many earlier keys of an account are remembered."""

FINISHED_KEPT = 64
"""Of how many earlier epochs of a device it is remembered that they are over."""

SENT_KEPT = 256
"""Of how many messages sent it is remembered that the server had them."""

MIDS_KEPT = SENT_KEPT
"""Of how many messages of a device it is remembered that they were shown: as many as it may send again."""

OWN_LISTS_KEPT = 8
"""How many of the account's own lists are kept, to bring a server up to date that was restored."""


class _Part(Struct, array_like=True):
    """Base of the parts that change; none of them shows its fields."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Speaker(_Part):
    """What is known of one sending device in a room."""

    epoch: EpochId
    """Its live epoch."""
    after: Place
    """What it had taken in when it began the epoch."""
    log: int
    """The life of the log in which it was opened."""
    number: int
    """The number of its account's list under which it speaks."""
    key: Bytes32
    """The device's public key, from that list."""
    chain: Chain | None = None
    """For its next message; None when the epoch cannot be opened here."""
    exporter: bytes = b""
    error: str = ""
    """Why not."""
    loose: bool = False
    """Some of its messages were purged unread: a hole before the next one is no alarm."""
    finished: tuple[tuple[EpochId, Place], ...] = ()
    """Its earlier epochs, the last :data:`FINISHED_KEPT`, each with what it had taken in before."""
    mids: tuple[Bytes16, ...] = ()
    """Its messages shown, the last :data:`MIDS_KEPT`."""


class Draft(Secret, frozen=True):
    """A message that is not stored yet."""

    mid: Bytes16
    content: bytes
    session: str | None
    urgent: bool


class Claimed(Secret, frozen=True):
    """A prekey of another device, to seal the next epoch to."""

    id: int
    public: bytes


class OwnEpoch(Secret, frozen=True):
    """The epoch in which this device speaks."""

    epoch: EpochId
    chain: Chain
    lists: dict[str, int]
    log: int
    created_ms: int


class Change(Secret, frozen=True):
    """What a person wants of their account's list."""

    device: str
    """Which device; empty for the archive."""
    key: bytes | None
    """Its public key from then on; None: it is to be there no more."""
    at_ms: int


class InFlight(Secret, frozen=True):
    """What is sent and not answered yet, byte for byte."""

    mid: Bytes16
    data: bytes
    """The packed keys of an epoch, or an envelope."""
    epoch: OwnEpoch
    """As it is once this is stored."""


class Room(_Part):
    """One room, both directions."""

    cursor: Place = Place(0, 0)
    """The last event taken in."""
    replaying: bool = False
    """The log began anew and is not read to its end yet: nothing is sent before."""
    left: bool = False
    """The account is no member for now."""
    floor: dict[str, int] = {}
    """Per account the highest number of a list under which someone has spoken in this log."""
    speakers: dict[Address, Speaker] = {}
    lists: dict[str, tuple[int, bytes]] | None = None
    """Number and digest of every member's current list; None: to be asked for."""
    barred: tuple[Address, ...] = ()
    organisation: bytes | None = None
    """The public key of the organisation's archive, as the app has it from the platform."""
    halted: str = ""
    """Why nothing can be sent for now: the name of an error in what the server has shown."""
    drafts: tuple[Draft, ...] = ()
    claim: Bytes16 | None = None
    claimed: dict[Address, Claimed] = {}
    opening: InFlight | None = None
    flying: InFlight | None = None
    epoch: OwnEpoch | None = None
    previous: Before | None = None
    """The own epoch that stands last in the log, and its last message."""
    echoes: dict[EpochId, tuple[Chain, bytes]] = {}
    """Own epochs that were not yet read back from the log: chain and exporter."""
    sent: tuple[tuple[Bytes16, Place], ...] = ()
    """Messages stored, the last :data:`SENT_KEPT`, and where."""
    past: Room | None = None
    """The second reading of the log, for what could not be opened when it came."""
    recalling: bool = False
    """This is a second reading."""
    opens: tuple[str, ...] = ()
    """What a second reading opens: epochs of these accounts, or, for the empty one, those of the archive."""
    waiting: tuple[str, ...] = ()
    """What the second reading after this one is to open."""


class PrivatePrekey(Secret, frozen=True):
    """The private half of a prekey."""

    seed: Bytes32
    generation: int
    made_ms: int
    confirmed: bool
    """The server has taken it."""
    gone_ms: int | None = None
    """Since when the server no longer holds it; what was sealed to it may still be under way."""


class Stock(_Part):
    """This device's prekeys."""

    generation: int = 0
    next_id: int = 1
    one_time: dict[int, PrivatePrekey] = {}
    last_resort: dict[int, PrivatePrekey] = {}
    """The current one has the highest id."""


class State(_Part):
    """Everything."""

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)]
    account: str
    device: str
    seed: Bytes32
    """This device's private key."""
    account_seed: Bytes32 | None = None
    """The account's, on devices that may let others in."""
    archive_seed: Bytes32 | None = None
    """The archive's, on devices that may read what is older than they are."""
    listed_from: int = 0
    """The number of the first list known with this device in it; 0: none yet."""
    requested: bool = False
    """The server knows that this device asks to be listed."""
    own_lists: tuple[SignedList, ...] = ()
    """The last :data:`OWN_LISTS_KEPT`, by rising number."""
    proposed: SignedList | None = None
    """The next own list, until the server has answered: never another one in its place."""
    server_list: int = -1
    """The number of the own list that the server holds; -1: not known yet."""
    known: dict[str, SignedList] = {}
    """The latest list seen of every other account; its key is the one pinned."""
    suspects: dict[str, SignedList] = {}
    """Lists under another account key, until a person has decided."""
    stock: Stock = msgspec.field(default_factory=Stock)
    rooms: dict[str, Room] = {}
    wanted: tuple[Change, ...] = ()
    """What is not in the latest own list yet."""
    former: dict[str, tuple[Bytes32, ...]] = {}
    """Keys that accounts had before, the last :data:`FORMER_KEPT`: for what was said under them then."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(State)


def to_bytes(state: State) -> bytes:
    """The state as it is saved."""
    return _ENCODER.encode(state)


def from_bytes(data: bytes) -> State:
    """The inverse of :func:`to_bytes`; :exc:`Malformed` when it is no state of this version."""
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeError, ValueError):
        raise Malformed("not the saved state of a device") from None
