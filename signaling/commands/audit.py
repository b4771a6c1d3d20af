"""``rapport audit``: verify, export and search the audit trail on the server's machine; renew its key.

The commands read the store while servers may have it open. What they show is recorded in the trail
before it is shown; ``verify`` changes nothing, so it can be trusted with evidence.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from config import AuditSettings, ConfigError, StoreSettings, checks
from config.commands import add_source_arguments, report, settings_from
from relay.audit_chain import AuditRecord
from relay.audit_trail import AppendAudit, AuditCheckpoint, AuditFilter
from relay.errors import StoreError
from signaling.audit import exporting, keys, witness
from signaling.audit.actions import entry_of
from signaling.audit.origin import Origin
from signaling.audit.places import places
from signaling.audit.verifying import Report, verify
from signaling.audit.witness import WitnessError
from signaling.key_files import KeyFileError
from signaling.stores import trail_of

if TYPE_CHECKING:
    from argparse import _SubParsersAction

PAGE = 1_000
"""Entries read at a time; more are never in memory."""

T = TypeVar("T", AuditRecord, AuditCheckpoint)


class Trail:
    """The trail and its files, as the arguments name them."""

    def __init__(self, args: Namespace, runner: asyncio.Runner) -> None:
        """Raises :exc:`ConfigError`, :exc:`ValueError`, :exc:`StoreError`."""
        if args.store is None:
            settings = settings_from(args)
            audit, store = settings.audit, settings.store
        elif problem := checks.store_url(args.store):
            raise ValueError(f"--store {problem}")
        else:
            audit, store = AuditSettings(), StoreSettings(args.store)
        named = places(audit, store.url)
        self.key_file = Path(named.key)
        self.witness_file = Path(named.witness)
        self.store = runner.run(trail_of(store))
        self._runner = runner

    def close(self) -> None:
        """Close the store."""
        self._runner.run(self.store.close())

    def records(self, after: int, matching: AuditFilter | None = None) -> Iterator[AuditRecord]:
        """Entries behind a sequence."""
        yield from self._pages(
            lambda last: self.store.audit(after=last, limit=PAGE, matching=matching), after
        )

    def record(self, action: str, kind: str = "", name: str = "") -> None:
        """Record what is being done, by the user of the operating system who does it."""
        by = Origin(f"uid:{os.getuid()}", "operator", "cli")
        now_ms = time.time_ns() // 1_000_000
        self._runner.run(self.store.append(AppendAudit(entry_of(by, action, kind, name, at_ms=now_ms))))

    def verified(self, public: Path, checkpoints: Path | None) -> Report:
        """What :func:`signaling.audit.verifying.verify` finds, with all checkpoints there are.

        Raises :exc:`KeyFileError`, :exc:`WitnessError`.
        """
        known = keys.load_public(public)

        def once() -> Report:
            anchor = self._runner.run(self.store.audit_anchor())
            signed = (self._checkpoints(), witness.read(checkpoints) if checkpoints else ())
            return verify(self.records, heapq.merge(*signed, key=attrgetter("sequence")), anchor, known)

        found = once()
        # A server that signs or prunes meanwhile may look like a fault. One that is there twice is one.
        while found.fault is not None and found.fault != (again := once()).fault:
            found = again
        return found

    def _checkpoints(self) -> Iterator[AuditCheckpoint]:
        yield from self._pages(lambda last: self.store.audit_checkpoints(after=last, limit=PAGE), 0)

    def _pages(self, read: Callable[[int], Awaitable[Sequence[T]]], after: int) -> Iterator[T]:
        async def one() -> Sequence[T]:
            return await read(after)

        while page := self._runner.run(one()):
            yield from page
            after = page[-1].sequence


def add_parser(subparsers: _SubParsersAction[ArgumentParser]) -> None:
    """Add the command with what it can do."""
    parser = subparsers.add_parser("audit", help="verify, export and search the audit trail")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    verifying = _command(commands, "verify", "say whether anybody has tampered with the trail", _verify)
    verifying.add_argument("--keys", metavar="FILE", type=Path, help="public keys, instead of the server's")
    verifying.add_argument("--checkpoints", metavar="FILE", type=Path, help="instead of the server's file")
    export = _command(commands, "export", "write the trail to standard output", _export)
    export.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="(jsonl)")
    search = _command(commands, "search", "show entries", _search)
    search.add_argument("--actor", help="who acted: an account, or account@key for a back end")
    search.add_argument("--action", help="what was done, such as session.live, or session for all below it")
    search.add_argument("--object", metavar="KIND:ID", help="to what, such as room:4711 or account:anna")
    search.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many (100)")
    for parser in (export, search):
        parser.add_argument("--since", type=_instant, metavar="TIME", help="from then on, such as 2027-01-31")
        parser.add_argument("--until", type=_instant, metavar="TIME", help="before then")
    _command(commands, "rotate-key", "sign with a new key from the server's next start on", _rotate)


def _command(
    commands: _SubParsersAction[ArgumentParser],
    name: str,
    help_text: str,
    work: Callable[[Trail, Namespace], int],
) -> ArgumentParser:
    parser: ArgumentParser = commands.add_parser(name, help=help_text)
    add_source_arguments(parser)
    parser.add_argument("--store", metavar="URL", help="the store, instead of that of the settings")
    parser.set_defaults(run=lambda args: _run(args, work))
    return parser


def _run(args: Namespace, work: Callable[[Trail, Namespace], int]) -> int:
    """Carry a command out: its status, or 2 if it could not be."""
    try:
        with asyncio.Runner() as runner, closing(Trail(args, runner)) as trail:
            return work(trail, args)
    except ConfigError as error:
        sys.stderr.write(report(error))
    except (ValueError, StoreError, KeyFileError, WitnessError) as error:
        sys.stderr.write(f"rapport audit: {error}\n")
    except BrokenPipeError:  # whoever read has seen enough; Python would say so once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 2


def _verify(trail: Trail, args: Namespace) -> int:
    """0 if the trail is whole, 1 with the first fault."""
    checkpoints = args.checkpoints or (trail.witness_file if trail.witness_file.exists() else None)
    found = trail.verified(args.keys or keys.public_file(trail.key_file), checkpoints)
    if checkpoints is None:
        sys.stderr.write("There is no file of checkpoints: only those in the store were looked at.\n")
    if found.fault is not None:
        sys.stdout.write(f"The audit trail is broken: {found.fault}.\n")
        return 1
    sys.stdout.write(_told(found))
    return 0


def _told(found: Report) -> str:
    """That a trail is whole, and how far that is known."""
    lines = [f"The audit trail is whole: {found.entries} entries, up to number {found.head.sequence}."]
    if found.signed is None:
        lines.append("Nothing of it is signed: whether it was shortened or computed anew cannot be told.")
    else:
        signed, behind = found.signed, found.head.sequence - found.signed.sequence
        at = exporting.iso(signed.at_ms)
        lines.append(f"It is signed up to number {signed.sequence}, on {at} by the key {signed.key}.")
        lines.append(f"Behind that are {behind} more; whether there were others cannot be told.")
    return "\n".join(lines) + "\n"


def _export(trail: Trail, args: Namespace) -> int:
    trail.record("audit.exported")
    matching = AuditFilter(since_ms=args.since, until_ms=args.until)
    line = exporting.json_line
    if args.format == "csv":
        sys.stdout.write(exporting.csv_header())
        line = exporting.csv_line
    for record in trail.records(0, matching):
        sys.stdout.write(line(record))
    sys.stdout.flush()
    return 0


def _search(trail: Trail, args: Namespace) -> int:
    trail.record("audit.searched")
    matching = exporting.filter_of(
        actor=args.actor,
        action=args.action,
        about=args.object,
        since_ms=args.since,
        until_ms=args.until,
    )
    for number, record in enumerate(trail.records(0, matching)):
        if number >= args.limit:
            sys.stderr.write(f"There are more than {args.limit}: narrow the search, or raise --limit.\n")
            break
        sys.stdout.write(exporting.human_line(record))
    sys.stdout.flush()
    return 0


def _rotate(trail: Trail, _args: Namespace) -> int:
    key = keys.rotate(trail.key_file)
    trail.record("audit.key_rotated", "key", key)
    sys.stdout.write(f"The key {key} signs from the next start of the server on.\n")
    return 0


def _instant(text: str) -> int:
    try:
        return exporting.instant_ms(text)
    except (ValueError, OverflowError):
        raise ArgumentTypeError("not a time such as 2027-01-31 or 2027-01-31T18:30:00+01:00") from None
