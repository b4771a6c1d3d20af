"""Runs the commands of the load tester within the test's own process."""

from __future__ import annotations

from argparse import ArgumentParser

from loadtest.cli import add_parsers


def rapport(*arguments: str) -> int:
    """The exit status of ``rapport`` with these arguments."""
    parser = ArgumentParser(prog="rapport")
    add_parsers(parser.add_subparsers(required=True))
    args = parser.parse_args(arguments)
    status: int = args.run(args)
    return status
