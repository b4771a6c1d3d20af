"""What became of a batch: connections that are lost at every point of a commit, and servers that are away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import msgspec
import pytest

from relay.documents import PutDocument
from relay.errors import NotFound, OutcomeUnknown, StoreError, StoreRestored, Unstorable
from relay.postgres import PostgresStore, begin_epoch
from relay.writes import AddMember, Append, Appended, CreateRoom, SetRoomBody
from tests.conformance.places import PostgresPlace, postgres_place
from tests.relay.postgres_proxy import Loss, Proxy, proxy_to

PATIENCE = 60.0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[PostgresPlace]:
    with postgres_place(tmp_path) as made:
        yield made


@pytest.fixture
async def proxy(place: PostgresPlace) -> AsyncIterator[Proxy]:
    async with proxy_to(place) as made:
        yield made


@pytest.fixture
async def store(proxy: Proxy) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(proxy.target)
    await store.open()
    await store.commit(CreateRoom("r", b"", 1), AddMember("r", "ann", "client", 1))
    yield store
    await store.close()


@pytest.fixture
async def hasty(proxy: Proxy, store: PostgresStore) -> AsyncIterator[PostgresStore]:
    """A store that gives up at once."""
    hasty = PostgresStore(msgspec.structs.replace(proxy.target, patience_seconds=0.0))
    await hasty.open()
    await hasty.commit(said(0))
    yield hasty
    await hasty.close()


def said(number: int) -> Append:
    return Append("r", "ann", "d", number.to_bytes(16, "big"), b"%d" % number, 1)


async def bodies(store: PostgresStore) -> list[bytes]:
    page = await store.events("r", after=0, limit=1_000, max_bytes=1 << 20)
    assert [event.offset for event in page.events] == list(range(1, page.log.head + 1))
    return [event.body for event in page.events]


async def until_it_works(store: PostgresStore, write: Append) -> Appended:
    """Commit as a client would: again and again, until there is an answer."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                (outcome,) = await store.commit(write)
            except StoreError as error:
                if not error.temporary:
                    raise
                await asyncio.sleep(0.01)
            else:
                return outcome


@pytest.mark.parametrize("loss", [Loss.COMMIT, Loss.ANSWER])
async def test_a_batch_is_committed_once_whatever_is_lost_of_its_commit(
    store: PostgresStore, proxy: Proxy, loss: Loss
) -> None:
    for number in range(3):
        proxy.lose(loss, for_good=False)
        (first,), (second,), _ = await asyncio.gather(
            store.commit(said(2 * number)),
            store.commit(said(2 * number + 1)),
            store.commit(SetRoomBody("r", b"%d" % number)),
        )
        assert (first.offset, second.offset) == (2 * number + 1, 2 * number + 2)
        assert not first.duplicate
        assert not second.duplicate
        assert proxy.loss is Loss.NOTHING, "it was lost"
    assert await bodies(store) == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert (await store.statistics()).appends == 6


@pytest.mark.parametrize(("loss", "stored"), [(Loss.COMMIT, False), (Loss.ANSWER, True)])
async def test_what_cannot_be_found_out_is_called_unknown(
    hasty: PostgresStore, proxy: Proxy, loss: Loss, stored: bool
) -> None:
    proxy.lose(loss, for_good=True)
    with pytest.raises(OutcomeUnknown):
        await hasty.commit(said(1))
    with pytest.raises(StoreError) as other:
        await hasty.commit(said(2))
    assert not isinstance(other.value, OutcomeUnknown), "this one was certainly not written"
    await proxy.come()
    # Whoever repeats it gets the place that it has or gets now, and it is there once.
    again = await until_it_works(hasty, said(1))
    assert (again.offset, again.duplicate) == (2, stored)
    assert (await until_it_works(hasty, said(2))).offset == 3
    assert await bodies(hasty) == [b"0", b"1", b"2"]


async def test_a_store_that_is_away_refuses_and_works_again_when_it_is_back(
    hasty: PostgresStore, proxy: Proxy
) -> None:
    proxy.go()
    for _ in range(3):
        with pytest.raises(StoreError, match="cannot be reached"):
            await hasty.commit(said(1))
        with pytest.raises(StoreError, match="cannot be reached"):
            await hasty.statistics()
    await proxy.come()
    assert (await until_it_works(hasty, said(1))).offset == 2
    assert await bodies(hasty) == [b"0", b"1"]


