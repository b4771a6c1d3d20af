"""``rapport webhooks``: what has not reached its endpoint, and making it once more.

A running server has its store to itself, so these ask it over HTTP, with a token that they mint.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import aiohttp

from protocol import tokens
from protocol.tokens import Claims
from signaling.commands.token import SECRET_VARIABLE

if TYPE_CHECKING:
    from argparse import _SubParsersAction

TOKEN_SECONDS = 300
TIMEOUT_SECONDS = 30.0
LOCAL = "http://127.0.0.1:8080"


class Refused(Exception):
    """The server did not do what it was asked. The message says why."""


class Api:
    """The part of the server's API that is asked here."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    async def get(self, path: str, query: Mapping[str, str]) -> Any:
        """What is at an address below ``/v1/webhooks/``. Raises :exc:`Refused`."""
        return await self._ask("GET", path, params=query)

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The reply to a request. Raises :exc:`Refused`."""
        return await self._ask("POST", path, json=body, headers={"Idempotency-Key": uuid.uuid4().hex})

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        headers = self._headers | options.pop("headers", {})
        url = f"{self._url}/v1/webhooks/{path}"
        try:
            async with self._http.request(method, url, headers=headers, **options) as response:
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Refused(f"{self._url} does not answer as it should ({type(error).__name__})") from None
        if response.status >= 400:
            raise Refused(f"{answer.get('name')}: {answer.get('detail')}")
        return answer


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add ``webhooks list``, ``webhooks replay`` and ``webhooks drop``."""
    parser = subparsers.add_parser(
        "webhooks", help="see and repeat deliveries to webhooks of a running server"
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="list deliveries: those given up, unless said otherwise")
    state = listing.add_mutually_exclusive_group()
    for name in ("dead", "waiting", "delivered"):
        state.add_argument(f"--{name}", action="store_const", dest="state", const=name)
    listing.set_defaults(run=_runs(_list), state="dead")
    replaying = commands.add_parser("replay", help="make deliveries once more")
    replaying.add_argument("deliveries", nargs="*", metavar="ID")
    replaying.add_argument("--all", action="store_true", help="all that were given up")
    replaying.add_argument(
        "--since", type=_instant, metavar="TIME", help="all that were given up from then on"
    )
    replaying.add_argument(
        "--delivered", action="store_const", dest="state", const="delivered", help="those delivered instead"
    )
    replaying.add_argument("--endpoint", metavar="NAME", help="only those for this endpoint")
    replaying.set_defaults(run=_runs(_replay), state="dead")
    dropping = commands.add_parser("drop", help="forget deliveries; what waits behind them goes on")
    dropping.add_argument("deliveries", nargs="+", metavar="ID")
    dropping.set_defaults(run=_runs(_drop))
    for one in (listing, replaying, dropping):
        one.add_argument("--url", default=LOCAL, help=f"address of the server ({LOCAL})")
        one.add_argument("--key", required=True, metavar="ID", help="id of an API key of the server")
        one.add_argument("--secret", help=f"its secret; better given by the environment as {SECRET_VARIABLE}")


def _runs(command: Callable[[Api, Namespace], Awaitable[None]]) -> Callable[[Namespace], int]:
    """A command as ``args.run``: 0 if it was carried out, 1 if it was refused, 2 if it could not begin."""

    async def connected(args: Namespace, token: str) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            await command(Api(http, args.url, token), args)

    def run(args: Namespace) -> int:
        try:
            token = _token(args)
        except ValueError as error:
            sys.stderr.write(f"rapport webhooks: {error}\n")
            return 2
        try:
            asyncio.run(connected(args, token))
        except Refused as refusal:
            sys.stderr.write(f"rapport webhooks: {refusal}\n")
            return 1
        return 0

    return run


def _token(args: Namespace) -> str:
    claims = Claims(
        args.key, "rapport-webhooks", "operator", exp=time.time() + TOKEN_SECONDS, scope="webhooks"
    )
    return tokens.mint(claims, args.secret or os.environ.get(SECRET_VARIABLE, ""))


async def _list(api: Api, args: Namespace) -> None:
    query: dict[str, str] = {"limit": "200"}
    while True:
        page = await api.get(args.state, query)
        sys.stdout.writelines(f"{line}\n" for line in map(_line, page["items"]))
        if "next" not in page:
            return
        query["cursor"] = page["next"]


async def _replay(api: Api, args: Namespace) -> None:
    if bool(args.deliveries) == (args.all or args.since is not None):
        raise Refused("give ids, or else --all or --since")
    if args.deliveries:
        replayed = (await api.post("replay", {"deliveries": args.deliveries}))["replayed"]
    else:
        replayed = await _replay_all(api, args)
    sys.stdout.write(f"{replayed} to be delivered once more\n")


async def _replay_all(api: Api, args: Namespace) -> int:
    chosen = {"state": args.state, "endpoint": args.endpoint, "since_ms": args.since}
    body: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    total, more = 0, True
    while more:
        answer = await api.post("replay", body)
        total += answer["replayed"]
        more = answer.get("more", False)
        body["until_ms"] = answer["until_ms"]  # what has ended anew since then is not taken up again
    return total


async def _drop(api: Api, args: Namespace) -> None:
    dropped = (await api.post("drop", {"deliveries": args.deliveries}))["dropped"]
    sys.stdout.write(f"{dropped} forgotten\n")


def _line(item: Mapping[str, Any]) -> str:
    columns: Iterable[str] = (
        item["delivery"],
        item["endpoint"],
        item["type"],
        item.get("room", "-"),
        datetime.fromtimestamp(item["since_ms"] / 1000, UTC).isoformat(timespec="seconds"),
        f"attempts={item['attempts']}",
        item.get("failure", ""),
    )
    return "  ".join(columns).rstrip()


def _instant(text: str) -> int:
    """Milliseconds since 1970 of a time in ISO 8601; UTC unless it says otherwise."""
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("is not a time such as 2026-03-01T08:00+01:00") from None
    at = given if given.tzinfo else given.replace(tzinfo=UTC)
    return max(0, round(at.timestamp() * 1000))
