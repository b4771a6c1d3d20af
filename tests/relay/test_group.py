"""Group commit: what goes into one batch, what happens when too much waits, and the end."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from relay.errors import NotFound, Overloaded, StoreClosed, StoreError
from relay.group import Answer, Call, GroupCommit
from relay.sqlite.thread import WriterThread
from relay.writes import Append, Applied, ForgetIdempotency


class Storage:
    """Takes down the batches, and can hold one up."""

    def __init__(self) -> None:
        self.batches: list[list[Call]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.entered = threading.Semaphore(0)
        self.answer: Answer = (Applied(),)

    def apply(self, calls: Sequence[Call]) -> list[Answer]:
        self.batches.append(list(calls))
        self.entered.release()
        self.may_go_on.wait()
        return [self.answer for _ in calls]


def call(number: int) -> Call:
    return (ForgetIdempotency(number),)


def event(size: int) -> Call:
    return (Append("r", None, None, None, bytes(size), 1),)


async def held_up(storage: Storage, group: GroupCommit) -> asyncio.Future[object]:
    """A batch of one call that stays in flight."""
    storage.may_go_on.clear()
    first = group.submit(call(0))
    await asyncio.to_thread(storage.entered.acquire)
    return asyncio.ensure_future(first)


async def test_calls_of_one_turn_form_one_batch() -> None:
    storage = Storage()
    group = GroupCommit(WriterThread(storage.apply))
    assert await asyncio.gather(*[group.submit(call(number)) for number in range(5)]) == [(Applied(),)] * 5
    assert storage.batches == [[call(number) for number in range(5)]]
    await group.close()


async def test_what_arrives_during_a_batch_forms_the_next() -> None:
    storage = Storage()
    group = GroupCommit(WriterThread(storage.apply))
    first = await held_up(storage, group)
    others = [group.submit(call(number)) for number in range(1, 4)]
    assert group.waiting == 3
    storage.may_go_on.set()
    await asyncio.gather(first, *others)
    assert storage.batches == [[call(0)], [call(number) for number in range(1, 4)]]
    assert (group.commits, group.batches, group.waiting) == (4, 2, 0)
    await group.close()


async def test_a_batch_has_a_limit() -> None:
    storage = Storage()
    group = GroupCommit(WriterThread(storage.apply), max_batch=2)
    await asyncio.gather(*[group.submit(call(number)) for number in range(5)])
    assert [len(batch) for batch in storage.batches] == [2, 2, 1]
    await group.close()


async def test_too_many_calls_are_refused_and_the_rest_go_on() -> None:
    storage = Storage()
    group = GroupCommit(WriterThread(storage.apply), max_waiting=2)
    first = await held_up(storage, group)
    others = [group.submit(call(number)) for number in (1, 2)]
    with pytest.raises(Overloaded):
        group.submit(call(3))
    storage.may_go_on.set()
    await asyncio.gather(first, *others)
    await group.submit(call(4))
    await group.close()


async def test_too_many_bytes_are_refused_and_the_rest_go_on() -> None:
    storage = Storage()
    group = GroupCommit(WriterThread(storage.apply), max_waiting_bytes=100, max_batch=1)
    first = await held_up(storage, group)
    others = [group.submit(event(60)), group.submit(event(40))]
    with pytest.raises(Overloaded):
        group.submit(event(1))
    storage.may_go_on.set()
    await asyncio.gather(first, *others)
    await group.submit(event(100))
    await group.close()


async def test_errors_reach_their_caller() -> None:
    storage = Storage()
    storage.answer = NotFound("gone")
    group = GroupCommit(WriterThread(storage.apply))
    with pytest.raises(NotFound):
        await group.submit(call(0))
    await group.close()


async def test_an_unforeseen_error_answers_the_batch_and_the_next_goes_on() -> None:
    storage = Storage()

    def apply(calls: Sequence[Call]) -> list[Answer]:
        if not storage.batches:
            storage.batches.append(list(calls))
            raise ZeroDivisionError
        return storage.apply(calls)

    group = GroupCommit(WriterThread(apply))
    with pytest.raises(StoreError, match="ZeroDivisionError"):
        await group.submit(call(0))
    assert await group.submit(call(1)) == (Applied(),)
    await group.close()


async def test_closing_finishes_what_was_taken_and_takes_no_more() -> None:
    storage = Storage()
    group = GroupCommit(WriterThread(storage.apply))
    first = await held_up(storage, group)
    second = group.submit(call(1))
    closing = asyncio.ensure_future(group.close())
    await asyncio.sleep(0)
    with pytest.raises(StoreClosed):
        group.submit(call(2))
    storage.may_go_on.set()
    await closing
    assert first.done()
    assert second.result() == (Applied(),)
    await group.close()
