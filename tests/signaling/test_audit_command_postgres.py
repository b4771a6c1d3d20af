"""``rapport audit`` on a database of PostgreSQL that servers have open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from config.settings import AuditSettings
from relay.audit_trail import AppendAudit
from signaling import cli
from signaling.audit.auditor import Auditor
from signaling.timebase import Timebase
from tests.conformance.places import PostgresPlace, postgres_place
from tests.signaling.audit_kit import entry
from tests.signaling.sessions_kit import HandClock


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostgresPlace]:
    monkeypatch.chdir(tmp_path)  # where the key and the checkpoints are
    with postgres_place(tmp_path) as made:
        yield made


def audit(place: PostgresPlace, *arguments: str) -> int:
    return cli.main(["audit", *arguments, "--store", place.target.url])


async def serve(place: PostgresPlace) -> None:
    """A server records while the trail is verified and exported."""
    clock = HandClock()
    timebase = Timebase(clock, clock)
    store = place.store()
    await store.open()
    settings = AuditSettings(checkpoint_entries=10, checkpoint_seconds=86_400)
    auditor = Auditor(settings, store, place.target.url, timebase, "1.0")
    await auditor.start()
    commands = asyncio.gather(*(asyncio.to_thread(audit, place, command) for command in ("verify", "export")))
    for number in range(60):
        await store.commit(AppendAudit(entry(clock.ms + number)))
        await auditor.tick()
    assert await commands == [0, 0]
    await auditor.stop()
    await store.close()


def test_a_trail_is_verified_exported_and_searched(
    place: PostgresPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(serve(place))
    capsys.readouterr()
    assert audit(place, "verify") == 0
    assert "63 entries" in capsys.readouterr().out  # with the start, the stop and the export
    assert audit(place, "search", "--action", "audit.exported") == 0
    assert "uid:" in capsys.readouterr().out
    assert audit(place, "export") == 0
    exported = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["sequence"] for one in exported] == [*range(1, 66)]
    assert audit(place, "rotate-key") == 0


def test_what_was_tampered_with_is_found(place: PostgresPlace, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(serve(place))

    async def tamper() -> None:
        db = await asyncpg.connect(place.target.url)
        await db.execute("UPDATE audit SET actor = 'nobody' WHERE sequence = 20")
        await db.close()

    asyncio.run(tamper())
    assert audit(place, "verify") == 1
    assert "at entry 20" in capsys.readouterr().out


def test_a_database_without_a_store_has_no_trail(
    place: PostgresPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["audit", "verify", "--store", place.target.url.replace(place.name, "postgres")]) == 2
    assert "migrate the store first" in capsys.readouterr().err
