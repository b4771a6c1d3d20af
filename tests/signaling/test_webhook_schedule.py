"""What attempts lead to, and which deliveries are attempted: properties, and whole histories in no time."""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.sqlite import SqliteStore
from relay.webhooks import DelayDelivery, Delivery, EndDelivery, HastenDeliveries, PutDelivery
from signaling.webhooks.schedule import DOWN_AFTER, PROBE_MS, Accepted, Agenda, Failed, Pace, Result, settle

SECOND, HOUR = 1_000, 3_600_000
PACE = Pace(first_ms=5 * SECOND, most_ms=HOUR, give_up_ms=24 * HOUR)
NOW = 1_800_000_000_000

instants = st.integers(0, 1 << 42)
chances = st.floats(0, 1, exclude_max=True)


def waiting(name: str = "a", *, attempts: int = 0, due_ms: int = NOW, since_ms: int = NOW) -> Delivery:
    """One that has just been put, or replayed: what it tells of happened long ago."""
    of = (name, "e", name, "session.ended", b"{}")
    return Delivery(*of, 0, "waiting", since_ms, attempts, due_ms, failure="", position=1)


# --- What an attempt leads to


@given(attempts=st.integers(0, 10_000), chance=chances, since_ms=instants, later=st.integers(0, 48 * HOUR))
def test_a_failed_attempt_leads_to_a_pause_within_bounds_or_to_the_end(
    attempts: int, chance: float, since_ms: int, later: int
) -> None:
    now_ms = since_ms + later
    write = settle(waiting(attempts=attempts, since_ms=since_ms), Failed("timeout"), now_ms, chance, PACE)
    assert (write.id, write.attempts, write.failure) == ("a", attempts + 1, "timeout")
    if later >= PACE.give_up_ms:
        assert isinstance(write, EndDelivery)
        assert (write.state, write.at_ms) == ("dead", now_ms)
    else:
        assert isinstance(write, DelayDelivery)
        ceiling_ms = min(PACE.most_ms, PACE.first_ms * 2 ** min(attempts, 100))
        assert write.due_ms - now_ms == round(chance * ceiling_ms)


def test_an_accepted_attempt_ends_it_however_old_it_is() -> None:
    write = settle(waiting(attempts=7, since_ms=0), Accepted(), NOW, 0.5, PACE)
    assert write == EndDelivery("a", 8, "delivered", NOW)


def test_who_is_gone_is_not_asked_again() -> None:
    write = settle(waiting(), Failed("status_410", gone=True), NOW, 0.5, PACE)
    assert write == EndDelivery("a", 1, "dead", NOW, "status_410")


@pytest.mark.parametrize(("asked_ms", "pause_ms"), [(60_000, 60_000), (1, 2_500), (99 * HOUR, HOUR)])
def test_a_receiver_is_left_alone_as_long_as_it_asks_within_bounds(asked_ms: int, pause_ms: int) -> None:
    write = settle(waiting(), Failed("status_429", wait_ms=asked_ms), NOW, 0.5, PACE)
    assert isinstance(write, DelayDelivery)
    assert write.due_ms == NOW + pause_ms


# --- Which are attempted


def test_no_more_than_allowed_are_under_way() -> None:
    agenda = Agenda(2)
    heads = [waiting(name) for name in "abcd"]
    assert agenda.wanted == 3
    agenda.begin()
    assert [one.id for one in agenda.start(heads, NOW)] == ["a", "b"]
    assert agenda.wake_ms(heads) is None
    agenda.settled("a", Accepted())
    agenda.begin()
    assert agenda.wanted == 4
    assert [one.id for one in agenda.start(heads[1:], NOW)] == ["c"]


def test_what_is_not_due_is_waited_for() -> None:
    agenda = Agenda(2)
    heads = [waiting("a"), waiting("b", due_ms=NOW + 1), waiting("c", due_ms=NOW + 9)]
    agenda.begin()
    assert [one.id for one in agenda.start(heads, NOW)] == ["a"]
    assert agenda.wake_ms(heads) == NOW + 1
    assert agenda.wake_ms([]) is None


