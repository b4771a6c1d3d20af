"""Connections that read: how many there are, how many queries wait for one, and which are given up."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from relay.errors import NotFound, Overloaded, StoreClosed, StoreError
from relay.postgres.connection import Connection
from relay.postgres.opening import Link
from relay.postgres.pool import Pool


class FakeLink:
    """A connection that knows whether it was closed."""

    def __init__(self) -> None:
        self.gone = False

    def terminate(self) -> None:
        self.gone = True


class Server:
    """Makes connections, and counts them."""

    def __init__(self) -> None:
        self.links: list[FakeLink] = []

    async def connect(self) -> Link:
        self.links.append(FakeLink())
        return cast(Link, self.links[-1])

    @property
    def open(self) -> list[FakeLink]:
        return [link for link in self.links if not link.gone]


@pytest.fixture
def server() -> Server:
    return Server()


def pool(server: Server, size: int = 2, max_waiting: int = 3, seconds: float = 60.0) -> Pool:
    return Pool(server.connect, size=size, seconds=seconds, max_waiting=max_waiting)


async def answer(_db: Connection) -> str:
    return "answer"


async def test_connections_are_used_again(server: Server) -> None:
    one = pool(server)
    assert [await one.run(answer) for _ in range(3)] == ["answer"] * 3
    assert len(server.links) == 1
    await one.close()
    assert server.open == []


async def test_no_more_queries_run_and_wait_than_may(server: Server) -> None:
    one, go_on = pool(server), asyncio.Event()

    async def wait(_db: Connection) -> bool:
        return await go_on.wait()

    queries = [asyncio.create_task(one.run(wait)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await one.run(answer)
    assert len(server.links) == 2
    go_on.set()
    assert await asyncio.gather(*queries) == [True] * 5
    assert len(server.links) == 2
    assert await one.run(answer) == "answer"


async def test_an_answer_that_is_an_error_costs_no_connection(server: Server) -> None:
    async def refuse(_db: Connection) -> None:
        raise NotFound("no such room")

    one = pool(server)
    for _ in range(3):
        with pytest.raises(NotFound):
            await one.run(refuse)
    assert len(server.links) == 1


async def test_a_connection_that_has_died_is_replaced_and_its_query_asked_again(server: Server) -> None:
    one = pool(server)
    await one.run(answer)

    async def from_the_living(db: Connection) -> str:
        if cast(FakeLink, db) is server.links[0]:
            raise ConnectionResetError
        return "answer"

    assert await one.run(from_the_living) == "answer"
    assert server.open == server.links[1:]


async def test_a_query_that_fails_on_a_new_connection_is_not_asked_again(server: Server) -> None:
    async def die(_db: Connection) -> None:
        raise ConnectionResetError

    with pytest.raises(StoreError, match="cannot be reached"):
        await pool(server).run(die)
    assert len(server.links) == 1
    assert server.open == []


async def test_whoever_gives_up_waiting_leaves_no_connection_in_the_middle_of_a_query(server: Server) -> None:
    one, begun = pool(server, size=1), asyncio.Event()

    async def never(_db: Connection) -> None:
        begun.set()
        await asyncio.Event().wait()

    query = asyncio.create_task(one.run(never))
    await begun.wait()
    query.cancel()
    with pytest.raises(asyncio.CancelledError):
        await query
    assert server.open == []
    assert await one.run(answer) == "answer"


async def test_a_pool_that_is_closed_finishes_what_it_has_and_takes_no_more(server: Server) -> None:
    one, go_on = pool(server, size=1), asyncio.Event()

    async def wait(_db: Connection) -> bool:
        return await go_on.wait()

    queries = [asyncio.create_task(one.run(wait)) for _ in range(3)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(one.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreClosed):
        await one.run(answer)
    go_on.set()
    assert await asyncio.gather(*queries) == [True] * 3
    await closing
    assert server.open == []
