"""A PostgreSQL that is killed, and one that is replaced by its standby, under two stores that append."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import pytest

from relay.errors import OutcomeUnknown, StoreError, StoreRestored
from relay.postgres import PostgresStore, Target
from relay.writes import Append, Appended, SetRoomBody
from tests.faults.stubborn_sender import Sender, check, furnish
from tests.postgres_process import PostgresProcess, patient

PATIENCE = 60.0
SENDERS = 16


@contextmanager
def running(primary: PostgresProcess | None = None) -> Iterator[PostgresProcess]:
    """A server of one's own, to be killed."""
    server = PostgresProcess(primary)
    try:
        server.start()
        yield server
    finally:
        server.close()


def target(name: str, *servers: PostgresProcess) -> Target:
    folders = ",".join(str(server.folder) for server in servers)
    return patient(f"postgresql://rapport@/{name}?host={folders}")


async def opened(at: Target) -> tuple[PostgresStore, PostgresStore]:
    stores = PostgresStore(at), PostgresStore(at)
    for store in stores:
        await store.open()
    return stores


def acknowledged(senders: Sequence[Sender]) -> int:
    return sum(len(sender.acknowledged) for sender in senders)


async def more(senders: Sequence[Sender], count: int, tasks: Sequence[asyncio.Task[None]]) -> None:
    """Wait until so many more were acknowledged."""
    until = acknowledged(senders) + count
    while acknowledged(senders) < until:
        assert not any(task.done() for task in tasks)
        await asyncio.sleep(0.001)


async def until(server: PostgresProcess, count: str) -> None:
    """Wait until a query counts one."""
    async with asyncio.timeout(PATIENCE):
        while await asyncio.to_thread(server.sql, count) != "1":
            pass


async def under_load(stores: Sequence[PostgresStore], fault: Callable[[], None]) -> list[Sender]:
    """Have both stores written to before, during and after a fault."""
    senders = [Sender(number) for number in range(SENDERS)]
    tasks = [
        asyncio.create_task(sender.run(stores[number % len(stores)])) for number, sender in enumerate(senders)
    ]
    await more(senders, 200, tasks)
    await asyncio.to_thread(fault)
    await more(senders, 200, tasks)
    for sender in senders:
        sender.end()
    await asyncio.gather(*tasks)
    return senders


@pytest.mark.parametrize("patience", [0.0, PATIENCE])
async def test_nothing_acknowledged_is_lost_when_postgresql_is_killed(patience: float) -> None:
    with running() as server:
        at = msgspec.structs.replace(target(server.database(), server), patience_seconds=patience)
        stores = await opened(at)
        epoch = stores[0].epoch
        await furnish(stores[0])

        def kill_and_start() -> None:
            server.kill()
            server.start()

        senders = await under_load(stores, kill_and_start)
        assert await check(stores[1], senders) >= 400
        for store in stores:
            await store.close()
        again = PostgresStore(at)
        await again.open()
        assert again.epoch == epoch, "a crash is not a restore"
        await again.close()


async def test_a_synchronous_standby_takes_over_in_the_same_epoch() -> None:
    with running() as primary:
        name = primary.database()
        with running(primary) as standby:
            primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.sql("SELECT pg_reload_conf()")
            at = msgspec.structs.replace(target(name, primary, standby), synchronous_standby=True)
            stores = await opened(at)
            await furnish(stores[0])
            await until(primary, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'")

            def fail_over() -> None:
                primary.kill()
                assert standby.sql("SELECT pg_promote()") == "t"

            senders = await under_load(stores, fail_over)
            assert await check(stores[1], senders) >= 400
            again = PostgresStore(at)
            await again.open()
            assert again.epoch == stores[0].epoch
            for store in (*stores, again):
                await store.close()


@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_what_a_synchronous_standby_lacks_is_not_acknowledged(function: str) -> None:
    with running() as server:
        name = server.database()
        store = PostgresStore(msgspec.structs.replace(target(name, server), patience_seconds=0.0))
        await store.open()
        await furnish(store)
        server.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        server.sql("SELECT pg_reload_conf()")
        while server.sql("SHOW synchronous_standby_names") != "nobody":
            pass
        said = Append("r0", "ann", "d", bytes(16), b"hello", 1)
        call = asyncio.create_task(store.commit(said))
        # It waits for the standby, until somebody ends that.
        end = f"SELECT {function}(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"  # noqa: S608
        while not await asyncio.to_thread(server.sql, end):
            assert not call.done()
        with pytest.raises(OutcomeUnknown):
            await call
        server.sql("ALTER SYSTEM RESET synchronous_standby_names")
        server.sql("SELECT pg_reload_conf()")
        (outcome,) = await until_it_works(store, said)
        assert (outcome.offset, outcome.duplicate) == (1, True)
        await store.close()


async def until_it_works(store: PostgresStore, write: Append) -> tuple[Appended]:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await store.commit(write)
            except StoreError:
                await asyncio.sleep(0.01)


async def test_another_standby_that_takes_over_begins_an_epoch() -> None:
    with running() as primary:
        name = primary.database()
        with running(primary) as standby:
            at = target(name, primary, standby)
            store = PostgresStore(at)
            await store.open()
            await furnish(store)
            await until(
                primary, "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()"
            )
            primary.kill()
            assert standby.sql("SELECT pg_promote()") == "t"
            epoch = store.epoch
            for _ in range(2):
                with pytest.raises(StoreRestored):
                    await store.commit(SetRoomBody("r0", b""))
            await store.close()
            again = PostgresStore(at)
            await again.open()
            assert again.epoch > epoch
            await again.close()
