"""One room's log, as a device reads it: the keys of each speaker, and their messages in turn.

An event that cannot be opened is set aside with its reason and does not hold up the rest. After a restore
from a backup the log is delivered again: what was read before, and was sealed in an earlier life of the log,
is passed over in silence.
"""

from __future__ import annotations

from protocol.e2ee import circle, epochs, messages, ratchet, stock
from protocol.e2ee.asking import Archived, Event, MessageData, Missing, Opened, Outcome, SetAside, Suspicion
from protocol.e2ee.contents import decode_content
from protocol.e2ee.epochs import ARCHIVE, Before, EpochHeader, EpochKeys, Place
from protocol.e2ee.errors import (
    BeforeThisDevice,
    Duplicate,
    E2eeError,
    Gap,
    ListError,
    MissingSlot,
    Reordered,
    Replayed,
    StaleList,
    UnknownDevice,
    UnknownEpoch,
    UnknownPrekey,
    UnreadableSlot,
    WrongEpoch,
)
from protocol.e2ee.kdf import digest
from protocol.e2ee.messages import Arrival, Envelope, MessageHeader
from protocol.e2ee.ratchet import Chain
from protocol.e2ee.state import FINISHED_KEPT, MIDS_KEPT, Room, Speaker, State
from protocol.e2ee.structures import EpochId


def take(state: State, room: Room, event: Event) -> list[Outcome]:
    """Take in one event that follows the cursor, which the caller moves."""
    outcomes: list[Outcome] = []
    try:
        match event.content:
            case EpochKeys() as keys:
                _keys(state, room, event, keys, outcomes)
            case MessageData() as message:
                _message(state, room, event, message, outcomes)
            case None:
                pass
    except ListError as error:
        outcomes.append(Suspicion(event.account, error.name))
        outcomes.append(_aside(event, error))
    except E2eeError as error:
        outcomes.append(_aside(event, error))
    return outcomes


def _aside(event: Event, error: E2eeError) -> SetAside:
    return SetAside(event.room, event.place, event.account, event.device, error.name)


# --- Keys ---------------------------------------------------------------------------------------------


def _keys(state: State, room: Room, event: Event, keys: EpochKeys, outcomes: list[Outcome]) -> None:
    header = epochs.read_header(keys.header)
    # First of all, so that no list of an account is learnt from an event of another one.
    epochs.check_sender(header, event.room, event.account, event.device)
    devices = circle.recognise(state, header, again=room.replaying or room.recalling)
    device_key = devices.key_of(event.device)
    if device_key is None:
        raise UnknownDevice()
    epochs.check_header(keys, header, event.room, event.account, event.device, device_key)
    if header.after.log == event.place.log and header.after.offset >= event.place.offset:
        raise Reordered()
    if room.replaying and _is_own(state, event):
        room.previous = Before(header.epoch, None)
    speaker = room.speakers.get((event.account, event.device))
    if speaker and (header.epoch == speaker.epoch or _is_over(speaker, header)):
        if header.after.log < event.place.log:
            return
        raise Replayed()
    _raise_floor(state, room, header)
    if header.organisation != (digest(room.organisation) if room.organisation else None):
        outcomes.append(Archived(event.room, event.place, event.account, event.device, header.organisation))
    if speaker:
        outcomes.extend(_missing_epochs(event, header, speaker))
    room.speakers[event.account, event.device] = following = Speaker(
        epoch=header.epoch,
        after=header.after,
        log=event.place.log,
        number=devices.number,
        key=device_key,
        finished=_finished(speaker) if speaker else (),
        mids=speaker.mids if speaker else (),
    )
    try:
        following.chain, following.exporter = _unseal(state, room, keys, header)
    except E2eeError as error:
        following.error = error.name
        if not isinstance(error, BeforeThisDevice):
            raise


def _finished(speaker: Speaker) -> tuple[tuple[EpochId, Place], ...]:
    """The earlier epochs of a speaker that begins another one."""
    return (*speaker.finished, (speaker.epoch, speaker.after))[-FINISHED_KEPT:]


def _is_over(speaker: Speaker, header: EpochHeader | MessageHeader) -> bool:
    """Whether an epoch is one before the live one: one of those remembered, or of before they were begun."""
    if any(header.epoch == epoch for epoch, _ in speaker.finished):
        return True
    if header.epoch == speaker.epoch or len(speaker.finished) < FINISHED_KEPT:
        return False
    _, oldest = speaker.finished[0]
    return (header.after.log, header.after.offset) <= (oldest.log, oldest.offset)


def _raise_floor(state: State, room: Room, header: EpochHeader) -> None:
    """Nobody speaks under a list that the log has left behind: its device may have been revoked.

    Only numbers of lists that were seen raise the floor, so that no member can raise it out of reach.
    """
    for name in header.lists:
        if name.number < room.floor.get(name.account, 0):
            raise StaleList()
    for name in header.lists:
        proven = min(name.number, _proven(state, room, name.account))
        room.floor[name.account] = max(room.floor.get(name.account, 0), proven)


def _proven(state: State, room: Room, account: str) -> int:
    """The highest number of an account's list that was seen: in a second reading, up to this place."""
    if not room.recalling:
        return circle.number_of(state, account)
    return max((each.number for (owner, _), each in room.speakers.items() if owner == account), default=0)


