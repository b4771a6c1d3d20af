"""What a device asks the server for, what the server tells it, and what it has to tell its app.

These are values of the client and not frames: the app's connection turns one into the other. All requests can
be repeated; a device repeats them, the same byte for byte, until they are answered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from protocol.e2ee.contents import Content
from protocol.e2ee.devices import SignedList
from protocol.e2ee.epochs import EpochKeys, Place
from protocol.e2ee.prekeys import SignedPrekey

Address: TypeAlias = tuple[str, str]
"""Account and device."""


# --- Requests -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestListing:
    """Tell the account's other devices that this one, with this key, asks to be listed."""

    key: bytes


@dataclass(frozen=True, slots=True)
class PutPrekeys:
    """Leave prekeys; those that are held already are passed over."""

    one_time: tuple[SignedPrekey, ...]
    last_resort: SignedPrekey | None


@dataclass(frozen=True, slots=True)
class PutList:
    """Make this the account's current list, if it is the next one."""

    list: SignedList


@dataclass(frozen=True, slots=True)
class GetLists:
    """The current device lists of a room's members."""

    room: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One prekey of each of these devices; the same ones again for the same ``claim``."""

    claim: bytes
    room: str
    devices: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class SendKeys:
    """Open an epoch."""

    room: str
    mid: bytes
    keys: EpochKeys


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Store a message, made for these numbers of the members' device lists."""

    room: str
    mid: bytes
    data: bytes
    session: str | None
    urgent: bool
    lists: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Recall:
    """The events of a room after an offset, which are to be read again with the archive's key."""

    room: str
    after: int


Request: TypeAlias = (
    RequestListing | PutPrekeys | PutList | GetLists | Claim | SendKeys | SendMessage | Recall
)


# --- What the server tells ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the server holds of this device, as told in ``welcome``."""

    generation: int
    digest: bytes
    count: int
    lowest: int | None
    """The one that is handed out next."""
    highest: int
    """The highest id ever taken in this generation; 0 for none."""
    last_resort: int | None
    list: int
    """The number of the account's current list; 0 if there is none."""
    first: int = 1
    """The number that its first list is to have."""


@dataclass(frozen=True, slots=True)
class Lists:
    """The current lists of a room's members, in answer to :class:`GetLists` or with a refusal."""

    room: str
    members: tuple[str, ...]
    """All of them, also those without a list."""
    lists: tuple[tuple[str, SignedList], ...]
    """By account."""
    barred: tuple[Address, ...] = ()
    """Devices that the platform has cut off: nothing is sealed to them."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why keys or a message were not stored, and never will be as they are."""

    error: str
    """The name of the server's error."""
    lists: Lists | None = None
    """They were made for other devices: for these they are made again."""
    again: bool = False
    """It lies with the epoch and not with the message, which is sealed again in another one."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a room's log; ``content`` is None for those that carry nothing sealed."""

    room: str
    place: Place
    account: str = ""
    device: str = ""
    content: EpochKeys | MessageData | None = None


@dataclass(frozen=True, slots=True)
class MessageData:
    """The body of a message event."""

    mid: bytes
    data: bytes
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a room's log, in answer to :class:`Recall`."""

    log: int
    """Which life of the log it is of."""
    lowest: int
    """The lowest offset that the server still has; 0 if it has none."""
    events: tuple[Event, ...]


# --- What the app is told -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """A message to be shown: each one once on each device, its own too."""

    room: str
    place: Place
    account: str
    device: str
    mid: bytes
    session: str | None
    content: Content = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetAside:
    """An event that cannot be shown, and why; the rest of the room goes on.

    ``before_this_device`` is no defect: it says that the message is older than this device.
    """

    room: str
    place: Place
    account: str
    device: str
    error: str
    """The name of an :class:`~protocol.e2ee.errors.E2eeError`."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Messages of a device were left out before this place: the server lost or withheld them."""

    room: str
    place: Place
    account: str
    device: str
    count: int | None
    """How many; unknown when whole epochs are missing."""


@dataclass(frozen=True, slots=True)
class Archived:
    """What follows of a device is sealed to another archive of an organisation than this app knows of."""

    room: str
    place: Place
    account: str
    device: str
    archive: bytes | None
    """SHA-256 of the archive's public key; None when it is sealed to none."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """The server showed keys of an account that cannot be right; nothing is sent on their strength."""

    account: str
    error: str
    """The name of an :class:`~protocol.e2ee.errors.E2eeError`; people decide on ``identity_changed``."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A message that this device had sent is gone, because the server was restored from a backup.

    Send it again under the same id: those who have read it are not shown it twice.
    """

    room: str
    mid: bytes


@dataclass(frozen=True, slots=True)
class NotSent:
    """A message was refused for good; the app says so and lets its person decide."""

    room: str
    mid: bytes
    error: str


@dataclass(frozen=True, slots=True)
class Unlisted:
    """This device is not, or no longer, in its account's list."""

    number: int


Outcome: TypeAlias = Opened | SetAside | Missing | Archived | Suspicion | Lost | NotSent | Unlisted
