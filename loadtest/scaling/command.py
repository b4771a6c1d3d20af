"""The command ``rapport scaling``."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from loadtest.scaling import report
from loadtest.scaling.costs import BadCosts, Costs, from_bench
from loadtest.scaling.demand import Habits
from loadtest.scaling.plan import Machines

if TYPE_CHECKING:
    from argparse import _SubParsersAction

MOST_ACCOUNTS = 1e10


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command; ``run`` of the parsed arguments carries it out and returns the exit status."""
    parser = subparsers.add_parser("scaling", help="say how many machines so many accounts need")
    parser.add_argument("--accounts", type=_accounts, required=True, metavar="N", help="such as 1000000")
    parser.add_argument("--cores", type=_cores, default=16, metavar="N", help="of a node (16)")
    parser.add_argument("--bench", type=Path, metavar="FILE", help="costs as `make bench` wrote them")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the simulation (1)")
    parser.set_defaults(run=run)


def run(arguments: Namespace) -> int:
    """Print the report; 1 if the plan does not hold, 2 if the costs cannot be read."""
    try:
        costs = Costs() if arguments.bench is None else from_bench(arguments.bench)
    except BadCosts as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    said = list(
        report.lines(arguments.accounts, Habits(), costs, Machines(cores=arguments.cores), arguments.seed)
    )
    print("\n".join(said))
    return 0 if said[-1] == "holds" else 1


def _accounts(text: str) -> float:
    return _number(text, 100, MOST_ACCOUNTS)


def _cores(text: str) -> int:
    return int(_number(text, 2, 1024))


def _number(text: str, least: float, most: float) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not least <= number <= most:
        raise ArgumentTypeError(f"must be a number from {least:,.0f} to {most:,.0f}")
    return number
