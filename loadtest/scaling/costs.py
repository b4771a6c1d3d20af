"""What things cost on one core, as `make bench` measures it, and what other programs were seen to carry."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from loadtest.errors import LoadTestError

KIB: Final = 1 << 10


class BadCosts(LoadTestError):
    """The file of measurements cannot be used; the message says why."""

    name = "bad_costs"


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of one core for each thing done, unless the name ends in another unit."""

    packet: float = 9.1e-6
    """A media packet forwarded."""
    message: float = 34e-6
    """A message through the server: checked, committed, replied to, delivered, acknowledged."""
    elsewhere: float = 10e-6
    """What is added when the receiver is at another node."""
    frame: float = 8.4e-6
    """A request that stores nothing, or a ping and its answer."""
    arrival: float = 1.5e-3
    """A device that connects: `hello`, token, rooms and what waits there. TLS is the load balancer's."""
    connection_bytes: float = 22.6 * KIB
    """Memory of a connection that does nothing."""
    append_database: float = 12e-6
    """What PostgreSQL's own processes take for an event."""
    append_bytes: float = 900
    """What an event adds to the database, its indexes included."""
    directory: float = 6e-6
    """What Redis takes to note where an account is, and as much for a bundle it passes on."""


MEASURED: Final = {
    "rtp.forward_1to1": "packet",
    "relay.durable_postgres": "message",
    "ws.echo": "frame",
    "ws.idle": "connection_bytes",
    "cluster.added_cpu": "elsewhere",
}
"""The names of measurements, and what they replace."""
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "KiB": float(KIB), "B": 1.0}


def from_bench(path: Path) -> Costs:
    """The costs that `make bench` has written into its report. Raises :exc:`BadCosts`."""
    try:
        report: dict[str, Any] = dict(json.loads(path.read_bytes()))
        found = {
            cost: float(report[name]["value"]) * _UNITS[report[name]["unit"]]
            for name, cost in MEASURED.items()
            if name in report
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadCosts(f"{path} is not a report of `make bench`: {type(error).__name__}") from error
    return replace(Costs(), **found)
