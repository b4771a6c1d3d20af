"""From what sessions saw to the report: figures, JSON and a table. No I/O, no clock.

Percentiles are by nearest rank: the p-th percentile of n values is the value at rank ceil(p * n / 100) in
ascending order, the smallest that at least p percent of them do not exceed. So each was measured.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from loadtest.call import Modality


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for."""

    sessions: int
    modality: Modality
    duration_seconds: float
    """How long each session is held, from the moment both are in it."""
    rate_per_second: float
    """How many sessions begin per second."""
    length_seconds: int
    """The length the sessions are scheduled with. The clock ends those that are held as long, and the
    therapist those that are held for less."""
    file_bytes: int = 0
    """The size of the files that are sent now and then; none with 0."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one session came to. Times are in seconds; a session that failed gives what it has until then."""

    failure: str | None
    """The stable name of what went wrong; none when the session held."""
    joins: tuple[float, ...] = ()
    """For each participant, from opening the connection to the reply to ``session.join``."""
    first_media: tuple[float, ...] = ()
    """For each participant, from when both had joined to the first decoded picture (or audible sound)."""
    round_trips: tuple[float, ...] = ()
    """From sending a chat message to receiving the other side's answer to it: two durable messages."""
    uploads: tuple[float, ...] = ()
    """From sealing a file to its being durable."""
    downloads: tuple[float, ...] = ()
    """From asking for a file to having it opened."""
    packets_received: int = 0
    packets_lost: int = 0
    messages_opened: int = 0
    """Sealed messages that a participant has opened; each has two readers, its sender among them."""
    undecryptable: int = 0
    """Sealed events that a participant could not open."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The percentiles of some times, in milliseconds; all 0 when there are none."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Report:
    """The whole run. ``held + failed == asked``: what was interrupted or never begun has failed."""

    plan: Plan
    asked: int
    held: int
    failed: int
    reasons: dict[str, int]
    """How many sessions failed, by the name of what went wrong first, the most frequent first."""
    join: Spread
    first_media: Spread
    chat_round_trip: Spread
    file_upload: Spread
    file_download: Spread
    packets_received: int
    packets_lost: int
    messages_opened: int
    undecryptable: int
    wall_seconds: float

    @property
    def good(self) -> bool:
        """Whether every session held."""
        return self.held == self.asked

    @property
    def lost_percent(self) -> float:
        """Packets lost, of those that were on their way."""
        expected = self.packets_received + self.packets_lost
        return 100 * self.packets_lost / expected if expected else 0.0


def summarize(plan: Plan, outcomes: Sequence[Outcome], wall_seconds: float) -> Report:
    """The report on a plan of which these sessions were begun."""
    never_begun = [Outcome("not_begun")] * (plan.sessions - len(outcomes))
    reasons = Counter(one.failure for one in (*outcomes, *never_begun) if one.failure is not None)
    failed = reasons.total()
    return Report(
        plan=plan,
        asked=plan.sessions,
        held=plan.sessions - failed,
        failed=failed,
        reasons=dict(reasons.most_common()),
        join=spread(time for one in outcomes for time in one.joins),
        first_media=spread(time for one in outcomes for time in one.first_media),
        chat_round_trip=spread(time for one in outcomes for time in one.round_trips),
        file_upload=spread(time for one in outcomes for time in one.uploads),
        file_download=spread(time for one in outcomes for time in one.downloads),
        packets_received=sum(one.packets_received for one in outcomes),
        packets_lost=sum(one.packets_lost for one in outcomes),
        messages_opened=sum(one.messages_opened for one in outcomes),
        undecryptable=sum(one.undecryptable for one in outcomes),
        wall_seconds=round(wall_seconds, 3),
    )


def spread(seconds: Iterable[float]) -> Spread:
    """The percentiles of times in seconds."""
    ordered = sorted(seconds)
    if not ordered:
        return Spread(0, 0.0, 0.0, 0.0, 0.0)
    p50, p95, p99, most = (round(1000 * percentile(ordered, percent), 3) for percent in (50, 95, 99, 100))
    return Spread(len(ordered), p50, p95, p99, most)


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The value at the nearest rank; ``ordered`` is ascending and not empty, ``percent`` from 1 to 100."""
    return ordered[-(-percent * len(ordered) // 100) - 1]


def to_json(report: Report) -> str:
    """The report as a JSON document."""
    return json.dumps(asdict(report) | {"good": report.good, "lost_percent": report.lost_percent}, indent=2)


def table(report: Report) -> str:
    """The report for people."""
    lines = [
        f"Sessions          asked {report.asked:,}, held {report.held:,}, failed {report.failed:,}"
        f"  ({report.wall_seconds:.1f} s)",
        "",
        f"{'':<16}{'count':>9}{'p50':>12}{'p95':>12}{'p99':>12}{'max':>12}",
        _line("Join", report.join),
        _line("First media", report.first_media),
        _line("Chat round trip", report.chat_round_trip),
        _line("File upload", report.file_upload),
        _line("File download", report.file_download),
        "",
        f"Packets           received {report.packets_received:,}, lost {report.packets_lost:,}"
        f"  ({report.lost_percent:.2f} %)",
        f"Sealed messages   opened {report.messages_opened:,}, undecryptable {report.undecryptable:,}",
    ]
    if report.reasons:
        lines += ["", "Failed because of"]
        lines += [f"  {name:<30}{count:>7,}" for name, count in report.reasons.items()]
    return "\n".join(lines)


def _line(title: str, times: Spread) -> str:
    if not times.count:
        return f"{title:<16}{'none':>9}"
    columns = "".join(f"{ms:>9,.1f} ms" for ms in (times.p50_ms, times.p95_ms, times.p99_ms, times.max_ms))
    return f"{title:<16}{times.count:>9,}{columns}"


def progress(plan: Plan, begun: int, outcomes: Sequence[Outcome], wall_seconds: float) -> str:
    """One line on a run that goes on."""
    failed = sum(1 for one in outcomes if one.failure is not None)
    return (
        f"{wall_seconds:6.1f} s  begun {begun:,} of {plan.sessions:,}, running {begun - len(outcomes):,}, "
        f"held {len(outcomes) - failed:,}, failed {failed:,}"
    )
