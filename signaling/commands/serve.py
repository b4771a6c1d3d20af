"""``rapport serve``: run a node until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import uvloop

from config import ConfigError, Settings
from config.commands import add_source_arguments, report, settings_from
from signaling.cluster.keeper import End
from signaling.http.development import key_of
from signaling.node import Node, StartError
from signaling.observe import logs

if TYPE_CHECKING:
    from argparse import _SubParsersAction


GC_YOUNG = 20_000
"""Objects made and still alive before a collection; a busy node has thousands in flight."""

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

REASONS: Mapping[End | None, str] = {
    "buried": "the other nodes took this one for dead",
    "restored": "the store was put back to an earlier state",
}
"""Why a node has ended that is to be started again."""


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "serve",
        help="run the server",
        epilog="Settings are given as --section.name=value; see rapport config.",
    )
    add_source_arguments(parser)
    parser.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Serve. Returns 0 after a planned stop, 1 if the server could not start, or was taken for dead."""
    try:
        settings = settings_from(args)
    except ConfigError as error:
        sys.stderr.write(report(error))
        return 1
    logs.configure(settings.log)
    runner: Callable[[Awaitable[int]], int] = uvloop.run if settings.server.uvloop else asyncio.run  # type: ignore[assignment]  # both take any coroutine
    return runner(_serve(settings, development=args.dev))


async def _serve(settings: Settings, *, development: bool) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    node = Node(settings, development=development)
    try:
        await node.start()
    except StartError as error:
        sys.stderr.write(f"rapport: {error}\n")
        return 1
    _relax_collector()
    sys.stdout.write(_greeting(node.url, settings) if development else f"Rapport serves {node.url}\n")
    sys.stdout.flush()
    await _first(stopping, node.keeper.ending)
    for number in STOP_SIGNALS:  # whoever asks a second time is in a hurry
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
    await node.stop()
    if reason := REASONS.get(node.keeper.end):
        sys.stderr.write(f"rapport: {reason}; start it again\n")
        return 1
    return 0


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for one in waiting:
        one.cancel()


def _relax_collector() -> None:
    """Let the garbage collector look less often: by its defaults it takes a tenth of the time of a busy node.

    What is there now stays; what is in flight lives for milliseconds and is let go by its reference counts.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_YOUNG, 20, 20)


def _greeting(url: str, settings: Settings) -> str:
    """What a first run needs to know."""
    key, secret = key_of(settings.tokens.keys)
    return "\n".join(
        (
            f"Rapport serves {url} (development: this machine only, data in {settings.store.url})",
            f"  try it   open {url}/ in a browser",
            f"  key      {key}",
            f"  secret   {secret}",
            "  a token  RAPPORT_SECRET=<the secret> "
            f"rapport token --key {key} --account alice --role therapist",
            f"  the API  {url}/v1/openapi.json",
            "",
        )
    )
