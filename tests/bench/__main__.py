"""Runs the benches: ``python -m tests.bench [NAME...]``.

Prints a table. A run of all benches also writes ``build/bench.json``; one of some, named as in
:data:`BENCHES`, does not, so that the file never has half of the figures.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import Measurement
from tests.bench.report import as_json, table

RESULT = Path("build/bench.json")

BENCHES: tuple[str, ...] = (
    "rtp_forward",
    "relay_store",
    "websocket",
    "relay_durable",
    "relay_durable_postgres",
    "relay_catch_up",
    "clock_lateness",
    "cluster_bus",
    "cluster_durable",
    "cluster_recover",
    "e2ee",
    "e2ee_browser",
    "e2ee_wire",
)
"""The modules of this package that have a ``measure()``, in the order in which they run."""


def main(names: Sequence[str]) -> int:
    """Run the benches called ``names``, or all if there are none. Returns the exit status."""
    if unknown := sorted(set(names) - set(BENCHES)):
        sys.stderr.write(f"no such bench: {', '.join(unknown)}; there are {', '.join(BENCHES)}\n")
        return 2
    measurements: dict[str, Measurement] = {}
    for name in names or BENCHES:
        print(f"{name}...", file=sys.stderr, flush=True)
        measurements |= _measure(name)()
    print(table(measurements))
    if not names:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(as_json(measurements), indent=2) + "\n")
        print(f"written to {RESULT}")
    return 0


def _measure(name: str) -> Callable[[], dict[str, Measurement]]:
    measure: Callable[[], dict[str, Measurement]] = importlib.import_module(f"tests.bench.{name}").measure
    return measure


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
