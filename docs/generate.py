"""Writes the pages of ``docs/`` that come from the code: ``python -m docs.generate`` (or ``make docs``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from config import reference as settings_reference
from protocol import reference
from signaling.audit import actions
from signaling.sessions import states

DOCS = Path(__file__).resolve().parent
_ROOT = DOCS.parent


def _wire_sources() -> list[str]:
    requests = ("sessions", "schedule", "around", "receipts", "keys", "push")
    names = ("base", "frames", *requests, "events", "signals")
    carried = ("e2ee/devices", "e2ee/prekeys", "e2ee/epochs")
    return [(_ROOT / "protocol" / f"{name}.py").read_text("utf-8") for name in (*names, *carried)]


def _sessions() -> str:
    """The page about sessions, with the states as the code has them."""
    before, begin, rest = (DOCS / "sessions.md").read_text("utf-8").partition("<!-- states: ")
    opening, _, after = rest.partition(" -->\n")
    end = "<!-- end of states -->"
    shown = f"```mermaid\n{states.diagram()}\n```\n\n{states.table()}\n"
    return f"{before}{begin}{opening} -->\n{shown}{end}{after.partition(end)[2]}"


PAGES: dict[str, Callable[[], str]] = {
    "audit-actions.md": actions.page,
    "configuration.md": settings_reference.page,
    "sessions.md": _sessions,
    "wire.md": lambda: reference.wire_reference(_wire_sources()),
    "wire.schema.json": reference.wire_schema,
}
"""Each generated page and what makes its text."""


def main() -> None:
    """Write every page that has changed."""
    for name, text in PAGES.items():
        (DOCS / name).write_text(text(), "utf-8")


if __name__ == "__main__":
    main()
