"""Whether the node lives and may be sent work, and what it counts: for load balancers and Prometheus."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Protocol

import msgspec
from aiohttp import web

from protocol import errors
from protocol.errors import ProtocolError
from relay.blob_rows import BlobTotals
from relay.bus import Bus
from relay.errors import StoreError
from relay.rows import StoreStatistics
from relay.store import Store
from relay.webhooks import Backlog
from rtc.control import WorkerStats
from rtc.errors import RtcError
from signaling.cluster.duties import Duties
from signaling.cluster.keeper import Keeper
from signaling.door.hub import Hub
from signaling.http.serving import bearer
from signaling.media.pool import Pool
from signaling.observe.metrics import CONTENT_TYPE, ClusterFigures, Metrics, Snapshot
from signaling.timebase import Timebase

ANSWER_SECONDS = 2.0
"""How long a part of the node may take to answer before it counts as not ready."""


class Readiness(Protocol):
    """Whether the node takes work at all."""

    @property
    def serving(self) -> bool:
        """False before it has started and once it is being stopped."""


class Health:
    """``/healthz``, ``/readyz`` and ``/metrics``."""

    def __init__(
        self,
        node: Readiness,
        store: Store,
        bus: Bus,
        hub: Hub,
        pool: Pool,
        keeper: Keeper,
        duties: Duties,
        metrics: Metrics,
        metrics_token: str | None,
        timebase: Timebase,
    ) -> None:
        self._node = node
        self._store = store
        self._bus = bus
        self._hub = hub
        self._pool = pool
        self._keeper = keeper
        self._duties = duties
        self._metrics = metrics
        self._metrics_token = metrics_token
        self._timebase = timebase

    def routes(self) -> list[web.RouteDef]:
        """The three routes."""
        return [
            web.get("/healthz", self._alive),
            web.get("/readyz", self._ready),
            web.get("/metrics", self._scrape),
        ]

    async def _alive(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, request: web.Request) -> web.Response:
        checks = await self._checks()
        ready = self._node.serving and all(checks.values())
        body = {"ready": ready, "serving": self._node.serving, **checks}
        return web.Response(
            status=200 if ready else 503, body=msgspec.json.encode(body), content_type="application/json"
        )

    async def _scrape(self, request: web.Request) -> web.Response:
        self._check_scraper(request)
        snapshot = Snapshot(
            hub=self._hub.stats(),
            bus=self._bus.statistics,
            cluster=ClusterFigures(len(self._keeper.alive()), self._keeper.acting, len(self._duties.own)),
            store=await self._store_statistics(),
            workers=await self._worker_statistics(),
            worker_restarts=self._pool.restarts,
            backlogs=await self._backlogs(),
            now_ms=self._timebase.now_ms(),
            blobs=await self._blob_totals(),
        )
        return web.Response(body=self._metrics.exposition(snapshot), headers={"Content-Type": CONTENT_TYPE})

    async def _checks(self) -> Mapping[str, bool]:
        store, workers = await asyncio.gather(self._store_statistics(), self._worker_statistics())
        return {
            "store": store is not None,
            "bus": self._bus.statistics.ready,
            "cluster": self._keeper.acting,
            "media": bool(workers),
        }

    async def _store_statistics(self) -> StoreStatistics | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._store.statistics()
        except (StoreError, TimeoutError):
            return None

    async def _backlogs(self) -> tuple[Backlog, ...]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._store.backlogs()
        except (StoreError, TimeoutError):
            return ()

    async def _blob_totals(self) -> BlobTotals | None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._store.blob_totals()
        except (StoreError, TimeoutError):
            return None

    async def _worker_statistics(self) -> Mapping[int, WorkerStats]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._pool.stats()
        except (RtcError, TimeoutError):
            return {}

    def _check_scraper(self, request: web.Request) -> None:
        """Metrics tell how busy a practice is: they are for who has the token, or is on the machine."""
        if self._metrics_token is not None:
            if not hmac.compare_digest(bearer(request).encode(), self._metrics_token.encode()):
                raise ProtocolError(errors.FORBIDDEN, "/metrics needs the token of the settings")
        elif not is_local(request):
            raise ProtocolError(errors.FORBIDDEN, "without a token /metrics is for callers on this machine")


def is_local(request: web.Request) -> bool:
    """Whether a request comes from this machine, and not through a proxy on it."""
    if "Forwarded" in request.headers or "X-Forwarded-For" in request.headers or request.remote is None:
        return False
    return ip_address(request.remote).is_loopback
