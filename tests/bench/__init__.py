"""Benches: what a thing costs on this machine, beside what the machine allows at best.

Each bench module has a ``measure()`` that returns its measurements by name; ``python -m tests.bench``
runs them all, prints a table and writes ``build/bench.json``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measured figure; lower is better for every unit in use."""

    value: float
    """What was measured."""
    unit: str
    """Its unit: ``us``, ``ms``, ``KiB``..."""
    limit: float | None = None
    """What the machine itself costs for the same work, measured in the same run and unit."""

    @property
    def ratio(self) -> float | None:
        """How many times the limit the value is; None without a limit."""
        return self.value / self.limit if self.limit else None
