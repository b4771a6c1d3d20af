"""Writes the pages of ``docs/`` that come from the code: ``python -m docs.generate`` (or ``make docs``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from config import reference as settings_reference
from protocol import reference

DOCS = Path(__file__).resolve().parent
_ROOT = DOCS.parent


def _wire_sources() -> list[str]:
    return [
        (_ROOT / "protocol" / name).read_text("utf-8") for name in ("frames.py", "events.py", "signals.py")
    ]


PAGES: dict[str, Callable[[], str]] = {
    "configuration.md": settings_reference.page,
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
