"""The command ``rapport``: which commands there are. What each does is told by its module."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from importlib.metadata import version

import config.commands
import loadtest.cli
import loadtest.scaling.command
from config import flags
from signaling.commands import audit, cluster, serve, store, token, webhooks


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command line; returns the exit status."""
    settings, rest = flags.take(sys.argv[1:] if arguments is None else arguments)
    args = _parser().parse_args(rest)
    args.flags = settings
    status: int = args.run(args)
    return status


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="rapport", description="Real-time communication for online therapy.")
    parser.add_argument("--version", action="version", version=f"rapport {version('rapport-rtc')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve.add_parser(commands)
    token.add_parser(commands)
    webhooks.add_parser(commands)
    audit.add_parser(commands)
    store.add_parser(commands)
    cluster.add_parser(commands)
    config.commands.add_parser(commands)
    commands.choices["config"].set_defaults(run=config.commands.run)
    loadtest.cli.add_parsers(commands)
    loadtest.scaling.command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