async def test_calls_wait_for_a_store_that_is_away_for_a_moment(store: PostgresStore, proxy: Proxy) -> None:
    proxy.go()
    waiting = asyncio.gather(*[store.commit(said(number)) for number in range(3)])
    for _ in range(100):
        await asyncio.sleep(0)
    assert not waiting.done()
    await proxy.come()
    assert sorted(outcome.offset for (outcome,) in await waiting) == [1, 2, 3]


async def test_a_server_that_is_silent_is_given_up(proxy: Proxy, store: PostgresStore) -> None:
    brief = PostgresStore(
        msgspec.structs.replace(
            proxy.target, statement_seconds=2.0, connect_seconds=1.0, patience_seconds=0.0
        )
    )
    async with asyncio.timeout(PATIENCE):
        while not await is_open(brief):
            pass
    await until_it_works(brief, said(0))
    proxy.silent = True
    with pytest.raises(StoreError):
        await brief.commit(said(1))
    with pytest.raises(StoreError):
        await brief.statistics()
    proxy.silent = False
    assert (await until_it_works(brief, said(1))).offset == 2
    await brief.close()


async def is_open(store: PostgresStore) -> bool:
    """Whether a store that gives up soon could be opened: the machine may be slow."""
    try:
        await store.open()
    except StoreError:
        return False
    return True


async def test_a_batch_that_deadlocks_is_done_again(store: PostgresStore, place: PostgresPlace) -> None:
    await store.commit(*[PutDocument("k", name, b"", 0) for name in ("a", "b")])
    other = await asyncpg.connect(place.target.url, server_settings={"deadlock_timeout": "60s"})
    try:
        async with other.transaction():
            await other.execute("UPDATE documents SET body = 'other' WHERE id = 'b'")
            crossing = asyncio.create_task(
                store.commit(PutDocument("k", "a", b"ours", 1), PutDocument("k", "b", b"ours", None))
            )
            blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while not await other.fetchval(blocked):
                assert not crossing.done()
            # Waits for the store, which waits for this: PostgreSQL ends the store's transaction.
            await other.execute("UPDATE documents SET body = 'other' WHERE id = 'a' AND version = 1")
        await crossing
    finally:
        await other.close()
    documents = await store.documents("k", ["a", "b"])
    assert {name: document.body for name, document in documents.items()} == {"a": b"ours", "b": b"ours"}


async def test_a_value_that_is_refused_fails_alone(store: PostgresStore) -> None:
    wrong = [
        Append("\0", "ann", "d", bytes(16), b"", 1),
        Append("r", "ann", "\ud800", bytes(16), b"", 1),
        Append("r", "ann", "d", bytes(16), b"", 1 << 63),
    ]
    calls = [said(1), wrong[0], said(2), wrong[1], said(3), wrong[2], said(4)]
    outcomes = await asyncio.gather(*[store.commit(write) for write in calls], return_exceptions=True)
    assert [type(outcome) for outcome in outcomes[1::2]] == [Unstorable] * 3
    assert await bodies(store) == [b"1", b"2", b"3", b"4"]


async def test_a_transaction_that_fails_leaves_nothing(store: PostgresStore) -> None:
    with pytest.raises(NotFound):
        await store.commit(said(1), SetRoomBody("nowhere", b""))
    (outcome,) = await store.commit(said(1))
    assert (outcome.offset, outcome.duplicate) == (1, False)


async def test_an_epoch_that_is_begun_ends_the_stores_that_are_open(
    store: PostgresStore, place: PostgresPlace
) -> None:
    before = store.epoch
    begun = await begin_epoch(place.target)
    assert begun > before
    for _ in range(2):
        with pytest.raises(StoreRestored):
            await store.commit(said(1))
        with pytest.raises(StoreRestored):
            await store.statistics()
    again = place.store()
    await again.open()
    assert again.epoch == begun
    assert await bodies(again) == []
    await again.close()


async def test_a_database_that_lacks_what_was_acknowledged_gets_a_new_epoch(
    store: PostgresStore, proxy: Proxy, place: PostgresPlace
) -> None:
    other = place.store()
    await other.open()
    admin = await asyncpg.connect(place.target.url)
    # As if a standby had been promoted that had not got the last batches of one of the two.
    behind = "UPDATE writers SET batch = batch - 1 WHERE batch = (SELECT max(batch) FROM writers)"
    for number in range(5):
        await store.commit(said(number))
    await admin.execute(behind)
    await admin.close()
    proxy.go()
    await proxy.come()
    with pytest.raises(StoreRestored):
        await store.commit(said(9))
    with pytest.raises(StoreRestored):
        await store.statistics()
    with pytest.raises(StoreRestored):
        await other.commit(said(9))
    await other.close()
    again = place.store()
    await again.open()
    assert again.epoch > store.epoch
    await again.close()
