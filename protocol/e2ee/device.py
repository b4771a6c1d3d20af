"""A whole client of end-to-end encryption without a socket, a clock or a file.

The app's connection feeds it what the server tells, and after each step, in this order:

1. saves :meth:`Device.to_bytes` together with the outcomes, in one transaction;
2. acknowledges events up to :meth:`Device.cursor`;
3. sends those of :meth:`Device.requests` that are not under way on this connection.

What is due follows from the state alone, so a crash at any point loses nothing: what was in flight is sent
again byte for byte, and what was shown is not shown twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from protocol.e2ee import (
    account,
    circle,
    ratchet,
    recalling,
    receiving,
    sending,
    signing,
    state,
    stock,
    xwing,
)
from protocol.e2ee.asking import (
    Event,
    Inventory,
    Lists,
    Lost,
    Outcome,
    Page,
    Refusal,
    Request,
    RequestListing,
    Suspicion,
)
from protocol.e2ee.contents import Attachment, Form, FormResult, Text, encode_content
from protocol.e2ee.devices import SignedList
from protocol.e2ee.epochs import ARCHIVE, Place
from protocol.e2ee.errors import ContentError, OutboxFull, OutOfOrder, UnknownEpoch
from protocol.e2ee.prekeys import SignedPrekey
from protocol.e2ee.state import Address, Draft, Room, State

OUTBOX = 1000
"""How many messages may wait in one room; full: :exc:`OutboxFull`, and nothing is taken."""

MAX_CONTENT_BYTES = 90 * 1024


@dataclass(frozen=True, slots=True)
class Tuning:
    """What may differ between apps."""

    prekeys: int = stock.TARGET


class Device:
    """One installation of a client app: its state, and the steps that change it."""

    def __init__(self, value: State, draw: sending.Draw, tuning: Tuning | None = None) -> None:
        """``draw`` gives so many random bytes, as :func:`secrets.token_bytes` does."""
        self._state = value
        self._draw = draw
        self._tuning = tuning or Tuning()

    @classmethod
    def first(
        cls, owner: str, device: str, now_ms: int, draw: sending.Draw, tuning: Tuning | None = None
    ) -> Device:
        """The first device of an account, which makes the account's key."""
        value = State(state.VERSION, owner, device, seed=draw(32), account_seed=draw(32))
        account.found(value, now_ms)
        return cls(value, draw, tuning)

    @classmethod
    def further(cls, owner: str, device: str, draw: sending.Draw, tuning: Tuning | None = None) -> Device:
        """Another device of an account, which one that holds the account's key has to let in."""
        return cls(State(state.VERSION, owner, device, seed=draw(32)), draw, tuning)

    @classmethod
    def restored(cls, saved: bytes, draw: sending.Draw, tuning: Tuning | None = None) -> Device:
        """From :meth:`to_bytes`. :exc:`Malformed` when ``saved`` is not that."""
        return cls(state.from_bytes(saved), draw, tuning)

    def to_bytes(self) -> bytes:
        """Everything, private keys too: for where the platform keeps secrets."""
        return state.to_bytes(self._state)

    @property
    def key(self) -> bytes:
        """This device's public key."""
        return signing.public_key(self._state.seed)

    # --- The account's devices ------------------------------------------------------------------------

    def approve(self, device: str, key: bytes, now_ms: int) -> None:
        """Let a device in whose verification code the person has compared."""
        account.approve(self._state, device, key, now_ms)

    def revoke(self, device: str, now_ms: int) -> None:
        """Take a device out of the list: nothing that is written from then on is sealed to it."""
        account.revoke(self._state, device, now_ms)

    def keep_archive(self, public: bytes | None, now_ms: int) -> None:
        """From now on seal to this archive too, or no longer to one. :exc:`Malformed` for what is no key."""
        if public is not None:
            xwing.check(public)
        account.keep_archive(self._state, public, now_ms)

    def adopt(self, account_seed: bytes | None, archive_seed: bytes | None) -> None:
        """Hold what a vault held. What was taken in without the archive's key is due to be read again."""
        self._state.account_seed = account_seed or self._state.account_seed
        if archive_seed not in (None, self._state.archive_seed):
            self._state.archive_seed = archive_seed
            for room in self._state.rooms.values():
                recalling.begin(room, ARCHIVE)

    def trust(self, other: str) -> None:
        """The person has decided that another account's new key is right: its events are due to be read."""
        if circle.trust(self._state, other):
            for room in self._state.rooms.values():
                room.halted, room.lists = "", None
                recalling.begin(room, other)

    # --- What the server tells ------------------------------------------------------------------------

    def welcome(self, inventory: Inventory, now_ms: int) -> list[Outcome]:
        """A connection has begun."""
        value = self._state
        good = stock.compare(value.stock, inventory, now_ms)
        stock.refill(value, inventory.count, now_ms, self._draw, self._tuning.prekeys)
        account.number_first(value, inventory.first)
        value.server_list = inventory.list or inventory.first - 1
        value.requested = False
        for room in value.rooms.values():
            if room.halted:
                room.halted, room.lists, room.claim = "", None, None
        return [] if good else [Suspicion(value.account, "inventory_drift")]

    def own_list(self, signed: SignedList) -> list[Outcome]:
        """The account's current list, told by itself or because :class:`PutList` was refused."""
        return account.take_list(self._state, signed)

    def list_stored(self, number: int) -> None:
        """A :class:`PutList` was carried out."""
        account.list_stored(self._state, number)

    def list_refused(self) -> None:
        """A :class:`PutList` was refused for good, and not because another list is current."""
        account.list_refused(self._state)

    def listing_requested(self) -> None:
        """A :class:`RequestListing` was carried out."""
        self._state.requested = True

    def prekeys_stored(self, numbers: Iterable[int]) -> None:
        """A :class:`PutPrekeys` was carried out, with these ids."""
        stock.confirm(self._state.stock, numbers)

    def lists(self, told: Lists, now_ms: int) -> list[Outcome]:
        """The current lists of a room's members."""
        outcomes = sending.take_lists(self._state, self._room(told.room), told)
        self._proceed(told.room, now_ms)
        return outcomes

    def claimed(
        self, room: str, claim: bytes, given: tuple[tuple[Address, SignedPrekey], ...], now_ms: int
    ) -> list[Outcome]:
        """The prekeys of a :class:`Claim`."""
        outcomes = sending.take_prekeys(self._state, self._room(room), claim, given)
        self._proceed(room, now_ms)
        return outcomes

    def stored(self, room: str, mid: bytes, place: Place, now_ms: int) -> None:
        """A :class:`SendKeys` or :class:`SendMessage` was carried out, now or before."""
        sending.stored(self._room(room), mid, place)
        self._proceed(room, now_ms)

    def refused(self, room: str, mid: bytes, refusal: Refusal, now_ms: int) -> list[Outcome]:
        """A :class:`SendKeys` or :class:`SendMessage` was refused for good; not for a temporary error."""
        outcomes = sending.refused(self._state, room, self._room(room), mid, refusal)
        self._proceed(room, now_ms)
        return outcomes

    def event(self, event: Event, now_ms: int) -> list[Outcome]:
        """The next event of a room; one that was taken in before is passed over.

        Raises :exc:`OutOfOrder` when it does not follow: nothing has changed, and the log is to be resumed
        from :meth:`cursor`.
        """
        room = self._room(event.room)
        before, place = room.cursor, event.place
        if place.log == before.log and place.offset <= before.offset:
            return []
        if place.offset != before.offset + 1 or before.log not in (0, place.log):
            raise OutOfOrder()
        outcomes = receiving.take(self._state, room, event)
        room.cursor = place
        self._proceed(event.room, now_ms)
        return outcomes

    def reset(self, name: str, log: int, lowest: int) -> None:
        """The log goes on from ``lowest``: it began anew with a restore, or what was before is purged."""
        room = self._room(name)
        if log == room.cursor.log:
            for speaker in room.speakers.values():
                speaker.loose = True
        else:
            room.floor, room.epoch, room.previous, room.replaying = {}, None, None, True
            room.sent = tuple(sent for sent in room.sent if sent[1].offset >= lowest)
        room.cursor = Place(log, max(0, lowest - 1))
        recalling.begin_anew(room, lowest)

    def caught_up(self, name: str, log: int, now_ms: int) -> list[Outcome]:
        """Everything stored so far has been delivered. Nothing is sent in a room before the first time."""
        room = self._room(name)
        outcomes: list[Outcome] = []
        room.left = False
        if room.cursor.log == 0:
            room.cursor = Place(log, 0)
        if room.replaying:
            room.replaying = False
            lost = [mid for mid, place in room.sent if place.log != room.cursor.log]
            room.sent = tuple(sent for sent in room.sent if sent[1].log == room.cursor.log)
            outcomes.extend(Lost(name, mid) for mid in lost)
            opening = room.opening.epoch.epoch if room.opening else b""
            room.echoes = {epoch: echo for epoch, echo in room.echoes.items() if epoch == opening}
        recalling.finish(room)
        self._proceed(name, now_ms)
        return outcomes

    def recalled(self, name: str, after: int, page: Page) -> list[Outcome]:
        """The page that a :class:`Recall` asked for; what it tells takes the place of what was told before.

        Raises :exc:`OutOfOrder` when the page has a hole: nothing has changed.
        """
        return recalling.take(self._state, self._room(name), after, page)

    def removed(self, name: str) -> None:
        """The account is no longer a member of a room. What waits stays, should it become one again."""
        self._room(name).left = True

    def organisation(self, name: str, public: bytes | None, now_ms: int) -> None:
        """From now on seal what is written in a room to the organisation's archive too, or no longer.

        The app has the key from the platform it belongs to, and shows that there is an archive.
        :exc:`Malformed` for what is no key.
        """
        if public is not None:
            xwing.check(public)
        room = self._room(name)
        if public != room.organisation:
            room.organisation, room.epoch = public, None
            self._proceed(name, now_ms)

    # --- What the app asks ----------------------------------------------------------------------------

    def send(
        self,
        room: str,
        content: Text | Attachment | Form | FormResult,
        now_ms: int,
        *,
        mid: bytes | None = None,
        session: str | None = None,
        urgent: bool = False,
    ) -> bytes:
        """Write a message; gives its id. With ``mid`` it is one that was :class:`Lost`.

        Raises :exc:`OutboxFull`, or :exc:`ContentError` when it is too long.
        """
        value = self._room(room)
        encoded = encode_content(content)
        if len(encoded) > MAX_CONTENT_BYTES:
            raise ContentError("a message this long goes as an attachment")
        if len(value.drafts) >= OUTBOX:
            raise OutboxFull()
        chosen = mid or sending.uuid7(now_ms, self._draw)
        draft = Draft(mid=chosen, content=encoded, session=session, urgent=urgent)
        value.drafts = (*value.drafts, draft)
        self._proceed(room, now_ms)
        return chosen

    def cursor(self, room: str) -> Place:
        """The last event of a room that was taken in."""
        return self._room(room).cursor

    def exported(self, room: str, speaker: Address, label: str, context: bytes, length: int) -> bytes:
        """A key that every device of the room derives from a speaker's live epoch, as for its media.

        Raises :exc:`UnknownEpoch` when there is none that can be opened.
        """
        known = self._room(room).speakers.get(speaker)
        if known is None or not known.exporter:
            raise UnknownEpoch()
        return ratchet.export(known.exporter, label, context, length)

    def requests(self) -> list[Request]:
        """What the server is to be asked for now, in this order."""
        return list(self._requests())

    def _requests(self) -> Iterator[Request]:
        value = self._state
        listed = account.is_listed(value)
        if not value.listed_from and not value.requested:
            yield RequestListing(self.key)
        if (wanted := stock.unconfirmed(value)) is not None:
            yield wanted
        yield from account.lists_due(value)
        if listed:
            for name, room in value.rooms.items():
                yield from sending.requests(value, name, room)
                yield from recalling.requests(name, room)

    def _proceed(self, room: str, now_ms: int) -> None:
        sending.proceed(self._state, room, self._room(room), now_ms, self._draw)

    def _room(self, name: str) -> Room:
        return self._state.rooms.setdefault(name, Room())
