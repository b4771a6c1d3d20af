"""Which store the settings mean: a file of SQLite, or a database of PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from config.settings import StoreSettings
from relay.audit_trail import OpenTrail
from relay.cluster import Roll
from relay.postgres import PostgresStore, Target
from relay.postgres.roll import open_roll
from relay.postgres.trail import open_trail
from relay.sqlite import SqliteStore
from relay.sqlite.roll import SqliteRoll
from relay.sqlite.trail import SqliteTrail
from relay.store import Store
from signaling.audit.places import SQLITE


def place_of(settings: StoreSettings) -> Path | Target:
    """The file, or the database."""
    if settings.url.startswith(SQLITE):
        return Path(settings.url.removeprefix(SQLITE))
    return Target(
        settings.url,
        settings.password,
        connections=settings.connections,
        connect_seconds=settings.connect_seconds,
        statement_seconds=settings.statement_seconds,
        patience_seconds=settings.patience_seconds,
        synchronous_standby=settings.synchronous_standby,
    )


def store_of(settings: StoreSettings) -> Store:
    """The store, not open."""
    place = place_of(settings)
    return SqliteStore(place) if isinstance(place, Path) else PostgresStore(place)


async def trail_of(settings: StoreSettings) -> OpenTrail:
    """The audit trail of the store, which a server may have open. Raises :exc:`relay.errors.StoreError`."""
    place = place_of(settings)
    return SqliteTrail(place) if isinstance(place, Path) else await open_trail(place)


async def roll_of(settings: StoreSettings) -> Roll:
    """The nodes of the store, which servers may have open. Raises :exc:`relay.errors.StoreError`."""
    place = place_of(settings)
    return SqliteRoll(place) if isinstance(place, Path) else await open_roll(place)
