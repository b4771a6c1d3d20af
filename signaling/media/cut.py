"""Cutting media, whole or in part: all that sessions ask of this package, which knows nothing of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from protocol.fields import Modality
from rtc.errors import RtcError
from signaling.media.placement import Placement
from signaling.media.pool import Pool

_log = structlog.get_logger("rapport.media")


class Cut:
    """Takes participants, sessions and kinds of media off their workers, without waiting for it."""

    def __init__(self, pool: Pool, placement: Placement) -> None:
        self._pool = pool
        self._placement = placement
        self._tasks: set[asyncio.Task[None]] = set()

    def close(self, session: str) -> None:
        """Cut the media of a session at once."""
        seat = self._placement.release(session)
        if seat and (worker := self._pool.worker(seat.slot)):
            self._spawn(worker.close_session(session, seat.generation))

    def remove(self, session: str, account: str) -> None:
        """Cut the media of one participant at once."""
        seat = self._placement.leave(session, account)
        if seat and (worker := self._pool.worker(seat.slot)):
            self._spawn(worker.remove(session, seat.generation, account))

    def switch(self, session: str, modality: Modality) -> None:
        """Forward nothing that this modality excludes, from now on."""
        seat = self._placement.seat(session)
        if seat and (worker := self._pool.worker(seat.slot)):
            self._spawn(worker.set_modality(session, seat.generation, modality))

    def _spawn(self, request: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._send(request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, request: Coroutine[Any, Any, None]) -> None:
        try:
            await request
        except RtcError as error:  # gone with its worker, or never there: it is cut either way
            _log.info("media_not_cut", error=error.name)
