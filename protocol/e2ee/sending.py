"""One room, as a device speaks in it: one thing in flight, made once, and sent until it is answered.

    drafts -> lists known -> prekeys claimed -> keys stored -> message stored -> next draft

Whatever needs chance is made here and saved before it is sent; a refusal for good makes the epoch useless,
because its next message key was used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from protocol.e2ee import circle, epochs, messages, ratchet
from protocol.e2ee.asking import (
    Claim,
    GetLists,
    Lists,
    NotSent,
    Outcome,
    Refusal,
    Request,
    SendKeys,
    SendMessage,
    Suspicion,
)
from protocol.e2ee.devices import check_archive
from protocol.e2ee.epochs import ARCHIVE, Before, EpochHeader, EpochKeys, Place, Recipient
from protocol.e2ee.errors import E2eeError, NoPrekey
from protocol.e2ee.kdf import digest
from protocol.e2ee.messages import MessageHeader
from protocol.e2ee.prekeys import SignedPrekey, verify_prekey
from protocol.e2ee.state import SENT_KEPT, Address, Claimed, InFlight, OwnEpoch, Room, State
from protocol.e2ee.structures import NO_DIGEST, pack, unpack

Draw = Callable[[int], bytes]
"""So many random bytes."""


def uuid7(now_ms: int, draw: Draw) -> bytes:
    """A UUIDv7 (RFC 9562, 5.7)."""
    value = int.from_bytes(now_ms.to_bytes(6, "big") + draw(10), "big")
    value &= ~(0xF << 76 | 0x3 << 62)
    return (value | 0x7 << 76 | 0x2 << 62).to_bytes(16, "big")


def requests(state: State, name: str, room: Room) -> Iterator[Request]:
    """What is to be asked for now; the same until it is answered."""
    if room.left:
        return
    if room.opening:
        yield SendKeys(name, room.opening.mid, unpack(EpochKeys, room.opening.data))
    elif room.flying:
        draft = room.drafts[0]
        lists = tuple(sorted(room.flying.epoch.lists.items()))
        yield SendMessage(name, draft.mid, room.flying.data, draft.session, draft.urgent, lists)
    elif _may_go_on(room):
        if room.lists is None:
            yield GetLists(name)
        elif room.claim:
            yield Claim(room.claim, name, tuple(_unclaimed(state, room)))


def proceed(state: State, name: str, room: Room, now_ms: int, draw: Draw) -> None:
    """Make what comes next, if nothing is in flight or asked for."""
    if room.opening or room.flying or not _may_go_on(room) or room.lists is None:
        return
    if room.epoch is None or not _usable(room, room.epoch, now_ms):
        room.epoch = None
        if not any(True for _ in _unclaimed(state, room)):
            room.claim = None
            _open(state, name, room, now_ms, draw)
        elif room.claim is None:
            room.claim = uuid7(now_ms, draw)
        return
    _seal(state, name, room, room.epoch)


def take_lists(state: State, room: Room, told: Lists) -> list[Outcome]:
    """The current lists of the members. What is wrong with one of them stops sending in this room."""
    outcomes: list[Outcome] = []
    found = dict.fromkeys(told.members, (0, NO_DIGEST))
    room.halted = ""
    for account, signed in told.lists:
        try:
            devices = circle.learn(state, account, signed)
            found[account] = (devices.number, signed.digest)
            check_archive(devices)
        except E2eeError as error:
            room.halted = error.name
            outcomes.append(Suspicion(account, error.name))
    for account, (number, _) in found.items():
        if number < circle.number_of(state, account) and not room.halted:
            room.halted = "list_rolled_back"
            outcomes.append(Suspicion(account, room.halted))
    before = room.lists or {}
    room.claimed = {
        key: each for key, each in room.claimed.items() if before.get(key[0]) == found.get(key[0])
    }
    room.claim = None
    if told.barred != room.barred:
        room.epoch = None
    room.lists, room.barred = found, told.barred
    return outcomes


def take_prekeys(
    state: State, room: Room, claim: bytes, given: tuple[tuple[Address, SignedPrekey], ...]
) -> list[Outcome]:
    """What was claimed. A prekey that its device has not signed stops sending in this room."""
    if claim != room.claim:
        return []
    room.claim = None
    for (account, device), signed in given:
        known = circle.latest(state, account)
        key = circle.read(known).key_of(device) if known else None
        if key is None:
            continue
        try:
            prekey = verify_prekey(signed, account, device, key)
        except E2eeError as error:
            room.halted = error.name
            return [Suspicion(account, error.name)]
        room.claimed[account, device] = Claimed(id=prekey.id, public=prekey.public)
    if (without := next(_unclaimed(state, room), None)) is not None:
        room.halted = NoPrekey.name
        return [Suspicion(without[0], NoPrekey.name)]
    return []


def stored(room: Room, mid: bytes, place: Place) -> None:
    """The server has what was in flight."""
    if room.opening and room.opening.mid == mid:
        room.epoch, room.opening, room.claimed = room.opening.epoch, None, {}
        room.previous = Before(room.epoch.epoch, None)
    elif room.flying and room.flying.mid == mid:
        room.previous = Before(room.flying.epoch.epoch, room.flying.epoch.chain.index - 1)
        # A restore since then has ended the epoch.
        room.epoch = room.flying.epoch if room.epoch else None
        room.sent = (*room.sent, (mid, place))[-SENT_KEPT:]
        room.flying, room.drafts = None, room.drafts[1:]


def refused(state: State, name: str, room: Room, mid: bytes, refusal: Refusal) -> list[Outcome]:
    """What was in flight is not stored and never will be: the epoch is over."""
    if room.opening and room.opening.mid == mid:
        room.echoes.pop(room.opening.epoch.epoch, None)
    elif not (room.flying and room.flying.mid == mid):
        return []
    room.opening = room.flying = room.epoch = None
    if refusal.lists is not None:
        return take_lists(state, room, refusal.lists)
    room.lists = None
    if refusal.again:
        return []
    draft, *rest = room.drafts
    room.drafts = tuple(rest)
    return [NotSent(name, draft.mid, refusal.error)]


def _may_go_on(room: Room) -> bool:
    return bool(room.drafts and room.cursor.log) and not room.replaying and not room.halted


def _usable(room: Room, epoch: OwnEpoch, now_ms: int) -> bool:
    numbers = {account: number for account, (number, _) in (room.lists or {}).items()}
    return (
        epoch.lists == numbers
        and epoch.log == room.cursor.log
        and epoch.chain.index < ratchet.MAX_MESSAGES
        and 0 <= now_ms - epoch.created_ms < epochs.MAX_AGE_MS
    )


def _devices(state: State, room: Room) -> Iterator[Address]:
    """Every device that is to read what this one writes."""
    for account in room.lists or {}:
        known = circle.latest(state, account)
        for entry in circle.read(known).devices if known else ():
            address = (account, entry.device)
            if address != (state.account, state.device) and address not in room.barred:
                yield address


def _unclaimed(state: State, room: Room) -> Iterator[Address]:
    return (address for address in sorted(_devices(state, room)) if address not in room.claimed)


def _recipients(state: State, room: Room) -> Iterator[Recipient]:
    for account, device in sorted(_devices(state, room)):
        claimed = room.claimed[account, device]
        yield Recipient(account, device, claimed.id, claimed.public)
    for account in sorted(room.lists or {}):
        known = circle.latest(state, account)
        if known and (archive := circle.read(known).archive):
            yield Recipient(account, ARCHIVE, 0, archive)
    if room.organisation:
        yield Recipient(ARCHIVE, ARCHIVE, 0, room.organisation)


def _open(state: State, name: str, room: Room, now_ms: int, draw: Draw) -> None:
    own = circle.latest(state, state.account)
    assert room.lists is not None
    if own is None or state.account not in room.lists:
        room.halted = "unknown_list"
        return
    seed = draw(ratchet.SEED_BYTES)
    header = EpochHeader(
        name,
        state.account,
        state.device,
        draw(16),
        ratchet.commitment(seed),
        epochs.names_of(room.lists),
        own,
        digest(room.organisation) if room.organisation else None,
        room.previous,
        room.cursor,
        now_ms,
    )
    keys = epochs.make_keys(header, seed, state.seed, _recipients(state, room))
    chain, exporter = ratchet.start(keys.header, seed)
    numbers = {account: number for account, (number, _) in room.lists.items()}
    epoch = OwnEpoch(epoch=header.epoch, chain=chain, lists=numbers, log=room.cursor.log, created_ms=now_ms)
    room.echoes[header.epoch] = (chain, exporter)
    room.opening = InFlight(mid=uuid7(now_ms, draw), data=pack(keys), epoch=epoch)


def _seal(state: State, name: str, room: Room, epoch: OwnEpoch) -> None:
    draft, chain = room.drafts[0], epoch.chain
    header = MessageHeader(
        name,
        state.account,
        state.device,
        epoch.epoch,
        chain.index,
        chain.index - 1 if chain.index else None,
        draft.mid,
        room.cursor,
        draft.session,
    )
    data = messages.seal(header, chain, draft.content, state.seed)
    room.flying = InFlight(
        mid=draft.mid, data=data, epoch=replace(epoch, chain=chain.forward(chain.index + 1))
    )
