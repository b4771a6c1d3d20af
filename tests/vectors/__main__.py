"""Writes the vectors next to this file: ``python -m tests.vectors``.

Everything is derived from names, so that a run changes only what HPKE draws at random.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.vectors.identity import identity
from tests.vectors.inside import attachments, contents
from tests.vectors.primitives import primitives
from tests.vectors.talking import talking

FOLDER = Path(__file__).resolve().parent

FILES = {
    "primitives.json": primitives,
    "identity.json": identity,
    "talking.json": talking,
    "contents.json": contents,
    "attachments.json": attachments,
}
"""Each file and what makes it."""


def main() -> None:
    """Write every file."""
    for name, make in FILES.items():
        (FOLDER / name).write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
