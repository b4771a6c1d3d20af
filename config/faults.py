"""What can be wrong with settings, and where.

ConfigError     raised once, with every fault that was found
  .faults       the faults, in the order of the sources
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. Never quotes the value of a secret."""

    place: str
    """Where: ``rapport.toml:12: store.url``, ``environment RAPPORT_STORE_URL``, ``flag --store.url``."""
    problem: str
    """What is wrong there, and what would be right."""
    hides: bool = False
    """Whether the source could not be read at all, so that nobody knows what it would have said."""

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


class ConfigError(Exception):
    """The settings cannot be used. ``faults`` has everything that is wrong with them."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults
