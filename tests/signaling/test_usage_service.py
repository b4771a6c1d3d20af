"""Usage of sessions in a store, page by page and all at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from protocol.fields import SessionRole
from relay.sqlite import SqliteStore
from relay.store import Store
from relay.writes import AddMember, CreateRoom, PutSession
from signaling.sessions.session import to_row
from signaling.timebase import Timebase
from signaling.usage import service
from signaling.usage.records import UsageRecord
from signaling.usage.service import Asked, Usage
from tests.signaling.sessions_core_kit import START, scheduled
from tests.signaling.usage_kit import MINUTE

ALL = Asked(0, START + 10**9)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = SqliteStore(tmp_path / "rapport.db")
    await store.open()
    for room in ("q", "r"):
        await store.commit(CreateRoom(room, b"", 1))
    yield store
    await store.close()


@pytest.fixture
def usage(store: Store) -> Usage:
    def stopped() -> int:
        return START * 1_000_000

    return Usage(store, Timebase(stopped, stopped))


async def put(store: Store, count: int, *, first: int = 0, room: str = "r", **changes: Any) -> list[str]:
    """So many sessions in a row, a minute apart."""
    ids = [f"s{number:03}" for number in range(first, first + count)]
    for number, name in enumerate(ids, start=first):
        session = msgspec.structs.replace(
            scheduled(), id=name, room=room, starts_ms=START + number * MINUTE, **changes
        )
        await store.commit(PutSession(to_row(session, 1), None))
    return ids


async def paged(usage: Usage, asked: Asked, limit: int) -> list[list[str]]:
    pages: list[list[str]] = []
    after = None
    while True:
        page = await usage.page(asked, after, limit)
        assert len(page.records) <= limit
        pages.append([record.session for record in page.records])
        after = page.next
        if after is None:
            return pages


async def everything(usage: Usage, asked: Asked) -> list[UsageRecord]:
    return [record async for records in usage.everything(asked) for record in records]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 9])
async def test_pages_hold_every_session_once(store: Store, usage: Usage, limit: int) -> None:
    ids = await put(store, 5)
    pages = await paged(usage, ALL, limit)
    assert [name for page in pages for name in page] == ids
    assert all(len(page) == limit for page in pages[:-1])
    assert pages[-1]


async def test_nothing_is_an_empty_page(usage: Usage) -> None:
    assert await paged(usage, ALL, 5) == [[]]
    assert await everything(usage, ALL) == []


async def test_time_and_room_narrow_it_down(store: Store, usage: Usage) -> None:
    await put(store, 4)
    await put(store, 2, first=4, room="q")
    assert await paged(usage, Asked(START + MINUTE, START + 3 * MINUTE), 9) == [["s001", "s002"]]
    assert await paged(usage, Asked(0, START + 10**9, room="q"), 9) == [["s004", "s005"]]


async def test_an_account_gets_what_it_was_in_or_was_to_come_to(store: Store, usage: Usage) -> None:
    anna: dict[str, SessionRole] = {"anna": "therapist"}
    mine = await put(store, 2, roles=anna)
    await put(store, 3, first=2)
    invited = await put(store, 1, first=5, room="q")
    await store.commit(AddMember("q", "anna", "therapist", 1))
    asked = Asked(0, START + 10**9, account="anna")
    assert await paged(usage, asked, 2) == [mine, invited]
    assert [record.session for record in await everything(usage, asked)] == mine + invited
    assert await paged(usage, Asked(0, START + 10**9, room="r", account="anna"), 9) == [mine]


async def test_a_page_ends_where_too_much_was_looked_at(
    store: Store, usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SCAN", 4)
    await put(store, 9)
    last = await put(store, 1, first=9, roles={"anna": "therapist"})
    assert await paged(usage, Asked(0, START + 10**9, account="anna"), 5) == [[], [], last]


async def test_rooms_of_an_account_are_read_to_the_end(
    store: Store, usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "ROOMS", 1)
    await store.commit(AddMember("q", "anna", "therapist", 1), AddMember("r", "anna", "therapist", 1))
    await put(store, 1)
    await put(store, 1, first=1, room="q")
    assert await paged(usage, Asked(0, START + 10**9, account="anna"), 9) == [["s000", "s001"]]


async def test_all_records_come_in_batches(
    store: Store, usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    ids = await put(store, 5)
    assert [record.session for record in await everything(usage, ALL)] == ids
    assert [len(records) async for records in usage.everything(ALL)] == [2, 2, 1]
    assert await paged(usage, ALL, 4) == [ids[:4], ids[4:]]
