"""Requests about keys, and what messages need of them: one part of a node, asked by the dispatcher."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias, assert_never
from weakref import WeakValueDictionary

from config.settings import KeySettings
from protocol import errors, frames
from protocol.codec import encode_body
from protocol.errors import ProtocolError
from protocol.events import KeysBody
from protocol.frames import MessageSend, Sent
from protocol.keys import (
    Claimed,
    ClaimedPrekey,
    DeviceDismiss,
    DeviceRename,
    DeviceRequest,
    DevicesGet,
    Inventory,
    KeyInventory,
    KeyLists,
    KeysClaim,
    KeysInventory,
    KeysListGet,
    KeysListPut,
    KeysPrekeysPut,
    KeysRequest,
    KeysResult,
    KeysSend,
    VaultGet,
    VaultPut,
)
from relay import keys as stored
from relay.errors import Conflict, NotFound, Outdated, StoreError, TooMany
from relay.quota import Quota
from relay.store import Store
from relay.writes import Append, Appended
from signaling.caller import Caller
from signaling.keys import sealing
from signaling.keys.allowance import ClaimAllowance
from signaling.keys.devices import DeviceService
from signaling.keys.directory import Directory
from signaling.keys.ports import Counting, Doorbell, Tell
from signaling.keys.prekeys import inventory_of, kept, put_of
from signaling.keys.vault import VaultService
from signaling.sessions.ports import Ledger
from signaling.storage_errors import refusal
from signaling.timebase import Timebase

KeysChange: TypeAlias = DeviceRequest | DeviceRename | DeviceDismiss | KeysListPut | KeysPrekeysPut | VaultPut
"""Requests that change the keys of the caller's own account."""

CLAIMS_KEPT_MS = 86_400_000
"""How long a claim can be repeated."""


