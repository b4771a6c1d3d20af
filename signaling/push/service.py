"""Doorbells as devices ask for them, and what rings them: one part of a node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import assert_never

from config.settings import PushSettings, WebhookSettings
from protocol import errors
from protocol.errors import ProtocolError
from protocol.push import Push, PushClear, PushGet, PushRequest, PushSet
from relay.push import DropDoorbell, PutDoorbell
from signaling.caller import Caller
from signaling.push.addresses import fault_of
from signaling.push.calling import Caller as ServiceCaller
from signaling.push.keys import load_or_create
from signaling.push.ringer import Ringer, Surroundings
from signaling.push.vapid import Vapid
from signaling.webhooks.schedule import Pace


class PushService:
    """Raises :exc:`ProtocolError` for what is refused and :exc:`relay.errors.StoreError`."""

    def __init__(
        self,
        around: Surroundings,
        settings: PushSettings,
        webhooks: WebhookSettings,
        key_file: Path,
        told: bool,
    ) -> None:
        """``told``: whether the platform is told of doorbells that it is to ring."""
        self._around = around
        self._settings = settings
        self._key_file = key_file
        self._told = told
        self._vapid: Vapid | None = None
        caller = ServiceCaller(
            connect_seconds=webhooks.connect_seconds,
            request_seconds=webhooks.request_seconds,
            private=settings.private,
        )
        self._ringer = Ringer(around, settings, caller, Pace.of(webhooks))

    def start(self) -> Callable[[], Awaitable[None]]:
        """Read the key, or make it; returns what has to run. :exc:`signaling.key_files.KeyFileError`."""
        vapid = self._vapid = Vapid(load_or_create(self._key_file), self._settings.contact)
        return lambda: self._ringer.run(vapid)

    async def perform(self, caller: Caller, request: PushRequest) -> Push | None:
        """The result of a request of a device."""
        assert caller.device is not None
        match request:
            case PushGet():
                return await self._get(caller.account, caller.device)
            case PushSet(endpoint=endpoint):
                self._check(caller, endpoint)
                return await self._set(caller.account, caller.device, endpoint or "")
            case PushClear():
                await self._around.ledger.commit(DropDoorbell(caller.account, caller.device))
                return None
            case _:
                assert_never(request)

    def _check(self, caller: Caller, endpoint: str | None) -> None:
        caller.check_unbound()  # a doorbell is for all rooms of an account
        if endpoint is None:
            if not self._told:
                raise ProtocolError(errors.PUSH_NOT_OFFERED)
        elif fault := fault_of(endpoint, self._settings):
            raise ProtocolError(errors.PUSH_ENDPOINT_REFUSED, fault)

    async def _set(self, account: str, device: str, endpoint: str) -> Push:
        bell = await self._around.store.doorbell(account, device)
        if bell is None or bell.endpoint != endpoint:  # apps set it again whenever they start
            now_ms = self._around.timebase.now_ms()
            await self._around.ledger.commit(PutDoorbell(account, device, endpoint, now_ms))
        return await self._get(account, device)

    async def _get(self, account: str, device: str) -> Push:
        assert self._vapid is not None
        bell = await self._around.store.doorbell(account, device)
        if bell is None:
            return Push(self._vapid.public)
        return Push(self._vapid.public, "web" if bell.endpoint else "platform")
