"""The commands ``rapport loadtest`` and ``rapport demo``: arguments, output, exit status."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import resource
import secrets
import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from loadtest import demo, report
from loadtest.report import Plan, Report
from loadtest.run import Run
from loadtest.target import Target

if TYPE_CHECKING:
    from argparse import _SubParsersAction

SECRET_VARIABLE: Final = "RAPPORT_SECRET"  # noqa: S105 - the name of a variable
INTERRUPTED: Final = 128 + signal.SIGINT
LENGTH_SECONDS: Final = 300
"""The length sessions are scheduled with unless they are held for longer; few servers allow shorter ones."""
CLEAR_LINE: Final = "\r\x1b[K"
PROGRESS_SECONDS: Final = 0.5
PROGRESS_LINE_SECONDS: Final = 5.0
"""How often there is a line of progress where lines cannot be overwritten."""


def add_parsers(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add both commands; ``run`` of the parsed arguments carries one out and returns the exit status."""
    parser = subparsers.add_parser("loadtest", help="hold synthetic sessions on a server and report")
    parser.add_argument("--url", required=True, help="address of the server, such as http://127.0.0.1:8080")
    parser.add_argument("--key", required=True, metavar="ID", help="id of an API key of the server")
    parser.add_argument("--secret", help=f"its secret; better given by the environment as {SECRET_VARIABLE}")
    parser.add_argument("--sessions", type=_count, default=1, metavar="N", help="how many sessions (1)")
    parser.add_argument("--modality", choices=("video", "audio", "chat"), default="video")
    parser.add_argument(
        "--duration", type=_seconds, default=30.0, metavar="SECONDS", help="how long each is held (30)"
    )
    parser.add_argument(
        "--length",
        type=_count,
        metavar="SECONDS",
        help=f"length they are scheduled with (the longer of the duration and {LENGTH_SECONDS}); "
        "sessions that are not longer than the duration are ended by the clock, others by the therapist",
    )
    parser.add_argument(
        "--rate", type=_seconds, default=1.0, metavar="PER_SECOND", help="sessions begun per second (1)"
    )
    parser.add_argument(
        "--file-bytes",
        type=_count,
        default=0,
        metavar="BYTES",
        help="size of sealed files that are sent, fetched and opened now and then (none)",
    )
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write the report there as JSON")
    parser.set_defaults(run=run_loadtest)
    parser = subparsers.add_parser("demo", help="hold one session on a private server and tell what happens")
    parser.set_defaults(run=run_demo)


def run_loadtest(args: Namespace) -> int:
    """Carry out ``rapport loadtest``.

    Returns 0 if every session held, 1 if not, 2 if it could not begin, 130 after Ctrl-C.
    """
    secret = args.secret or os.environ.get(SECRET_VARIABLE, "")
    length = args.length or max(LENGTH_SECONDS, int(args.duration))
    plan = Plan(args.sessions, args.modality, args.duration, args.rate, length, args.file_bytes)
    try:
        target = Target(args.url, args.key, secret)
        _writable(args.report)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"rapport loadtest: {error}\n")
        return 2
    _allow_many_sockets()
    try:
        stopped, result = asyncio.run(_run(target, plan))
    except KeyboardInterrupt:  # the second one: what there is is given up
        return INTERRUPTED
    print(f"\n{report.table(result)}")
    if args.report is not None:
        args.report.write_text(report.to_json(result) + "\n")
    return INTERRUPTED if stopped else 0 if result.good else 1


def run_demo(args: Namespace) -> int:
    """Carry out ``rapport demo``: 0 if everything was observed, 1 if not, 130 after Ctrl-C."""
    try:
        return asyncio.run(demo.show(sys.stdout))
    except KeyboardInterrupt:
        return INTERRUPTED


async def _run(target: Target, plan: Plan) -> tuple[bool, Report]:
    """The run, and whether it was stopped."""
    run = Run(target, plan, f"load-{secrets.token_hex(4)}")
    loop = asyncio.get_running_loop()
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        run.stop()
        loop.remove_signal_handler(signal.SIGINT)  # a second Ctrl-C is not so patient

    loop.add_signal_handler(signal.SIGINT, stop)
    showing = asyncio.create_task(_show_progress(run))
    try:
        await run.go()
    finally:
        showing.cancel()
        loop.remove_signal_handler(signal.SIGINT)
    with contextlib.suppress(asyncio.CancelledError):
        await showing
    print(f"{CLEAR_LINE if sys.stdout.isatty() else ''}{run.progress()}")
    return stopped, run.report()


async def _show_progress(run: Run) -> None:
    over = sys.stdout.isatty()
    while True:
        await asyncio.sleep(PROGRESS_SECONDS if over else PROGRESS_LINE_SECONDS)
        line = run.progress()
        print(f"{CLEAR_LINE}{line}" if over else line, end="" if over else "\n", flush=True)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError("is not a whole number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (number := float(text)) < math.inf:
            return number
    raise ArgumentTypeError("is not a positive number")


def _writable(file: Path | None) -> None:
    """Raise :exc:`OSError` now rather than after the run."""
    if file is not None:
        with file.open("a"):
            pass


def _allow_many_sockets() -> None:
    """Each session has two connections and, with media, two peer connections of several sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
