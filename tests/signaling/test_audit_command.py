"""``rapport audit`` on a real file: whatever is done to it with SQLite's own tools is found."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from config.settings import AuditSettings
from relay.audit_chain import GENESIS, AuditEntry, follow
from relay.audit_trail import AppendAudit, AuditAnchor, AuditHold, HoldAudit
from relay.sqlite import SqliteStore
from relay.sqlite.trail import SqliteTrail
from signaling import cli
from signaling.audit import witness
from signaling.audit.auditor import Auditor
from signaling.audit.keys import load_or_create, public_file
from signaling.audit.seals import sign_checkpoint
from signaling.timebase import Timebase
from tests.signaling.audit_kit import STRANGER, entry
from tests.signaling.sessions_kit import HandClock

ENTRIES = 24
DAY_MS = 86_400_000


async def write_trail(folder: Path, *, held: str | None = None, days: int = 0) -> None:
    """A trail with checkpoints at 1, 11, 21 and behind the last entry; after ``days`` it is pruned."""
    clock = HandClock()
    timebase = Timebase(clock, clock)
    store = SqliteStore(folder / "rapport.db")
    await store.open()
    settings = AuditSettings(checkpoint_entries=10, checkpoint_seconds=86_400, retention_days=10)
    auditor = Auditor(settings, store, f"sqlite:///{folder / 'rapport.db'}", timebase, "1.0")
    await auditor.start()
    for number in range(2, ENTRIES):
        await store.commit(AppendAudit(entry(clock.ms + number)))
        await auditor.tick()
    if held:
        await store.commit(HoldAudit(AuditHold("session", held, 1)))
    await auditor.stop()
    if days:
        clock.wait_ms(days * DAY_MS)
        await auditor.start()
        await auditor.prune()
        await auditor.stop()
    await store.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    asyncio.run(write_trail(folder))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it that may be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


class Spoiler:
    """Someone with the file and with SQLite."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "rapport.db"

    def __call__(self, *statements: str) -> None:
        db = sqlite3.connect(self.path)
        for statement in statements:
            db.execute(statement)
        db.commit()
        db.close()

    def recompute(self, after: int) -> None:
        """Make the digests behind an entry fit again."""
        db = sqlite3.connect(self.path)
        fields = ", ".join(AuditEntry.__struct_fields__)
        before = GENESIS
        for sequence, digest, *values in db.execute(
            f"SELECT sequence, digest, {fields} FROM audit ORDER BY sequence"  # noqa: S608 - constants
        ).fetchall():
            before = follow(before, sequence, AuditEntry(*values)) if sequence > after else digest
            db.execute("UPDATE audit SET digest = ? WHERE sequence = ?", (before, sequence))
        db.commit()
        db.close()


@pytest.fixture
def spoil(folder: Path) -> Spoiler:
    return Spoiler(folder)


def audit(folder: Path, *arguments: str) -> int:
    return cli.main(["audit", *arguments, "--store", f"sqlite:///{folder / 'rapport.db'}"])


def test_a_whole_trail_is_found_whole(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted((path.name, path.read_bytes()) for path in folder.iterdir())
    assert audit(folder, "verify") == 0
    said = capsys.readouterr()
    assert f"{ENTRIES} entries, up to number {ENTRIES}" in said.out
    assert f"signed up to number {ENTRIES}" in said.out
    assert said.err == ""
    assert sorted((path.name, path.read_bytes()) for path in folder.iterdir()) == before, "nothing is changed"


SWAP = (
    "UPDATE audit SET sequence = -1 WHERE sequence = 7",
    "UPDATE audit SET sequence = 7 WHERE sequence = 15",
    "UPDATE audit SET sequence = 15 WHERE sequence = -1",
)


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (("UPDATE audit SET actor = 'eve' WHERE sequence = 5",), "edited at entry 5"),
        (("UPDATE audit SET at_ms = at_ms + 1 WHERE sequence = 24",), "edited at entry 24"),
        (("UPDATE audit SET outcome = 'forbidden' WHERE sequence = 1",), "edited at entry 1"),
        (("UPDATE audit SET digest = zeroblob(32) WHERE sequence = 9",), "edited at entry 9"),
        (("DELETE FROM audit WHERE sequence = 12",), "deleted at entry 12"),
        (("DELETE FROM audit WHERE sequence <= 3",), "deleted at entry 1"),
        (
            (
                "DELETE FROM audit WHERE sequence = 12",
                "UPDATE audit SET sequence = sequence - 1 WHERE sequence > 12",
            ),
            "edited at entry 12",
        ),
        (SWAP, "reordered at entry 7"),
        (("DELETE FROM audit WHERE sequence > 22",), "truncated at entry 23"),
        (("DELETE FROM audit",), "truncated at entry 1"),
        (
            ("DELETE FROM audit WHERE sequence > 22", "DELETE FROM audit_checkpoints WHERE sequence > 22"),
            "truncated at entry 23",
        ),
        (("UPDATE audit_checkpoints SET at_ms = 1 WHERE sequence = 11",), "forged at entry 11"),
        (("UPDATE audit_checkpoints SET digest = zeroblob(32) WHERE sequence = 11",), "forged at entry 11"),
        (("UPDATE audit_checkpoints SET sequence = 12 WHERE sequence = 11",), "forged at entry 12"),
        (
            (
                "INSERT INTO audit_anchor SELECT sequence, digest, zeroblob(32), 1, key, signature "
                "FROM audit_checkpoints WHERE sequence = 11",
                "DELETE FROM audit WHERE sequence <= 11",
            ),
            "forged at entry 11",
        ),
    ],
)
def test_what_is_done_in_the_file_is_found(
    folder: Path,
    spoil: Spoiler,
    capsys: pytest.CaptureFixture[str],
    statements: tuple[str, ...],
    found: str,
) -> None:
    spoil(*statements)
    assert audit(folder, "verify") == 1
    assert f"broken: {found}:" in capsys.readouterr().out


