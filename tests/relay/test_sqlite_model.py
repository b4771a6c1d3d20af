"""Any calls at all, in any grouping, against a model that applies them one by one in plain Python."""

import asyncio
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.errors import BeyondHead, Conflict, NotFound, StoreError
from relay.sqlite import SqliteStore
from relay.writes import (
    Ack,
    AddMember,
    Append,
    Appended,
    Applied,
    CreateRoom,
    Outcome,
    RemoveMember,
    Trim,
    Write,
)

ROOMS = ("p", "q", "r")
ACCOUNTS = ("ann", "ben")
EPOCH = 0  # stands for the store's

rooms = st.sampled_from(ROOMS)
accounts = st.sampled_from(ACCOUNTS)
appends = st.builds(
    lambda room, account, device, number, body: Append(
        room, account, device, number.to_bytes(16, "big"), body, 1
    ),
    rooms,
    accounts,
    st.sampled_from(("d", "e")),
    st.integers(0, 5),
    st.sampled_from((b"one", b"two")),
)
writes: st.SearchStrategy[Write] = st.one_of(
    appends,
    appends,
    st.builds(lambda room: Append(room, None, None, None, b"system", 1), rooms),
    st.builds(CreateRoom, rooms, st.just(b""), st.just(1)),
    st.builds(AddMember, rooms, accounts, st.just("client"), st.just(1)),
    st.builds(RemoveMember, rooms, accounts),
    st.builds(Trim, rooms, st.integers(1, 6)),
    st.builds(Ack, accounts, st.just("d"), rooms, st.just(EPOCH), st.integers(0, 6)),
)
calls = st.one_of(st.tuples(appends), st.lists(writes, min_size=1, max_size=4).map(tuple))
groups = st.lists(st.lists(calls, min_size=1, max_size=8), max_size=8)

Event = tuple[str, str | None, str | None, bytes | None, bytes]  # room, sender, device, mid, body


@dataclass
class Model:
    """What a store holds, as plain values that are copied before each call."""

    members: dict[str, frozenset[str]] = field(default_factory=dict)
    heads: dict[str, int] = field(default_factory=dict)
    trimmed: dict[str, int] = field(default_factory=dict)
    events: dict[tuple[str, int], Event] = field(default_factory=dict)
    cursors: dict[tuple[str, str], int] = field(default_factory=dict)  # (account, room), of device "d"

    def copy(self) -> "Model":
        return replace(
            self,
            members=dict(self.members),
            heads=dict(self.heads),
            trimmed=dict(self.trimmed),
            events=dict(self.events),
            cursors=dict(self.cursors),
        )

    def apply(self, write: Write) -> Outcome:
        match write:
            case CreateRoom(room):
                if room in self.heads:
                    raise Conflict
                self.members[room], self.heads[room], self.trimmed[room] = frozenset(), 0, 0
                return Applied()
            case AddMember(room, account):
                self.need(room)
                changed = account not in self.members[room]
                self.members[room] |= {account}
                return Applied(changed)
            case RemoveMember(room, account):
                self.need(room)
                changed = account in self.members[room]
                self.members[room] -= {account}
                self.cursors.pop((account, room), None)
                return Applied(changed)
            case Trim(room, through):
                self.need(room)
                if through > self.heads[room]:
                    raise BeyondHead
                changed = through > self.trimmed[room]
                self.trimmed[room] = max(through, self.trimmed[room])
                self.events = {
                    at: event for at, event in self.events.items() if at[0] != room or at[1] > through
                }
                return Applied(changed)
            case Ack(account, _, room, _, offset):
                self.need(room, account)
                if offset > self.heads[room]:
                    raise BeyondHead
                self.cursors[account, room] = max(offset, self.cursors.get((account, room), 0))
                return Applied()
            case Append():
                return self.append(write)
            case _:
                raise AssertionError(write)

    def append(self, write: Append) -> Appended:
        event = (write.room, write.sender, write.device, write.mid, write.body)
        for (room, offset), other in self.events.items():
            if write.mid is not None and other[1:4] == event[1:4]:
                self.need(write.room, write.sender if room != write.room else None)
                audience = self.members[write.room]
                return Appended(offset, EPOCH, 1, audience, duplicate=True, differs=other != event)
        self.need(write.room, write.sender)
        self.heads[write.room] += 1
        self.events[write.room, self.heads[write.room]] = event
        return Appended(self.heads[write.room], EPOCH, 1, self.members[write.room])

    def need(self, room: str, account: str | None = None) -> None:
        if room not in self.heads or (account is not None and account not in self.members[room]):
            raise NotFound

    def answer(self, call: tuple[Write, ...]) -> tuple[Outcome, ...] | type[BaseException]:
        before = self.copy()
        try:
            return tuple([self.apply(write) for write in call])
        except StoreError as error:
            self.__dict__.update(before.__dict__)
            return type(error)


def with_epoch(call: tuple[Write, ...], epoch: int) -> tuple[Write, ...]:
    return tuple(
        Ack(write.account, write.device, write.room, epoch, write.offset) if isinstance(write, Ack) else write
        for write in call
    )


def without_epoch(answer: tuple[Outcome, ...] | BaseException) -> tuple[Outcome, ...] | type[BaseException]:
    if isinstance(answer, BaseException):
        return type(answer)
    return tuple(
        Appended(each.offset, EPOCH, each.at_ms, each.audience, each.duplicate, each.differs)
        if isinstance(each, Appended)
        else each
        for each in answer
    )


async def check_contents(store: SqliteStore, model: Model) -> None:
    heads = await store.heads(ROOMS)
    assert {room: (log.head, log.lowest) for room, log in heads.items()} == {
        room: (head, model.trimmed[room] + 1) for room, head in model.heads.items()
    }
    for room, log in heads.items():
        page = await store.events(room, after=log.lowest - 1, limit=1_000, max_bytes=1 << 20)
        assert {
            (room, event.offset): (room, event.sender, event.device, event.mid, event.body)
            for event in page.events
        } == {at: event for at, event in model.events.items() if at[0] == room}
    for account in ACCOUNTS:
        cursors = await store.cursors(account, "d")
        assert {room: cursor.offset for room, cursor in cursors.items()} == {
            room: offset for (whose, room), offset in model.cursors.items() if whose == account
        }


async def compare(history: list[list[tuple[Write, ...]]]) -> None:
    model = Model()
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "rapport.db", readers=1)
        await store.open()
        try:
            for group in history:
                submitted = [store.commit(*with_epoch(call, store.epoch)) for call in group]
                answers = await asyncio.gather(*submitted, return_exceptions=True)
                assert [without_epoch(answer) for answer in answers] == [model.answer(call) for call in group]
            await check_contents(store, model)
        finally:
            await store.close()


@settings(max_examples=150, deadline=None)
@given(groups)
def test_a_store_does_what_the_model_does(history: list[list[tuple[Write, ...]]]) -> None:
    members = tuple(AddMember(room, account, "client", 1) for room in ROOMS[:2] for account in ACCOUNTS)
    asyncio.run(compare([[(CreateRoom("p", b"", 1), CreateRoom("q", b"", 1), *members)], *history]))