def test_what_was_settled_while_it_was_read_is_not_attempted_again() -> None:
    agenda = Agenda(2)
    heads = [waiting("a")]
    agenda.begin()
    agenda.start(heads, NOW)
    agenda.begin()  # a read begins, and sees the delivery as it was before
    agenda.settled("a", Accepted())
    assert agenda.start(heads, NOW) == ()
    agenda.begin()
    assert agenda.start(heads, NOW) == tuple(heads)


@pytest.mark.parametrize(("failures", "back"), [(DOWN_AFTER - 1, False), (DOWN_AFTER, True)])
def test_an_endpoint_that_was_down_is_back_with_its_first_success(failures: int, back: bool) -> None:
    agenda = Agenda(4)
    assert not any(agenda.settled("a", Failed("connect")) for _ in range(failures))
    assert agenda.settled("b", Accepted()) is back
    assert not agenda.settled("c", Accepted())


def test_a_room_that_hangs_does_not_hold_up_another_while_the_endpoint_seems_down() -> None:
    agenda = Agenda(2)
    for _ in range(DOWN_AFTER):
        agenda.settled("a", Failed("timeout"))
    agenda.begin()
    heads = [waiting("a"), waiting("b")]
    assert agenda.start(heads, NOW) == (heads[0],)  # and nothing is heard of it
    assert agenda.wake_ms(heads) == NOW + PROBE_MS
    assert agenda.start(heads, NOW + PROBE_MS - 1) == ()
    assert agenda.start(heads, NOW + PROBE_MS) == (heads[1],)
    assert agenda.wake_ms(heads) is None


# --- Whole histories, on a store and a clock that is moved by hand

Answer = Callable[[Delivery, int], Result]


class History:
    """One endpoint: deliveries are put, attempted and settled while the clock jumps from one to the next."""

    def __init__(self, store: SqliteStore, answer: Answer, parallel: int = 3, seed: int = 0) -> None:
        self.store = store
        self.answer = answer
        self.now_ms = NOW
        self.attempts: list[tuple[int, str, str]] = []  # when, lane, id
        self.accepted: dict[str, list[str]] = defaultdict(list)  # ids by lane, in the order of their arrival
        self._agenda = Agenda(parallel)
        self._chance = Random(seed)

    async def run(self, until_ms: int) -> None:
        """Go on until nothing waits or the time has come."""
        while True:
            self._agenda.begin()
            heads = await self.store.due_deliveries("e", limit=self._agenda.wanted)
            starting = self._agenda.start(heads, self.now_ms)
            assert len({one.lane for one in starting}) == len(starting)
            for delivery in starting:
                await self._attempt(delivery)
            if not starting:
                wake_ms = self._agenda.wake_ms(heads)
                if wake_ms is None or wake_ms > until_ms:
                    return
                self.now_ms = max(self.now_ms, wake_ms)

    async def _attempt(self, delivery: Delivery) -> None:
        assert delivery.due_ms is not None
        assert self.now_ms >= delivery.due_ms
        self.attempts.append((self.now_ms, delivery.lane, delivery.id))
        result = self.answer(delivery, self.now_ms)
        if isinstance(result, Accepted):
            self.accepted[delivery.lane].append(delivery.id)
        await self.store.commit(settle(delivery, result, self.now_ms, self._chance.random(), PACE))
        if self._agenda.settled(delivery.id, result):
            await self.store.commit(HastenDeliveries("e", self.now_ms))


