"""What a node counts, for Prometheus: its own registry, no labels that name people, rooms or sessions.

Counters are counted where things happen; figures that others keep are taken over at each scrape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from relay.blob_rows import BlobTotals
from relay.bus import BusStatistics
from relay.rows import StoreStatistics
from relay.webhooks import Backlog
from rtc.control import WorkerStats
from signaling.door.hub import HubStatistics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# They would be a second series for every counter, that nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call]  # has no annotations

METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS"})
"""Methods that are counted by name: a client can invent any number of others."""

LATENESS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 10, 60)
REQUEST_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


@dataclass(frozen=True, slots=True)
class ClusterFigures:
    """How a node stands among the others."""

    nodes: int
    """Those that live, as it sees them, itself included."""
    acting: bool
    """Whether the others count on it."""
    duties: int
    """What it does for all of them."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Figures that the parts of a node keep themselves."""

    hub: HubStatistics
    bus: BusStatistics
    cluster: ClusterFigures
    store: StoreStatistics | None
    """None when the store does not answer."""
    workers: Mapping[int, WorkerStats]
    """Those that answer, by slot."""
    worker_restarts: int
    backlogs: Sequence[Backlog] = ()
    """What has not reached the endpoints of webhooks."""
    now_ms: int = 0
    """When the figures were taken."""
    blobs: BlobTotals | None = None
    """None when the store does not answer."""


class Metrics:
    """The metrics of one node."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._snapshot: Snapshot | None = None
        self._requests = Counter(
            "rapport_http_requests",
            "HTTP requests answered, by the pattern of the address.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._request_seconds = Histogram(
            "rapport_http_request_seconds",
            "Time to answer an HTTP request.",
            buckets=REQUEST_BUCKETS,
            registry=self._registry,
        )
        self._changes = Counter(
            "rapport_session_changes",
            "Changes of sessions carried out by this node.",
            ("change",),
            registry=self._registry,
        )
        self._lateness = Histogram(
            "rapport_deadline_lateness_seconds",
            "Time from when a deadline was due until its outcome was durable.",
            buckets=LATENESS_BUCKETS,
            registry=self._registry,
        )
        self._attempts = Counter(
            "rapport_webhook_attempts",
            "Attempts at deliveries to webhooks.",
            ("endpoint", "outcome"),
            registry=self._registry,
        )
        self._doorbells = Counter(
            "rapport_push_attempts",
            "Attempts at ringing devices by way of push services.",
            ("outcome",),
            registry=self._registry,
        )
        self._prekeys = Counter(
            "rapport_prekeys_claimed", "What claims got of devices.", ("kind",), registry=self._registry
        )
        self._prekeys_low = Counter(
            "rapport_prekeys_low",
            "How often a device was told that few of its prekeys are left.",
            registry=self._registry,
        )
        self._ratings = Counter(
            "rapport_session_ratings",
            "Ratings of sessions; those about technical problems are a kind of their own.",
            ("kind", "score"),
            registry=self._registry,
        )
        self._blobs_ended = Counter(
            "rapport_blobs_ended",
            "What became of blobs and of uploads.",
            ("fate",),
            registry=self._registry,
        )
        self._blob_bytes = Counter(
            "rapport_blob_bytes", "Bytes of blobs, in and out.", ("direction",), registry=self._registry
        )
        ProcessCollector(registry=self._registry)
        self._registry.register(_Figures(self))

    @property
    def snapshot(self) -> Snapshot | None:
        """The figures of the scrape under way."""
        return self._snapshot

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """An HTTP request was answered."""
        known = method if method in METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._request_seconds.observe(seconds)

    def session_changed(self, change: str) -> None:
        """A change of a session was committed."""
        self._changes.labels(change).inc()

    def deadline_met(self, lateness_ms: int) -> None:
        """A deadline was carried out, so many milliseconds after it was due."""
        self._lateness.observe(lateness_ms / 1000)

    def delivery_attempted(self, endpoint: str, outcome: str) -> None:
        """A delivery to an endpoint was attempted: ``delivered``, ``failed`` or ``dead``."""
        self._attempts.labels(endpoint, outcome).inc()

    def doorbell_attempted(self, outcome: str) -> None:
        """A push service was asked to ring a device: ``rung``, ``failed``, ``gone`` or ``given_up``."""
        self._doorbells.labels(outcome).inc()

    def prekeys_claimed(self, kind: str, count: int) -> None:
        """A claim got so many prekeys: ``one_time``, ``last_resort``, or ``none`` of so many devices."""
        self._prekeys.labels(kind).inc(count)

    def prekeys_low(self) -> None:
        """A device was told that few of its prekeys are left."""
        self._prekeys_low.inc()

    def session_rated(self, kind: str, score: int) -> None:
        """A session was rated: ``clinical`` or ``technical``, from 1 to 5."""
        self._ratings.labels(kind, str(score)).inc()

    def blob_ended(self, fate: str) -> None:
        """Something became of a blob or an upload."""
        self._blobs_ended.labels(fate).inc()

    def blob_bytes(self, direction: str, count: int) -> None:
        """Bytes of blobs came ``in`` or went ``out``."""
        self._blob_bytes.labels(direction).inc(count)

    def exposition(self, snapshot: Snapshot) -> bytes:
        """Everything, in Prometheus' text format."""
        self._snapshot = snapshot
        return generate_latest(self._registry)


