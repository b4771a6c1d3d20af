"""Webhooks of a node: what is told becomes rows in the commit of what it tells of, and goes to endpoints.

Deliveries of a room form one lane for each endpoint: they go out in their order, and no other room waits for
them.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager

from config.settings import WebhookSettings
from relay.store import Store
from relay.webhooks import (
    BuryDeliveries,
    DropDelivery,
    ForgetDeliveries,
    HastenDeliveries,
    PutDelivery,
    ReplayDelivery,
)
from relay.writes import Append, Applied, Outcome, Write
from signaling.sessions.commands import Happened
from signaling.sessions.session import Session
from signaling.timebase import Timebase
from signaling.uuid7 import CHANCE_BYTES, uuid7
from signaling.webhooks.deliverer import AttemptOutcome, Deliverer
from signaling.webhooks.endpoints import Endpoint, endpoints_of
from signaling.webhooks.notices import Notice, encode, notice_of, unlogged
from signaling.webhooks.posting import Post, posting
from signaling.webhooks.schedule import Pace

FORGET_BATCH = 1_000
"""Deliveries that are forgotten in one commit, so that no other commit waits for long."""

DAY_MS = 86_400_000


class Webhooks:
    """The webhooks of this deployment, as one node serves them.

    A :class:`signaling.rooms.Companion`: what stands in a room's log is told without further ado. Whoever has
    something else to tell puts :meth:`deliveries` into the commit of it.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        store: Store,
        timebase: Timebase,
        attempted: Callable[[str, AttemptOutcome], None],
    ) -> None:
        """``attempted`` is told the endpoint and the outcome of every attempt."""
        self._settings = settings
        self._store = store
        self._timebase = timebase
        self._endpoints = endpoints_of(settings)
        self._deliverers = {one.name: self._deliverer(one, attempted) for one in self._endpoints}

    # --- Telling ---

    def tells(self, kind: str) -> bool:
        """Whether anybody is told of that type."""
        return any(kind in endpoint.types for endpoint in self._endpoints)

    def deliveries(self, notices: Sequence[Notice]) -> tuple[PutDelivery, ...]:
        """The writes that have ``notices`` told, for the commit of what they tell of."""
        return tuple(put for notice in notices for put in self._fanned_out(notice))

    def alongside(self, writes: Sequence[Write]) -> Sequence[Write]:
        """What ``writes`` give to tell, to be committed with them."""
        if not self._endpoints:
            return ()
        notices = (notice_of(write) for write in writes if isinstance(write, Append))
        return self.deliveries([notice for notice in notices if notice is not None])

    def session_changes(self, session: Session, events: Sequence[Happened], now_ms: int) -> Sequence[Write]:
        """What is to be told of a session besides what stands in its room's log."""
        told = (unlogged(session, event, now_ms) for event in events) if self._endpoints else ()
        return self.deliveries([notice for notice in told if notice is not None])

    def committed(self, writes: Sequence[Write]) -> None:
        """Deliver what has become due with a commit."""
        for write in writes:
            match write:
                case PutDelivery(endpoint=name):
                    if deliverer := self._deliverers.get(name):
                        deliverer.wake()
                case ReplayDelivery() | DropDelivery():  # they do not say whose they are
                    for deliverer in self._deliverers.values():
                        deliverer.wake()
                case _:
                    continue

    # --- Running ---

    async def start(self) -> None:
        """Have all that waits attempted at once, and give up what waits for endpoints that are gone.

        What was wrong may have been put right by the restart, and if the machine's clock has been set back
        meanwhile, pauses would be as much longer.
        """
        names, now_ms = tuple(self._deliverers), self._timebase.now_ms()
        await self._store.commit(
            BuryDeliveries(names, now_ms, "endpoint_removed"),
            *(HastenDeliveries(name, now_ms) for name in names),
        )

    def tasks(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What has to run for as long as the node does, by name."""
        return {f"webhooks-{name}": deliverer.run for name, deliverer in self._deliverers.items()}

    async def forget(self) -> None:
        """Drop what ended so long ago that it is not replayed any more."""
        before_ms = self._timebase.now_ms() - self._settings.keep_days * DAY_MS
        forgotten: tuple[Outcome, ...] = (Applied(),)
        while forgotten == (Applied(),):
            forgotten = await self._store.commit(ForgetDeliveries(before_ms, FORGET_BATCH))

    def _fanned_out(self, notice: Notice) -> Iterator[PutDelivery]:
        now_ms = self._timebase.now_ms()
        for endpoint in self._endpoints:
            if notice.type in endpoint.types:
                delivery = str(uuid7(now_ms, secrets.token_bytes(CHANCE_BYTES)))
                body = encode(notice, delivery)
                yield PutDelivery(delivery, endpoint.name, notice.room, notice.type, body, now_ms)

    def _deliverer(self, endpoint: Endpoint, attempted: Callable[[str, AttemptOutcome], None]) -> Deliverer:
        settings = self._settings
        pace = Pace.of(settings)

        def connect() -> AbstractAsyncContextManager[Post]:
            return posting(
                endpoint,
                connect_seconds=settings.connect_seconds,
                request_seconds=settings.request_seconds,
            )

        return Deliverer(
            endpoint.name, connect, self._store, self._timebase, pace, settings.parallel, attempted
        )
