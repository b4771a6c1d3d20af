"""``rapport store``: bring a store up to date, check it, move it to PostgreSQL, begin an epoch.

What is done to the tables is told by the modules of :mod:`relay.sqlite` and :mod:`relay.postgres`.
"""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from config import ConfigError, checks
from config.commands import add_source_arguments, report, settings_from
from config.settings import StoreSettings
from relay.errors import StoreError
from relay.invariants import chain_fault
from relay.postgres import copying, maintenance, opening
from relay.sqlite import checking
from relay.sqlite.opening import begin_epoch, leaving
from signaling.audit.places import SQLITE
from signaling.stores import place_of, store_of, trail_of

if TYPE_CHECKING:
    from argparse import _SubParsersAction


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command with what it can do."""
    parser = subparsers.add_parser("store", help="migrate, check, copy and restore the store")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _command(commands, "migrate", "bring the tables up to this version", _migrate)
    _command(commands, "check", "read everything, and say whether it is sound", _check)
    copying = _command(commands, "copy", "copy a SQLite store into an empty PostgreSQL store", _copy)
    copying.add_argument("--from", dest="source", metavar="URL", required=True, help="the store to copy")
    _command(commands, "begin-epoch", "have devices compare their logs, after a restore", _begin_epoch)


def _command(
    commands: _SubParsersAction[ArgumentParser],
    name: str,
    help_text: str,
    work: Callable[[StoreSettings, Namespace], Awaitable[int]],
) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(name, help=help_text)
    add_source_arguments(parser)
    parser.add_argument("--store", metavar="URL", help="the store, instead of that of the settings")
    parser.set_defaults(run=lambda args: _run(args, work))
    return parser


def _run(args: Namespace, work: Callable[[StoreSettings, Namespace], Awaitable[int]]) -> int:
    """Carry a command out: its status, or 2 if it could not be."""

    async def carried_out() -> int:
        return await work(store_settings(args), args)

    try:
        return asyncio.run(carried_out())
    except ConfigError as error:
        sys.stderr.write(report(error))
    except (ValueError, StoreError) as error:
        sys.stderr.write(f"rapport store: {error}\n")
    return 2


def store_settings(args: Namespace) -> StoreSettings:
    """Which store, as the arguments and settings name it. Raises :exc:`ConfigError`, :exc:`ValueError`."""
    if args.store is None:
        return settings_from(args).store
    if problem := checks.store_url(args.store):
        raise ValueError(f"--store {problem}")
    return StoreSettings(args.store)


async def _migrate(settings: StoreSettings, _args: Namespace) -> int:
    store = store_of(settings)
    await store.open()
    await store.close()
    sys.stdout.write("The store has the tables of this version.\n")
    return 0


async def _check(settings: StoreSettings, _args: Namespace) -> int:
    """0 if the store is sound, 1 with all that is wrong."""
    place = place_of(settings)
    faults = checking.faults(place) if isinstance(place, Path) else await maintenance.faults(place)
    trail = await trail_of(settings)
    try:
        broken = await chain_fault(trail)
    finally:
        await trail.close()
    for fault in (*faults, *filter(None, [broken])):
        sys.stdout.write(f"{fault}\n")
    if faults or broken:
        return 1
    sys.stdout.write("The store is sound.\n")
    return 0


async def _copy(settings: StoreSettings, args: Namespace) -> int:
    if problem := checks.store_url(args.source):
        raise ValueError(f"--from {problem}")
    target = place_of(settings)
    if not args.source.startswith(SQLITE) or isinstance(target, Path):
        raise ValueError("a SQLite store is copied into a PostgreSQL store, and not otherwise")
    source = Path(args.source.removeprefix(SQLITE))
    with leaving(source) as (db, epoch):
        copied = await copying.copy(db, epoch, target)
    for table, rows in copied.items():
        sys.stdout.write(f"{table:20}{rows:>12}\n")
    sys.stdout.write("All of it has arrived. Serve the new store, and put the file away.\n")
    return 0


async def _begin_epoch(settings: StoreSettings, _args: Namespace) -> int:
    place = place_of(settings)
    epoch = begin_epoch(place) if isinstance(place, Path) else await opening.begin_epoch(place)
    sys.stdout.write(f"Epoch {epoch} has begun.\n")
    return 0