class _Figures(Collector):
    """Turns the snapshot of a scrape into metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Called by the registry; without a snapshot it only asks for names."""
        snapshot = self._metrics.snapshot
        if snapshot is None:
            return
        yield _gauge("rapport_connections", "WebSocket connections.", snapshot.hub.connections)
        yield _gauge("rapport_accounts", "Accounts with a connection.", snapshot.hub.accounts)
        closed = snapshot.hub.closed
        yield _counters("rapport_connections_closed", "Connections closed by this side.", "code", closed)
        refused = snapshot.hub.refused
        yield _counters("rapport_requests_refused", "Requests over WebSockets refused.", "error", refused)
        yield from _bus_figures(snapshot.bus)
        yield _counter("rapport_media_worker_restarts", "Workers that died.", snapshot.worker_restarts)
        yield from _cluster_figures(snapshot.cluster)
        yield from _store_figures(snapshot.store)
        yield from _blob_figures(snapshot.blobs)
        yield from _media_figures(snapshot.workers)
        yield from _webhook_figures(snapshot.backlogs, snapshot.now_ms)


def _bus_figures(bus: BusStatistics) -> Iterable[Metric]:
    yield _gauge("rapport_bus_up", "Whether other nodes can be heard.", bus.ready)
    yield _counter("rapport_bus_dropped", "Notices dropped at a limit, or out of reach.", bus.dropped)
    yield _counter("rapport_bus_gaps", "Times at which notices may have been missed.", bus.gaps)
    yield _counters("rapport_bus_refused", "What came over the bus and was not taken.", "cause", bus.refused)


def _cluster_figures(cluster: ClusterFigures) -> Iterable[Metric]:
    yield _gauge("rapport_cluster_nodes", "Nodes that live, as this one sees them.", cluster.nodes)
    yield _gauge("rapport_cluster_acting", "Whether the others count on this node.", cluster.acting)
    yield _gauge("rapport_cluster_duties", "What this node does for all of them.", cluster.duties)


def _store_figures(store: StoreStatistics | None) -> Iterable[Metric]:
    yield _gauge("rapport_store_up", "Whether the store answers.", 1 if store else 0)
    if store is not None:
        yield _counter("rapport_store_commits", "Commits answered.", store.commits)
        yield _counter("rapport_store_batches", "Transactions they were grouped into.", store.batches)
        yield _counter("rapport_store_appends", "Events written.", store.appends)
        yield _gauge("rapport_store_waiting", "Commits that wait for a transaction.", store.waiting)
        yield _gauge("rapport_store_bytes", "Size on disk.", store.size_bytes)


def _blob_figures(totals: BlobTotals | None) -> Iterable[Metric]:
    if totals is not None:
        yield _gauge("rapport_blobs", "Whole blobs.", totals.blobs)
        yield _gauge("rapport_blobs_stored_bytes", "Size of the whole blobs.", totals.size_bytes)
        yield _gauge("rapport_blob_uploads", "Uploads that are not whole.", totals.uploads)


def _media_figures(workers: Mapping[int, WorkerStats]) -> Iterable[Metric]:
    total = workers.values()
    yield _gauge("rapport_media_workers", "Media workers that answer.", len(workers))
    yield _gauge("rapport_media_sessions", "Sessions with media.", sum(one.sessions for one in total))
    yield _gauge("rapport_media_peers", "Peer connections.", sum(one.peers for one in total))
    by_slot = {str(slot): one for slot, one in workers.items()}
    for name, text in (
        ("packets_in", "Packets received"),
        ("packets_out", "Packets sent"),
        ("bytes_in", "Bytes received"),
        ("bytes_out", "Bytes sent"),
        ("cpu_seconds", "Processor time used"),
    ):
        values = {slot: getattr(one, name) for slot, one in by_slot.items()}
        yield _counters(f"rapport_media_{name}", f"{text}, by worker.", "worker", values)
    drops: dict[str, int] = {}
    for one in total:
        for cause, count in one.dropped.items():
            drops[cause] = drops.get(cause, 0) + count
    yield _counters("rapport_media_dropped", "Packets dropped by the workers that are up.", "cause", drops)


def _webhook_figures(backlogs: Sequence[Backlog], now_ms: int) -> Iterable[Metric]:
    waiting = {one.endpoint: one.waiting for one in backlogs}
    yield _gauges("rapport_webhook_waiting", "Deliveries that wait for an endpoint.", "endpoint", waiting)
    dead = {one.endpoint: one.dead for one in backlogs}
    yield _gauges("rapport_webhook_dead", "Deliveries that were given up.", "endpoint", dead)
    since = {one.endpoint: one.oldest_ms for one in backlogs if one.oldest_ms is not None}
    oldest = {endpoint: (now_ms - since_ms) / 1000 for endpoint, since_ms in since.items()}
    yield _gauges("rapport_webhook_oldest_seconds", "How long the oldest one waits.", "endpoint", oldest)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