async def lived(answer: Answer, puts: Sequence[PutDelivery], until_ms: int, seed: int = 0) -> History:
    """What becomes of these deliveries."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "store.db", readers=1)
        await store.open()
        try:
            await store.commit(*puts)
            history = History(store, answer, seed=seed)
            await history.run(until_ms)
            return history
        finally:
            await store.close()


def put(lane: str, number: int) -> PutDelivery:
    return PutDelivery(f"{lane}{number}", "e", lane, "session.ended", b"{}", NOW)


@settings(max_examples=25)
@given(
    lanes=st.lists(st.sampled_from("pqrs"), min_size=1, max_size=20),
    failing=st.sets(st.tuples(st.sampled_from("pqrs"), st.integers(0, 40))),
    seed=st.integers(0, 1 << 16),
)
def test_every_delivery_arrives_in_the_order_of_its_room(
    lanes: list[str], failing: set[tuple[str, int]], seed: int
) -> None:
    tried: dict[str, int] = defaultdict(int)

    def answer(delivery: Delivery, _: int) -> Result:
        tried[delivery.lane] += 1
        return Failed("timeout") if (delivery.lane, tried[delivery.lane]) in failing else Accepted()

    puts = [put(lane, number) for number, lane in enumerate(lanes)]
    history = asyncio.run(lived(answer, puts, NOW + 24 * HOUR, seed))
    for lane in "pqrs":
        assert history.accepted[lane] == [one.id for one in puts if one.lane == lane]


async def test_a_room_that_fails_holds_up_no_other() -> None:
    def answer(delivery: Delivery, _: int) -> Result:
        return Failed("status_500") if delivery.lane == "p" else Accepted()

    puts = [put(lane, number) for number in range(5) for lane in "pq"]
    history = await lived(answer, puts, NOW + 48 * HOUR)
    assert [id_ for at_ms, lane, id_ in history.attempts if lane == "q" and at_ms == NOW] == history.accepted[
        "q"
    ]
    assert len(history.accepted["q"]) == 5
    of_first = [at_ms for at_ms, _, id_ in history.attempts if id_ == "p0"]
    assert 30 < len(of_first) < 120
    assert of_first[-1] - NOW >= 24 * HOUR
    # Those behind it have waited as long by then, and are given up with one attempt each.
    for number in range(1, 5):
        (at_ms,) = [at_ms for at_ms, _, id_ in history.attempts if id_ == f"p{number}"]
        assert 0 <= at_ms - of_first[-1] <= number * PROBE_MS


async def test_after_an_hour_of_outage_everything_arrives_soon() -> None:
    back_ms = NOW + HOUR

    def answer(_: Delivery, now_ms: int) -> Result:
        return Accepted() if now_ms >= back_ms else Failed("connect")

    puts = [put(f"r{room:02}-", number) for number in range(4) for room in range(25)]
    history = await lived(answer, puts, NOW + 24 * HOUR)
    assert sum(map(len, history.accepted.values())) == 100
    for lane, ids in history.accepted.items():
        assert ids == [f"{lane}{number}" for number in range(4)]
    arrived = [at_ms for at_ms, _, _ in history.attempts if at_ms >= back_ms]
    assert arrived[-1] == arrived[0]  # the first success brings all others forward
    assert arrived[0] - back_ms < HOUR / 2
    assert len(history.attempts) < 25 * 25 + 100


async def test_an_endpoint_that_is_down_is_not_besieged_by_its_many_rooms() -> None:
    puts = [put(f"r{room:03}-", 0) for room in range(500)]
    history = await lived(lambda *_: Failed("connect"), puts, NOW + 60_000)
    times = [at_ms for at_ms, _, _ in history.attempts]
    down = times[DOWN_AFTER:]
    assert all(later - earlier >= PROBE_MS for earlier, later in pairwise(down))
    assert 100 < len(times) <= DOWN_AFTER + 60_000 // PROBE_MS + 1


async def test_gone_ends_each_delivery_with_one_attempt() -> None:
    puts = [put("p", number) for number in range(3)]
    history = await lived(lambda *_: Failed("status_410", gone=True), puts, NOW + HOUR)
    assert [id_ for _, _, id_ in history.attempts] == ["p0", "p1", "p2"]