def test_a_chain_that_was_computed_anew_is_found(
    folder: Path, spoil: Spoiler, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil("UPDATE audit SET actor = 'eve' WHERE sequence = 5")
    spoil.recompute(after=4)
    assert audit(folder, "verify") == 1
    assert "broken: rewritten at entry 11:" in capsys.readouterr().out
    spoil("DELETE FROM audit_checkpoints")
    assert audit(folder, "verify") == 1, "the witness has them as well"


def test_a_checkpoint_of_a_key_that_is_not_the_servers_is_found(
    folder: Path, spoil: Spoiler, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil("UPDATE audit SET actor = 'eve' WHERE sequence = 5")
    spoil.recompute(after=4)

    async def forge() -> None:
        store = SqliteStore(spoil.path)
        await store.open()
        seal = sign_checkpoint(STRANGER, await store.audit_head(), 1)
        await store.close()
        spoil(
            "DELETE FROM audit_checkpoints",
            f"INSERT INTO audit_checkpoints VALUES ({seal.sequence}, x'{seal.digest.hex()}', 1, "  # noqa: S608
            f"'{seal.key}', x'{seal.signature.hex()}')",
        )

    asyncio.run(forge())
    (folder / "rapport.db-checkpoints").unlink()
    assert audit(folder, "verify") == 1
    said = capsys.readouterr()
    assert "broken: forged at entry 24:" in said.out
    assert "no file of checkpoints" in said.err


def test_behind_the_last_checkpoint_nothing_can_be_told_and_that_is_said(
    folder: Path, spoil: Spoiler, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = list(witness.read(folder / "rapport.db-checkpoints"))[:-1]
    spoil(
        "DELETE FROM audit_checkpoints WHERE sequence = 24",
        "DELETE FROM audit WHERE sequence > 23",
    )
    copy = folder / "kept-elsewhere"
    opened = witness.Witness(copy)
    for one in kept:
        opened.append(one)
    opened.close()
    assert audit(folder, "verify", "--checkpoints", str(copy)) == 0
    assert "Behind that are 2 more" in capsys.readouterr().out
    assert audit(folder, "verify") == 1, "but the witness of the server knows"


def test_a_pruned_trail_is_whole_until_somebody_prunes_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(write_trail(tmp_path, held="s1800000000005", days=20))
    spoil = Spoiler(tmp_path)
    assert audit(tmp_path, "verify") == 0
    whole = spoil.path.read_bytes()
    for statement, found in (
        ("DELETE FROM audit WHERE sequence = (SELECT min(sequence) FROM audit)", "unkept at entry"),
        ("UPDATE audit SET actor = 'eve' WHERE object_id = 's1800000000005'", "unkept at entry"),
        ("DELETE FROM audit WHERE action = 'audit.pruned'", "deleted at entry"),
        ("DELETE FROM audit_anchor", "deleted at entry 1"),
        ("UPDATE audit_anchor SET through = through + 1", "forged at entry"),
    ):
        spoil.path.write_bytes(whole)
        spoil(statement)
        capsys.readouterr()
        assert audit(tmp_path, "verify") == 1, statement
        assert f"broken: {found}" in capsys.readouterr().out


def test_what_an_old_key_has_signed_stays_good(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(folder, "rotate-key") == 0
    ring = load_or_create(folder / "rapport.db-audit-key")
    assert len(ring.public) == 2
    assert audit(folder, "verify") == 0
    assert audit(folder, "search", "--action", "audit.key_rotated") == 0
    assert "cli -> ok" in capsys.readouterr().out
    lines = public_file(folder / "rapport.db-audit-key").read_text().splitlines()
    (folder / "new.pub").write_text(lines[1] + "\n")
    assert audit(folder, "verify", "--keys", str(folder / "new.pub")) == 1
    assert "forged" in capsys.readouterr().out


def test_a_search_shows_what_it_finds_and_is_recorded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lines(*arguments: str) -> list[str]:
        assert audit(folder, "search", *arguments) == 0
        return capsys.readouterr().out.splitlines()

    assert len(lines("--actor", "ann")) == ENTRIES - 2
    assert len(lines("--object", "room:r")) == ENTRIES - 2
    assert len(lines("--object", "session:s1800000000004")) == 1
    assert len(lines("--object", "server", "--action", "server")) == 2
    assert len(lines("--since", "2027-01-15T08:00:00.010", "--until", "2027-01-15T08:00:00.012Z")) == 2
    assert lines("--actor", "nobody") == []
    assert len(lines("--action", "audit.searched")) == 7
    assert audit(folder, "search", "--limit", "1") == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert "more than 1" in said.err
    assert audit(folder, "verify") == 0


def test_an_export_is_complete_and_recorded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(folder, "export") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["sequence"] for one in records] == list(range(1, ENTRIES + 2))
    assert records[-1]["action"] == "audit.exported"
    before = GENESIS
    for one in records:
        sequence, digest = one.pop("sequence"), one.pop("digest")
        before = follow(before, sequence, AuditEntry(**one))
        assert before.hex() == digest
    since = "2027-01-15T08:00:00.020Z"
    assert audit(folder, "export", "--format", "csv", "--since", since, "--until", "2027-01-16") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["object_id"] for row in rows] == [f"s{1800000000000 + n}" for n in (20, 21, 22, 23)]


def test_a_trail_that_a_server_is_writing_is_whole_all_the_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Entries, checkpoints and prunings come while it is being read."""
    stop, begun = threading.Event(), threading.Event()

    async def serve() -> None:
        clock = HandClock()
        store = SqliteStore(tmp_path / "rapport.db")
        await store.open()
        url = f"sqlite:///{tmp_path / 'rapport.db'}"
        settings = AuditSettings(checkpoint_entries=7, checkpoint_seconds=1, retention_days=1)
        auditor = Auditor(settings, store, url, Timebase(clock, clock), "1.0")
        await auditor.start()
        number = 0
        while not stop.is_set():
            number += 1
            clock.wait_ms(DAY_MS // 50)
            await store.commit(AppendAudit(entry(clock.ms)))
            await auditor.tick()
            if number % 20 == 0:
                await auditor.prune()
            if number == 100:
                begun.set()
        await auditor.stop()
        await store.close()

    server = threading.Thread(target=lambda: asyncio.run(serve()))
    server.start()
    try:
        assert begun.wait(60)
        for _ in range(5):
            assert audit(tmp_path, "verify") == 0, capsys.readouterr().out
        assert audit(tmp_path, "search", "--action", "server.stopped") == 0
    finally:
        stop.set()
        server.join()
    assert audit(tmp_path, "verify") == 0


def test_what_a_server_does_meanwhile_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prunes right after the anchor was read: once that looks like a fault, and never twice."""
    asyncio.run(write_trail(tmp_path, days=20))
    read, times = SqliteTrail.audit_anchor, 0

    async def too_early(trail: SqliteTrail) -> AuditAnchor | None:
        nonlocal times
        times += 1
        return None if times == 1 else await read(trail)

    monkeypatch.setattr(SqliteTrail, "audit_anchor", too_early)
    assert audit(tmp_path, "verify") == 0
    assert times == 2


@pytest.mark.parametrize(
    "spoiled",
    [
        lambda folder: (folder / "rapport.db-audit-key.pub").unlink(),
        lambda folder: (folder / "rapport.db").unlink(),
        lambda folder: (folder / "rapport.db").write_bytes(b"x" * 10_000),
        lambda folder: (folder / "rapport.db-checkpoints").write_bytes(b"{}\n"),
    ],
)
def test_what_cannot_be_read_is_not_called_whole(
    folder: Path, capsys: pytest.CaptureFixture[str], spoiled: Callable[[Path], None]
) -> None:
    for extra in folder.glob("rapport.db-[ws]*"):
        extra.unlink()
    spoiled(folder)
    assert audit(folder, "verify") == 2
    said = capsys.readouterr()
    assert said.err.startswith("rapport audit: ")
    assert "Traceback" not in said.err
    assert "whole" not in said.out


def test_settings_say_where_the_trail_is(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAPPORT_STORE_URL", f"sqlite:///{folder / 'rapport.db'}")
    assert cli.main(["audit", "verify"]) == 2, "nobody could connect to such a server"
    assert "faults" in capsys.readouterr().err
    assert cli.main(["audit", "verify", "--dev"]) == 0
    moved = folder / "elsewhere"
    (folder / "rapport.db-checkpoints").rename(moved)
    assert cli.main(["audit", "verify", "--dev", f"--audit.checkpoint_file={moved}"]) == 0
    assert capsys.readouterr().err == ""
    assert cli.main(["audit", "verify", "--store", "postgres://x"]) == 2


def test_times_that_are_none_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        audit(folder, "search", "--since", "yesterday")
    assert "not a time such as" in capsys.readouterr().err
