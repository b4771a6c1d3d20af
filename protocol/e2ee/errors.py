"""Everything that end-to-end encryption can find wrong, each with a name of its own.

    E2eeError
      Malformed, Truncated                       the bytes are no such structure, or were cut short
      ForgedSignature                            nobody who has the key signed these bytes
      ListError                                  a device list cannot follow the one known
      PrekeyError                                a prekey is not the one asked for
      EpochError                                 the keys of an epoch cannot be taken
        BeforeThisDevice                         ... because it was not for this device: no defect
      MessageError                               a message is not the next one of its sender
      VaultError, AttachmentError, ContentError, OutboxFull, TooManyDevices

They are for the client that opens something; the server's refusals are in :mod:`protocol.errors`. Texts
carry no content, no keys and no names of people.
"""

from __future__ import annotations

from typing import ClassVar


class E2eeError(Exception):
    """Base of them all. ``name`` is stable, and shown and counted by apps."""

    name: ClassVar[str]
    meaning: ClassVar[str]

    def __init_subclass__(cls, name: str = "", meaning: str = "") -> None:
        if name:
            cls.name, cls.meaning = name, meaning

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"{self.name}: {detail or self.meaning}")


class Malformed(E2eeError, name="malformed", meaning="the bytes are not such a structure"):
    """The bytes are not such a structure."""


class Truncated(E2eeError, name="truncated", meaning="the bytes were cut short"):
    """The bytes end before the structure does."""


class ForgedSignature(E2eeError, name="forged_signature", meaning="the signature is not by this key"):
    """The signature does not fit the key and the bytes."""


# --- Device lists and prekeys -------------------------------------------------------------------------


class ListError(E2eeError):
    """A device list cannot follow the one known."""


class WrongAccount(ListError, name="wrong_account", meaning="the list is of another account"):
    """The list was signed for another account."""


class IdentityChanged(ListError, name="identity_changed", meaning="the account has another key than before"):
    """Only the people themselves can tell whether this is a new start or an attack: ask them."""


class ListRolledBack(ListError, name="list_rolled_back", meaning="a newer list is known"):
    """The server shows a list that is older than one it has shown."""


class ListForked(ListError, name="list_forked", meaning="two lists have one number, or do not follow"):
    """The account signed two different histories, or the server shows different people different ones."""


class PrekeyError(E2eeError):
    """A prekey is not the one asked for."""


class WrongPrekey(PrekeyError, name="wrong_prekey", meaning="the prekey is of another device"):
    """The prekey is signed for another account or device."""


class NoPrekey(PrekeyError, name="no_prekey", meaning="the server gives no prekey of a listed device"):
    """A listed device cannot be sealed to, and nothing is sent without it."""


# --- Epochs -------------------------------------------------------------------------------------------


class EpochError(E2eeError):
    """The keys of an epoch cannot be taken."""


class BeforeThisDevice(
    EpochError, name="before_this_device", meaning="it was written before this device was there"
):
    """The epoch was not sealed to this device, and its sender knew of no such device. No defect."""


class UnknownDevice(EpochError, name="unknown_device", meaning="the list named has no such device"):
    """The sender's device is not in the list under which it says it speaks."""


class UnknownList(EpochError, name="unknown_list", meaning="the list named is not known yet"):
    """The list that the epoch names has to be fetched first."""


class StaleList(EpochError, name="stale_list", meaning="an earlier event of the room names a newer list"):
    """Who speaks under a list that the room has already left behind may have been revoked."""


class BadCommitment(EpochError, name="bad_commitment", meaning="the seed is not the one committed to"):
    """The slot holds another seed than the header promises to everyone."""


class MissingSlot(
    EpochError, name="missing_slot", meaning="this device is named, but nothing is sealed to it"
):
    """The sender knew of this device, and yet there is no slot: someone took it away."""


class UnknownPrekey(EpochError, name="unknown_prekey", meaning="the slot is for a prekey not held"):
    """The slot was sealed to a prekey that this device does not have."""


class UnreadableSlot(EpochError, name="unreadable_slot", meaning="the slot cannot be opened"):
    """The slot was changed, swapped, or sealed for another header."""


# --- Messages -----------------------------------------------------------------------------------------


class MessageError(E2eeError):
    """A message is not the next one of its sender."""


class WrongRoom(MessageError, name="wrong_room", meaning="it was written for another room"):
    """The server moved it from another room."""


class WrongSender(MessageError, name="wrong_sender", meaning="it was written by another device"):
    """The server says that someone else wrote it."""


class WrongMessageId(MessageError, name="wrong_message_id", meaning="it was written under another id"):
    """The server stored it under an id that its sender did not give."""


class WrongSession(MessageError, name="wrong_session", meaning="it was written in another session"):
    """The server moved it into another session, or out of one."""


class UnknownEpoch(MessageError, name="unknown_epoch", meaning="no keys event has opened this epoch"):
    """Its keys event was never delivered."""


class WrongEpoch(MessageError, name="wrong_epoch", meaning="its sender has begun a newer epoch since"):
    """It stands behind the keys of a newer epoch."""


class Duplicate(MessageError, name="duplicate", meaning="it is the one opened last"):
    """The server delivers one event under two offsets."""


class Replayed(MessageError, name="replayed", meaning="its sender's later messages were read before"):
    """An old message in a new place: read long ago, or told as missing since."""


class Gap(MessageError, name="gap", meaning="earlier messages of this sender are missing"):
    """``missing`` messages of this sender were left out before this one."""

    def __init__(self, missing: int) -> None:
        super().__init__(f"{missing} earlier messages of this sender are missing")
        self.missing = missing


class Reordered(MessageError, name="reordered", meaning="it stands before what its sender had read"):
    """The server put it in front of something that its sender had already taken in."""


class OutOfOrder(MessageError, name="out_of_order", meaning="the event does not follow the last one"):
    """The room's log was delivered with a hole; ask for it again from the last offset taken in."""


class Tampered(MessageError, name="tampered", meaning="the ciphertext does not fit its key"):
    """Signed by its sender and yet unreadable: a defect of the sender's app."""


class EpochExhausted(MessageError, name="epoch_exhausted", meaning="the epoch has no more messages"):
    """The index lies beyond the last one that an epoch may have."""


# --- What stands around -------------------------------------------------------------------------------


class OutboxFull(E2eeError, name="outbox_full", meaning="too many messages wait to be sent"):
    """Nothing was taken: try again when some of those that wait are stored."""


class TooManyDevices(E2eeError, name="too_many_devices", meaning="an account has no more devices than that"):
    """Nothing was changed: put another device out first."""


class ContentError(E2eeError, name="bad_content", meaning="the content inside is not well-formed"):
    """The padding or the content is not what a client writes."""


class VaultError(E2eeError, name="wrong_passphrase", meaning="the vault does not open"):
    """The passphrase is wrong, or the vault was changed."""


class AttachmentError(E2eeError):
    """The bytes of an attachment are not those that were sent."""


class AttachmentTruncated(AttachmentError, name="attachment_truncated", meaning="its end is missing"):
    """The last chunk is not there."""


class AttachmentTampered(AttachmentError, name="attachment_tampered", meaning="its bytes were changed"):
    """A chunk was changed, moved or taken from elsewhere."""