class KeysService:
    """Keys of one deployment, as one node serves them.

    Raises :exc:`ProtocolError` and :exc:`relay.errors.StoreError`.
    """

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        timebase: Timebase,
        settings: KeySettings,
        ring: Doorbell,
        tell: Tell,
        counting: Counting,
        quota: Quota,
    ) -> None:
        self._counting = counting
        self._store = store
        self._ledger = ledger
        self._timebase = timebase
        self._settings = settings
        self._ring = ring
        self._directory = Directory(store)
        self._allowance = ClaimAllowance(settings, quota)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._explaining: set[asyncio.Task[None]] = set()  # at most the requests in flight
        self.devices = DeviceService(store, ledger, timebase, settings, ring, tell)
        self.vault = VaultService(store, ledger, ring)

    async def perform(self, caller: Caller, request: KeysRequest) -> KeysResult | Sent | None:
        """The result of a request."""
        match request:
            case DevicesGet():
                return await self.devices.devices(caller.account)
            case KeysInventory():
                return Inventory(await self.inventory(caller))
            case KeysListGet(room=room):
                return await self._lists(caller, room)
            case KeysClaim():
                return await self._claim(caller, request)
            case KeysSend():
                return await self._send(caller, request)
            case VaultGet():
                return await self.vault.get(caller.account)
            case _:
                # One after the other: what devices send at once builds on what was sent before.
                async with self._turns.setdefault(caller.account, asyncio.Lock()):
                    return await self._change(caller, request)

    async def _change(self, caller: Caller, request: KeysChange) -> KeysResult | None:
        match request:
            case DeviceRequest():
                await self.devices.request(caller, request)
            case DeviceRename():
                await self.devices.rename(caller, request)
            case DeviceDismiss():
                await self.devices.dismiss(caller, request)
            case KeysListPut(list=signed):
                await self.devices.put_list(caller, signed)
            case KeysPrekeysPut():
                return await self._put_prekeys(caller, request)
            case VaultPut():
                if await self._store.device_lists([caller.account]):
                    await self.devices.check_listed(caller)
                return await self.vault.put(caller, request)
            case _:
                assert_never(request)
        return None

    async def inventory(self, caller: Caller) -> KeyInventory:
        """What the caller's device is told of its keys."""
        assert caller.device is not None
        stock = await self._store.stock(caller.account, caller.device)
        return inventory_of(stock, self._store.epoch, await self.vault.revision(caller.account))

    def explain(
        self, request: MessageSend, answer: Callable[[frames.Result | ProtocolError | None], None]
    ) -> None:
        """Answer a message that was not for the devices there are with everything that is needed."""
        task = asyncio.get_running_loop().create_task(self._explain(request, answer))
        self._explaining.add(task)
        task.add_done_callback(self._explaining.discard)

    async def forget(self) -> None:
        """Drop claims that nobody repeats any more."""
        await self._store.commit(stored.ForgetClaims(self._timebase.now_ms() - CLAIMS_KEPT_MS))

    # --- Inside ---

    async def _explain(
        self, request: MessageSend, answer: Callable[[frames.Result | ProtocolError | None], None]
    ) -> None:
        try:
            answer(sealing.mismatch_of(request, await self._directory.of_room(request.room)))
        except StoreError as error:
            answer(refusal(error))

    async def _lists(self, caller: Caller, room: str | None) -> KeyLists:
        if room is None:
            members = await self._directory.of_account(caller.account)
        else:
            await self._check_members(caller, room, ())
            members = await self._directory.of_room(room)
        told = members.mismatch()
        return KeyLists(told.members, told.lists, told.barred)

    async def _put_prekeys(self, caller: Caller, request: KeysPrekeysPut) -> Inventory:
        row = await self.devices.row(caller)
        # In a thread: a hundred signatures take as long as a hundred messages.
        held, epoch = self._settings.prekeys_held, self._store.epoch
        write = await asyncio.to_thread(put_of, row, request, epoch, held)
        try:
            await self._ledger.commit(write)
        except NotFound:
            raise ProtocolError(errors.NO_SUCH_DEVICE) from None
        except Conflict:
            raise ProtocolError(errors.PREKEYS_INVALID, "the id of a prekey is that of another one") from None
        except TooMany:
            raise ProtocolError(errors.TOO_MANY_PREKEYS) from None
        return Inventory(await self.inventory(caller))

    async def _claim(self, caller: Caller, request: KeysClaim) -> Claimed:
        places = tuple((place.account, place.device) for place in request.devices)
        if len(set(places)) < len(places):
            raise ProtocolError(errors.INVALID_FIELD, "a device is named twice")
        await self._check_members(caller, request.room, {account for account, _ in places})
        await self.devices.check_listed(caller)
        await self._allowance.take(caller.account, (account for account, _ in places))
        write = stored.ClaimPrekeys(request.claim.bytes, caller.account, places, self._timebase.now_ms())
        try:
            (claimed,) = await self._ledger.commit(write)
        except Conflict:
            raise ProtocolError(errors.CLAIM_DIFFERS) from None
        assert isinstance(claimed, stored.Claimed)
        if not claimed.duplicate:
            self._note_claimed(claimed.prekeys, len(places))
        return Claimed(
            tuple(
                ClaimedPrekey(one.account, one.device, kept(one.body), one.last_resort)
                for one in claimed.prekeys
            )
        )

    def _note_claimed(self, prekeys: Sequence[stored.ClaimedPrekey], asked: int) -> None:
        """Count what was handed out, and tell devices that have few prekeys left."""
        last_resorts = sum(one.last_resort for one in prekeys)
        self._counting.prekeys_claimed("one_time", len(prekeys) - last_resorts)
        self._counting.prekeys_claimed("last_resort", last_resorts)
        self._counting.prekeys_claimed("none", asked - len(prekeys))
        for one in prekeys:
            if one.left < self._settings.low_prekeys:
                self._counting.prekeys_low()
                self._ring(one.account, one.device, "prekeys")

    async def _send(self, caller: Caller, request: KeysSend) -> Sent:
        """Append a sender epoch. Whatever changes between the check and the commit, the store refuses."""
        assert caller.device is not None
        body = KeysBody(request.mid, request.header, request.signature, request.slots)
        await self._check_members(caller, request.room, ())
        encoded, mid = encode_body(body), request.mid.bytes
        if before := await self._store.sent(caller.account, caller.device, mid):
            if (before.room, before.body) != (request.room, encoded):
                raise ProtocolError(errors.MID_DIFFERS)
            return Sent(self._store.epoch, before.offset, before.at_ms, duplicate=True)
        terms = sealing.check_epoch(caller, request, await self._directory.of_room(request.room))
        now_ms = self._timebase.now_ms()
        write = Append(request.room, caller.account, caller.device, mid, encoded, now_ms, sealing=terms)
        try:
            (appended,) = await self._ledger.commit(write)
        except Outdated:
            members = await self._directory.of_room(request.room)
            sealing.check_epoch(caller, request, members)
            raise ProtocolError(errors.DEVICE_MISMATCH, mismatch=members.mismatch()) from None
        assert isinstance(appended, Appended)
        if appended.differs:
            raise ProtocolError(errors.MID_DIFFERS)
        return Sent(appended.epoch, appended.offset, appended.at_ms, appended.duplicate)

    async def _check_members(self, caller: Caller, room: str, accounts: set[str] | tuple[()]) -> None:
        """``no_such_room`` unless the caller is in the room, ``no_such_member`` unless all accounts are."""
        caller.check_room(room)
        members = {member.account for member in await self._store.members(room)}
        if caller.account not in members:
            raise ProtocolError(errors.NO_SUCH_ROOM)
        if not members.issuperset(accounts):
            raise ProtocolError(errors.NO_SUCH_MEMBER)
