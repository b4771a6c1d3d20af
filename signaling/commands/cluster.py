"""``rapport cluster``: the nodes that share the store, and having one of them drained.

The store is asked, and no server: it answers, too, when one hangs.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import msgspec

from config import ConfigError
from config.commands import add_source_arguments, report
from relay.cluster import Roll
from relay.errors import NotFound, StoreError
from relay.rows import Session
from signaling.audit.actions import entry_of
from signaling.audit.origin import Origin
from signaling.cluster.members import BEAT_SECONDS
from signaling.cluster.overview import DUTIES, Seen, overview
from signaling.commands.store import store_settings
from signaling.sessions.service import RUNNING
from signaling.sessions.session import from_row
from signaling.stores import roll_of

if TYPE_CHECKING:
    from argparse import _SubParsersAction

LOOK_SECONDS = 4 * BEAT_SECONDS
"""How long a node has to show that it lives."""

PAGE = 256

SHORTEST_NAME = 4
"""What is empty by mistake is no name."""


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command with what it can do."""
    parser = subparsers.add_parser("cluster", help="show the nodes that share the store, and drain one")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = _command(commands, "list", "show the nodes: state, load, and what falls to each", _list)
    listing.add_argument("--json", action="store_true", help="one JSON object for each node, a line each")
    draining = _command(commands, "drain", "have a node hand over what it does, and end", _drain)
    draining.add_argument("node", metavar="NODE", type=_name, help="its name, or the beginning of it")


def _command(
    commands: _SubParsersAction[ArgumentParser],
    name: str,
    help_text: str,
    work: Callable[[Roll, Namespace], Awaitable[int]],
) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(name, help=help_text)
    add_source_arguments(parser)
    parser.add_argument("--store", metavar="URL", help="the store, instead of that of the settings")
    parser.set_defaults(run=lambda args: _run(args, work))
    return parser


def _run(args: Namespace, work: Callable[[Roll, Namespace], Awaitable[int]]) -> int:
    """Carry a command out: its status, or 2 if it could not be."""

    async def carried_out() -> int:
        roll = await roll_of(store_settings(args))
        try:
            return await work(roll, args)
        finally:
            await roll.close()

    try:
        return asyncio.run(carried_out())
    except ConfigError as error:
        sys.stderr.write(report(error))
    except (ValueError, StoreError) as error:
        sys.stderr.write(f"rapport cluster: {error}\n")
    return 2


async def _list(roll: Roll, args: Namespace) -> int:
    before = await roll.nodes()
    hosts = await _hosts(roll)
    await asyncio.sleep(LOOK_SECONDS)
    for seen in overview(before, await roll.nodes(), hosts, DUTIES):
        sys.stdout.write(f"{msgspec.json.encode(seen).decode() if args.json else _line(seen)}\n")
    return 0


async def _hosts(roll: Roll) -> dict[str, str]:
    """The host of the media of each session in which somebody can be; empty without one."""
    hosts: dict[str, str] = {}
    for state in RUNNING:
        after = ""
        while page := await roll.sessions_in(state, after=after, limit=PAGE):
            hosts |= {row.id: _host(row) for row in page}
            after = page[-1].id
    return hosts


async def _drain(roll: Roll, args: Namespace) -> int:
    names = [one.name for one in (await roll.nodes()).living if one.name.startswith(args.node)]
    if len(names) != 1:
        sys.stderr.write(f"rapport cluster: {len(names)} nodes are called so\n")
        return 1
    by = Origin(f"uid:{os.getuid()}", "operator", "cli")
    entry = entry_of(by, "node.drained", "node", names[0], at_ms=time.time_ns() // 1_000_000)
    try:
        wanted = await roll.drain(names[0], entry)
    except NotFound:
        sys.stderr.write("rapport cluster: the node has ended\n")
        return 1
    sys.stdout.write(f"{names[0]} {'is asked to end' if wanted else 'was asked before'}\n")
    return 0


def _host(row: Session) -> str:
    try:
        return from_row(row).host
    except msgspec.MsgspecError:
        return ""


def _name(text: str) -> str:
    if len(text) < SHORTEST_NAME:
        raise ArgumentTypeError(f"give at least {SHORTEST_NAME} characters of it")
    return text


def _line(seen: Seen) -> str:
    """A line for people; what falls to a node last."""
    columns = (
        seen.node,
        f"{seen.state:8}",
        seen.version or "-",
        seen.region or "-",
        seen.url or "-",
        f"connections={seen.connections}",
        f"participants={seen.participants}",
        f"sessions={seen.sessions}",
        f"clocks={seen.clocks}",
        ",".join(seen.duties),
    )
    return "  ".join(columns).rstrip()