def _missing_epochs(event: Event, header: EpochHeader, speaker: Speaker) -> list[Outcome]:
    """Whether everything that the sender had stored before this epoch has arrived."""
    if speaker.loose or header.after.log < event.place.log or speaker.log < event.place.log:
        return []  # Purged, or a restore came between: its sender finds out itself what was lost.
    before = header.previous
    if before is not None and before.epoch == speaker.epoch:
        told = 0 if before.last is None else before.last + 1
        if speaker.chain is None or told <= speaker.chain.index:
            return []
        return [Missing(event.room, event.place, event.account, event.device, told - speaker.chain.index)]
    return [Missing(event.room, event.place, event.account, event.device, None)]


def _unseal(state: State, room: Room, keys: EpochKeys, header: EpochHeader) -> tuple[Chain, bytes]:
    """Chain and exporter of an epoch."""
    own = (header.account, header.device) == (state.account, state.device)
    slot = epochs.find_slot(keys, state.account, state.device)
    if room.recalling and (own or slot) and not _was_refused(state, room, header):
        raise BeforeThisDevice("it was read in its turn")
    left = (*room.past.opens, *room.waiting) if room.past else ()
    if slot and header.account in left:
        raise BeforeThisDevice("it is left to the second reading")
    if own:
        if header.epoch not in room.echoes:
            raise UnknownEpoch("this device has begun no such epoch")
        return room.echoes.pop(header.epoch)
    if slot:
        seed = stock.find(state.stock, slot.prekey)
        if seed is None:
            raise UnknownPrekey()
        opened = ratchet.start(keys.header, epochs.open_slot(keys.header, slot, seed))
        stock.spend(state.stock, slot.prekey)
        return opened
    archive = ARCHIVE in room.opens if room.recalling else ARCHIVE not in left
    if archive and (seed := _archived(state, keys)) is not None:
        return ratchet.start(keys.header, seed)
    named = bool(state.listed_from) and header.number_of(state.account) >= state.listed_from
    if named and not room.recalling:
        raise MissingSlot()
    raise BeforeThisDevice()


def _was_refused(state: State, room: Room, header: EpochHeader) -> bool:
    """Whether it was said under a key that the first reading did not trust yet."""
    known = circle.latest(state, header.account)
    return header.account in room.opens and known is not None and known.account_key == header.own.account_key


def _archived(state: State, keys: EpochKeys) -> bytes | None:
    """The seed of an epoch that was sealed to the archive whose key is held.

    The account may have had another archive then, which looks the same as a slot that someone has changed.
    """
    slot = epochs.find_slot(keys, state.account, ARCHIVE)
    if slot is None or state.archive_seed is None:
        return None
    try:
        return epochs.open_slot(keys.header, slot, state.archive_seed)
    except UnreadableSlot:
        return None


# --- Messages -----------------------------------------------------------------------------------------


def _message(state: State, room: Room, event: Event, body: MessageData, outcomes: list[Outcome]) -> None:
    envelope, header = messages.read(body.data)
    speaker = room.speakers.get((event.account, event.device))
    if speaker is None:
        raise UnknownEpoch()
    arrival = Arrival(event.room, event.account, event.device, body.mid, body.session, event.place)
    messages.check(envelope, header, arrival, speaker.key)
    if room.replaying and _is_own(state, event):
        _read_back(room, header, event.place)
    again = header.after.log < event.place.log
    if _is_over(speaker, header):
        if again:
            return
        raise WrongEpoch()
    if header.epoch != speaker.epoch:
        raise UnknownEpoch()
    if speaker.number < room.floor.get(event.account, 0):
        raise StaleList()
    if speaker.chain is None:
        outcomes.append(SetAside(event.room, event.place, event.account, event.device, speaker.error))
    elif _is_next(event, header, speaker, speaker.chain, outcomes, again=again):
        _open(event, body, envelope, speaker, speaker.chain.forward(header.index), outcomes)


def _is_next(
    event: Event,
    header: MessageHeader,
    speaker: Speaker,
    chain: Chain,
    outcomes: list[Outcome],
    *,
    again: bool,
) -> bool:
    """Whether it is to be opened: not if it was opened in an earlier life of the log."""
    try:
        messages.check_order(header, chain.index)
    except (Duplicate, Replayed):
        if again:
            return False
        raise
    except Gap as gap:
        if not again and not speaker.loose:
            outcomes.append(Missing(event.room, event.place, event.account, event.device, gap.missing))
    speaker.loose = False
    return True


def _open(
    event: Event,
    body: MessageData,
    envelope: Envelope,
    speaker: Speaker,
    chain: Chain,
    outcomes: list[Outcome],
) -> None:
    # The index is spent, whatever is inside: one bad message does not hold up the next.
    speaker.chain = chain.forward(chain.index + 1)
    content = decode_content(messages.decrypt(envelope, chain))
    if body.mid in speaker.mids:
        return
    speaker.mids = (*speaker.mids, body.mid)[-MIDS_KEPT:]
    outcomes.append(
        Opened(event.room, event.place, event.account, event.device, body.mid, body.session, content)
    )


def _is_own(state: State, event: Event) -> bool:
    return (event.account, event.device) == (state.account, state.device)


def _read_back(room: Room, header: MessageHeader, place: Place) -> None:
    """A message of this device stands in the log that is read again."""
    room.previous = Before(header.epoch, header.index)
    room.sent = tuple((mid, place if mid == header.mid else stored) for mid, stored in room.sent)
