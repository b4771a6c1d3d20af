"""Rooms as the server's parts ask for them: commit to the log, then ring the bus.

A write returns once it is durable, and only then its members are told. Raises
:exc:`~protocol.errors.ProtocolError`; a room that one is not in is refused exactly like one that does not
exist. Who may do what beyond membership is decided by those who call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from protocol import errors, frames
from protocol.codec import encode_body, shown_body
from protocol.errors import ProtocolError
from protocol.events import EventBody, MemberBody
from protocol.fields import Role
from relay.accounts import EraseAccount
from relay.bus import Bus, EventNotice, InboxNotice, MembershipNotice, RevokedNotice
from relay.errors import Conflict, StoreError
from relay.inbox import NOTE, EventKind
from relay.keys import Sealing
from relay.retention import DropRoom
from relay.rows import Member, Membership, RoomHead, StoredEvent
from relay.store import Store
from relay.writes import (
    AddMember,
    Append,
    Appended,
    Applied,
    CreateRoom,
    MarkRead,
    Outcome,
    RemoveMember,
    Revoke,
    SetRoomBody,
    Write,
)
from signaling.storage_errors import refusal
from signaling.timebase import Timebase

Appending = Callable[[Appended | ProtocolError], None]
"""Is told what became of an append."""

HISTORY_BYTES = 256 * 1024
"""As much as a page of history holds, if it is more than one event."""


class Companion(Protocol):
    """Someone with something to write together with what others write."""

    def alongside(self, writes: Sequence[Write]) -> Sequence[Write]:
        """What belongs into the commit of ``writes``; mostly nothing. Not asked about messages."""

    def committed(self, writes: Sequence[Write]) -> None:
        """``writes`` and what belongs to them are durable."""


class Rooms:
    """The rooms of this deployment. What ``companions`` have to write goes into every commit."""

    def __init__(
        self, store: Store, bus: Bus, timebase: Timebase, companions: Sequence[Companion] = ()
    ) -> None:
        self._store = store
        self._bus = bus
        self._timebase = timebase
        self._companions = companions

    # --- Writing ---

    async def commit(self, *writes: Write) -> tuple[Outcome, ...]:
        """Apply the writes atomically, then tell whom they concern. Raises :exc:`relay.errors.StoreError`."""
        beside = [write for companion in self._companions for write in companion.alongside(writes)]
        outcomes = (await self._store.commit(*writes, *beside))[: len(writes)]
        for companion in self._companions:
            companion.committed((*writes, *beside))
        for write, outcome in zip(writes, outcomes, strict=True):
            self._tell(write, outcome)
        return outcomes

    async def append(
        self,
        room: str,
        body: EventBody,
        *,
        sender: str | None = None,
        device: str | None = None,
        mid: bytes | None = None,
    ) -> Appended:
        """Put an event into a room's log and tell its members.

        ``sender``, ``device`` and ``mid`` (16 bytes) are given for what a device sends, and are None for what
        the server writes itself. ``no_such_room``, ``mid_differs``, ``store_full``, ``overloaded``.
        """
        write = Append(room, sender, device, mid, encode_body(body), self._timebase.now_ms())
        return await self._append(write)

    def append_soon(
        self,
        room: str,
        body: EventBody,
        sender: str,
        device: str,
        mid: bytes,
        done: Appending,
        kind: EventKind = NOTE,
        flagged: bool = False,
        sealing: Sealing | None = None,
    ) -> None:
        """The same as :meth:`append` for those who send much: without a task, and never raising.

        ``kind`` and ``flagged`` are what inboxes show of it (:mod:`relay.inbox`), ``sealing`` says for which
        devices it is (:mod:`relay.keys`): ``device_mismatch``, ``epoch_unknown``.
        ``done`` is given the outcome or the refusal, for several calls in the order of the calls.
        """
        now_ms = self._timebase.now_ms()
        write = Append(room, sender, device, mid, encode_body(body), now_ms, kind, flagged, sealing)

        def committed(answer: tuple[Outcome, ...] | StoreError) -> None:
            if isinstance(answer, StoreError):
                done(refusal(answer))
                return
            appended = answer[0]
            assert isinstance(appended, Appended)
            if appended.differs:
                done(ProtocolError(errors.MID_DIFFERS))
                return
            self._publish(write, appended)
            done(appended)

        try:
            self._store.commit_soon(committed, write)
        except StoreError as error:
            done(refusal(error))

    async def sent_before(
        self, room: str, body: EventBody, sender: str, device: str, mid: bytes
    ) -> frames.Sent | None:
        """The place of a message that was stored already, whatever has happened since. ``mid_differs``."""
        try:
            event = await self._store.sent(sender, device, mid)
        except StoreError as error:
            raise refusal(error) from error
        if event is None:
            return None
        if (event.room, event.body) != (room, encode_body(body)):
            raise ProtocolError(errors.MID_DIFFERS)
        return frames.Sent(self._store.epoch, event.offset, event.at_ms, duplicate=True)

    async def append_with(self, room: str, body: EventBody, *writes: Write) -> Appended:
        """An event of the server itself and other writes in one step: all of it happens, or nothing."""
        write = Append(room, None, None, None, encode_body(body), self._timebase.now_ms())
        return await self._append(write, *writes)

    async def create(
        self, room: str, body: bytes, members: Sequence[tuple[str, Role]] = (), also: Sequence[Write] = ()
    ) -> None:
        """A new room, whose log begins with its members. ``already_exists``.

        ``also`` is written in the same step.
        """
        now_ms = self._timebase.now_ms()
        writes: list[Write] = [CreateRoom(room, body, now_ms)]
        writes += [AddMember(room, account, role, now_ms) for account, role in members]
        writes += [self._member(room, account, role, "added") for account, role in members]
        await self._carry_out(*writes, *also)

    async def change(self, room: str, body: bytes, also: Sequence[Write] = ()) -> None:
        """Give a room other settings; ``also`` is written in the same step. ``no_such_room``."""
        await self._carry_out(SetRoomBody(room, body), *also)

    async def add_member(self, room: str, account: str, role: Role, also: Sequence[Write] = ()) -> bool:
        """Make an account a member, or give a member another role; whether that changed anything.

        ``also`` is written in the same step, in any case. ``no_such_room``.
        """
        known = await self._find(room, account)
        changes = known is None or known.role != role
        writes: list[Write] = []
        if changes:
            writes.append(AddMember(room, account, role, self._timebase.now_ms()))
            writes.append(self._member(room, account, role, "added"))
        if writes or also:
            await self._carry_out(*writes, *also)
        return changes

    async def remove_member(self, room: str, account: str) -> bool:
        """End a membership; whether there was one. The one removed is told so, and nothing after it."""
        known = await self._find(room, account)
        if known is None:
            return False
        await self._carry_out(RemoveMember(room, account), self.left(room, account, known))
        return True

    def left(self, room: str, account: str, known: Member | Membership) -> Append:
        """The event that tells the others of the end of a membership."""
        return self._member(room, account, _role(known), "removed")

    async def delete(self, room: str, documents: Sequence[str], before_ms: int) -> None:
        """Delete a room with everything in it; its members are told that they are not in it any more.

        ``no_such_room``, ``legal_hold``, and ``retention_stands`` if anything in it is from ``before_ms`` or
        later.
        """
        try:
            if await self._store.room(room) is None:
                raise ProtocolError(errors.NO_SUCH_ROOM)
            match await self._store.obstacle(room, before_ms=before_ms):
                case "hold":
                    raise ProtocolError(errors.LEGAL_HOLD)
                case "messages" | "sessions" as young:
                    raise ProtocolError(errors.RETENTION_STANDS, f"the room has younger {young}")
            members = frozenset(one.account for one in await self._store.members(room))
            await self.commit(DropRoom(room, members, tuple(documents), before_ms, self._timebase.now_ms()))
        except Conflict:  # somebody came, spoke or placed a hold this very moment
            raise ProtocolError(errors.RETENTION_STANDS, "the room was changed meanwhile") from None
        except StoreError as error:
            raise refusal(error) from error

    async def read_up_to(self, account: str, room: str, offset: int) -> int:
        """Note how far an account has read; the epoch that is in. ``no_such_room``, ``beyond_head``."""
        epoch = self._store.epoch
        await self._carry_out(MarkRead(account, room, epoch, offset))
        return epoch

    # --- Reading ---

    async def get(self, account: str, room: str) -> frames.Room:
        """A room as one of its members sees it."""
        members = await self._members_for(account, room)
        log = await self._log(room)
        online = await self._bus.online([member.account for member in members])
        return frames.Room(
            room,
            log.epoch,
            log.head,
            _lowest(log),
            tuple(frames.Member(m.account, _role(m), m.account in online) for m in members),
            log.expired,
        )

    async def history(self, account: str, room: str, after: int, limit: int) -> frames.History:
        """A page of a room's log for one of its members, oldest first."""
        await self._members_for(account, room)
        try:
            page = await self._store.events(room, after=after, limit=limit, max_bytes=HISTORY_BYTES)
        except StoreError as error:
            raise refusal(error) from error
        log = page.log
        events = tuple(event_of(room, log.epoch, e) for e in page.events)
        return frames.History(log.epoch, log.head, _lowest(log), events, log.expired)

    async def others(self, account: str, room: str) -> list[str]:
        """The accounts of the other members of a room. ``no_such_room`` if ``account`` is none itself."""
        members = await self._members_for(account, room)
        return [member.account for member in members if member.account != account]

    # --- Inside ---

    async def _append(self, write: Append, *others: Write) -> Appended:
        appended = (await self._carry_out(write, *others))[0]
        assert isinstance(appended, Appended)
        if appended.differs:
            raise ProtocolError(errors.MID_DIFFERS)
        return appended

    async def _carry_out(self, *writes: Write) -> tuple[Outcome, ...]:
        try:
            return await self.commit(*writes)
        except StoreError as error:
            raise refusal(error) from error

    def _tell(self, write: Write, outcome: Outcome) -> None:
        match write, outcome:
            case Append(), Appended():
                self._publish(write, outcome)
            case AddMember(room, account, role), Applied(changed=True):
                self._bus.publish([account], MembershipNotice(room, account, role))
            case RemoveMember(room, account), Applied(changed=True):
                self._bus.publish([account], MembershipNotice(room, account, None))
            case EraseAccount(account, rooms), Applied():
                for room in rooms:
                    self._bus.publish([account], MembershipNotice(room, account, None))
            case DropRoom(room, members), Applied():
                for account in members:
                    self._bus.publish([account], MembershipNotice(room, account, None))
            case MarkRead(account, room), Applied(changed=True):
                self._bus.publish([account], InboxNotice(room))
            case Revoke(account, device), Applied():
                self._bus.publish([account], RevokedNotice(account, device))
            case _:
                return  # nobody waits to hear of the others

    def _publish(self, write: Append, appended: Appended) -> None:
        if not appended.duplicate:
            event = StoredEvent(
                appended.offset, write.sender, write.device, write.mid, write.body, appended.at_ms
            )
            self._bus.publish(appended.audience, EventNotice(write.room, appended.epoch, event))

    def _member(self, room: str, account: str, role: Role, change: Literal["added", "removed"]) -> Append:
        body = MemberBody(account, role, change)
        return Append(room, None, None, None, encode_body(body), self._timebase.now_ms())

    async def _members_for(self, account: str, room: str) -> tuple[Member, ...]:
        """The members of a room, for one of them: to all others it does not exist."""
        try:
            members = await self._store.members(room)
        except StoreError as error:
            raise refusal(error) from error
        if all(member.account != account for member in members):
            raise ProtocolError(errors.NO_SUCH_ROOM)
        return members

    async def _find(self, room: str, account: str) -> Member | None:
        try:
            members = await self._store.members(room)
        except StoreError as error:
            raise refusal(error) from error
        return next((member for member in members if member.account == account), None)

    async def _log(self, room: str) -> RoomHead:
        try:
            heads = await self._store.heads([room])
        except StoreError as error:
            raise refusal(error) from error
        if room not in heads:
            raise ProtocolError(errors.NO_SUCH_ROOM)
        return heads[room]


def _role(member: Member | Membership) -> Role:
    role: Role = member.role  # type: ignore[assignment]  # only `add_member` and `create` write roles
    return role


def _lowest(log: RoomHead) -> int:
    return log.lowest if log.lowest <= log.head else 0


def event_of(room: str, epoch: int, event: StoredEvent) -> frames.Event:
    """An event of a log as members get it."""
    return frames.Event(
        room, epoch, event.offset, event.at_ms, shown_body(event.body), event.sender, event.device
    )
