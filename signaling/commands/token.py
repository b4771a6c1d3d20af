"""``rapport token``: mint a token on the command line. Back ends do the same with a JWT library of theirs."""

from __future__ import annotations

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, get_args

import msgspec

from protocol.fields import Role
from protocol.tokens import Claims, mint

if TYPE_CHECKING:
    from argparse import _SubParsersAction

SECRET_VARIABLE = "RAPPORT_SECRET"  # noqa: S105 - the name of a variable


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("token", help="mint a token with an API key")
    parser.add_argument("--key", required=True, metavar="ID", help="id of the API key")
    parser.add_argument(
        "--secret",
        help=f"its secret; better given by the environment as {SECRET_VARIABLE}: flags can be read",
    )
    parser.add_argument("--account", required=True, help="whom the token is for")
    parser.add_argument("--role", required=True, choices=get_args(Role), help="`operator` is for back ends")
    parser.add_argument("--lifetime", type=int, default=3600, metavar="SECONDS", help="(3600)")
    parser.add_argument("--room", help="the only room it reaches")
    parser.add_argument("--session", help="the only session it reaches")
    parser.add_argument("--device", help="the only device it may be used from")
    parser.add_argument("--scope", default="", help="for back ends, such as 'rooms sessions accounts'")
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Print the token. Returns 2 if there is no good one to print."""
    claims = {
        "iss": args.key,
        "sub": args.account,
        "role": args.role,
        "exp": int(time.time()) + args.lifetime,
        "room": args.room,
        "session": args.session,
        "device": args.device,
        "scope": args.scope,
    }
    try:
        token = mint(msgspec.convert(claims, Claims), args.secret or os.environ.get(SECRET_VARIABLE, ""))
    except (msgspec.ValidationError, ValueError) as error:
        sys.stderr.write(f"rapport token: {error}\n")
        return 2
    sys.stdout.write(f"{token}\n")
    return 0
