"""How patient the bus between nodes is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds."""

    answer: float = 2.0
    """How long Redis may take to be connected to, or to answer."""
    beat: float = 1.0
    """How often a node probes its way through Redis, and looks whether it is still in the directory."""
    silence: float = 5.0
    """How long a probe may be missing before its subscription counts as dead."""
    refresh: float = 10.0
    """How often a node announces all its accounts again."""
    expiry: float = 30.0
    """How long what a node that died had announced stays in the directory."""
    retry: float = 0.5
    """The longest pause between two attempts to subscribe."""
