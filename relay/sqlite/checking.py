"""Whether a store's file is sound: a server may have it open meanwhile."""

import sqlite3
from contextlib import closing
from pathlib import Path

from relay.errors import StoreUnusable
from relay.invariants import RULES
from relay.sqlite.opening import translated
from relay.sqlite.reads import snapshot
from relay.sqlite.schema import check_current


def faults(path: Path) -> tuple[str, ...]:
    """What is wrong with a file, a line each. Blocks, and reads all of it.

    Raises `StoreUnusable` if there is no such file or it is of an older version, `SchemaTooNew`.
    """
    if not path.is_file():
        raise StoreUnusable("there is no such file")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
            db.isolation_level = None
            check_current(db)
            with snapshot(db):
                return (*_damage(db), *_broken(db))
    except sqlite3.Error as error:
        raise translated(error) from error


def _damage(db: sqlite3.Connection) -> list[str]:
    """What SQLite finds wrong with the file itself: only how much, for its words may name what is stored."""
    found = [line for (line,) in db.execute("PRAGMA integrity_check") if line != "ok"]
    found += [table for table, *_ in db.execute("PRAGMA foreign_key_check")]
    return [f"{len(found)} faults in the file itself"] if found else []


def _broken(db: sqlite3.Connection) -> list[str]:
    counts = {rule: db.execute(query).fetchone()[0] for rule, query in RULES.items()}
    return [f"{count} {rule}" for rule, count in counts.items() if count]
