"""One subscriber's deliveries: examples of each rule, then any interleaving at all."""

from collections import deque
from collections.abc import Iterable, Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.delivery import (
    AckBeyondSent,
    CaughtUp,
    Delivery,
    Effect,
    Fetch,
    Persist,
    Reset,
    SendLive,
    SendPage,
)
from relay.rows import RoomHead, StoredEvent


def log(room: str = "r", head: int = 0, *, epoch: int = 1, lowest: int = 1) -> RoomHead:
    return RoomHead(room, epoch, head, lowest)


def events(first: int, last: int, size: int = 10) -> list[StoredEvent]:
    return [StoredEvent(offset, "a", "d", bytes(16), bytes(size), 0) for offset in range(first, last + 1)]


def test_up_to_date_subscriber_gets_events_live() -> None:
    delivery = Delivery()
    assert delivery.subscribe(log(head=3), 1, 3) == [CaughtUp("r", 1, 3)]
    assert delivery.published("r", 1, 4, 10) == (SendLive("r", 4),)
    assert delivery.outstanding == (1, 10)
    assert delivery.acked("r", 1, 4) == [Persist("r", 1, 4)]
    assert delivery.outstanding == (0, 0)


def test_catching_up_reads_pages_and_is_announced_once() -> None:
    delivery = Delivery(max_events=8)
    assert delivery.subscribe(log(head=3), 1, 1) == [Fetch("r", 1, 2, 1 << 18)]
    page = delivery.page(log(head=3), events(2, 3))
    assert page == [SendPage("r", 1, tuple(events(2, 3))), CaughtUp("r", 1, 3)]


def test_a_repeated_notice_is_not_sent_again() -> None:
    delivery = Delivery()
    delivery.subscribe(log(head=4), 1, 4)
    assert delivery.published("r", 1, 4, 10) == ()


def test_a_gap_between_notices_is_read_from_the_store() -> None:
    delivery = Delivery()
    delivery.subscribe(log(), 1, 0)
    assert delivery.published("r", 1, 2, 10) == [Fetch("r", 0, 64, 1 << 18)]


def test_a_lost_notice_shows_in_the_head() -> None:
    delivery = Delivery()
    delivery.subscribe(log(), 1, 0)
    assert delivery.observed(log(head=0)) == ()
    assert delivery.observed(log(head=1)) == [Fetch("r", 0, 64, 1 << 18)]


def test_what_is_published_before_subscribe_is_not_missed() -> None:
    delivery = Delivery()
    delivery.published("r", 1, 1, 10)
    assert delivery.subscribe(log(head=0), 1, 0) == [CaughtUp("r", 1, 0), Fetch("r", 0, 64, 1 << 18)]


def test_what_is_published_while_an_empty_page_is_read_is_not_missed() -> None:
    delivery = Delivery()
    delivery.subscribe(log(), 1, 0)
    delivery.published("r", 1, 2, 10)
    assert delivery.published("r", 1, 3, 10) == []
    assert delivery.page(log(head=0), []) == [Fetch("r", 0, 64, 1 << 18)]


def test_a_head_the_store_does_not_know_is_forgotten() -> None:
    delivery = Delivery()
    delivery.subscribe(log(), 1, 0)
    delivery.published("r", 1, 9, 10)
    assert delivery.page(log(head=0), []) == []
    assert delivery.unacknowledged() == {}


def test_window_closes_and_opens_by_a_page() -> None:
    delivery = Delivery(max_events=4)
    delivery.subscribe(log(), 1, 0)
    for offset in range(1, 5):
        assert delivery.published("r", 1, offset, 10) == (SendLive("r", offset),)
    assert delivery.published("r", 1, 5, 10) == []
    assert delivery.unacknowledged() == {"r": 5}
    assert delivery.acked("r", 1, 1) == [Persist("r", 1, 1), Fetch("r", 4, 1, 1 << 18)]


def test_an_event_larger_than_the_window_goes_alone() -> None:
    delivery = Delivery(max_events=8, max_bytes=100)
    delivery.subscribe(log(), 1, 0)
    assert delivery.published("r", 1, 1, 10) == (SendLive("r", 1),)
    assert delivery.published("r", 1, 2, 500) == [Fetch("r", 1, 2, 25)]
    assert delivery.page(log(head=2), events(2, 2, size=500)) == []
    assert delivery.acked("r", 1, 1) == [Persist("r", 1, 1), Fetch("r", 1, 2, 25)]
    assert delivery.page(log(head=2), events(2, 2, size=500)) == [
        SendPage("r", 1, tuple(events(2, 2, size=500)))
    ]
    assert delivery.outstanding == (1, 500)


def test_a_busy_room_does_not_starve_a_quiet_one() -> None:
    delivery = Delivery(max_events=4)
    delivery.subscribe(log("busy", 100), 1, 0)
    delivery.subscribe(log("quiet", 1), 1, 0)
    effects = delivery.page(log("busy", 100), events(1, 1))
    assert effects[-1] == Fetch("quiet", 0, 1, 1 << 18)
    assert delivery.page(log("quiet", 1), events(1, 1))[-1] == Fetch("busy", 1, 1, 1 << 18)


def test_live_events_do_not_overtake_rooms_that_wait() -> None:
    delivery = Delivery(max_events=4)
    delivery.subscribe(log("behind", 9), 1, 0)
    delivery.subscribe(log("live"), 1, 0)
    assert delivery.published("live", 1, 1, 10) == []


def test_live_events_do_not_take_the_window_from_rooms_that_wait() -> None:
    delivery = Delivery(max_events=8)
    delivery.subscribe(log("full"), 1, 0)
    delivery.subscribe(log("live"), 1, 0)
    for offset in range(1, 8):
        delivery.published("full", 1, offset, 10)
    delivery.published("full", 1, 9, 10)  # 8 was lost, and less than a page's worth is free
    assert delivery.published("live", 1, 1, 10) == []
    assert delivery.acked("full", 1, 1)[-1] == Fetch("full", 7, 2, 1 << 18)


def test_epoch_change_resets_and_goes_on_from_the_lowest() -> None:
    delivery = Delivery()
    effects = delivery.subscribe(log(head=9, epoch=2, lowest=4), 1, 7)
    assert effects == [Reset("r", 2, 4, "epoch"), Fetch("r", 3, 64, 1 << 18)]
    assert delivery.page(log(head=9, epoch=2, lowest=4), events(4, 9))[-1] == CaughtUp("r", 2, 9)


def test_offset_beyond_the_head_resets() -> None:
    assert Delivery().subscribe(log(head=2), 1, 3)[0] == Reset("r", 1, 1, "beyond_head")


def test_purged_while_catching_up_resets() -> None:
    delivery = Delivery()
    delivery.subscribe(log(head=9), 1, 2)
    effects = delivery.page(log(head=9, lowest=6), [])
    assert effects == [Reset("r", 1, 6, "purged"), Fetch("r", 5, 64, 1 << 18)]


def test_a_notice_of_another_epoch_asks_the_store() -> None:
    delivery = Delivery()
    delivery.subscribe(log(head=5), 1, 5)
    assert delivery.published("r", 2, 3, 10) == [Fetch("r", 5, 64, 1 << 18)]
    assert delivery.page(log(head=3, epoch=2), [])[0] == Reset("r", 2, 1, "epoch")


def test_a_notice_of_another_epoch_is_not_lost_while_a_page_is_read() -> None:
    delivery = Delivery()
    delivery.subscribe(log(head=1), 1, 0)
    assert delivery.published("r", 2, 1, 10) == []
    effects = delivery.page(log(head=1), events(1, 1))
    assert effects[-1] == Fetch("r", 1, 64, 1 << 18)
    assert delivery.page(log(head=1, epoch=2), [])[0] == Reset("r", 2, 1, "epoch")


def test_a_page_of_an_older_epoch_is_read_again() -> None:
    delivery = Delivery()
    delivery.subscribe(log(head=1), 1, 0)
    assert delivery.subscribe(log(head=1, epoch=2), 1, 0) == []
    assert delivery.page(log(head=1), events(1, 1)) == [Fetch("r", 0, 64, 1 << 18)]
    assert delivery.page(log(head=1, epoch=2), events(1, 1))[0] == SendPage("r", 2, tuple(events(1, 1)))


def test_acks_that_are_old_or_of_another_epoch_change_nothing() -> None:
    delivery = Delivery()
    delivery.subscribe(log(), 1, 0)
    delivery.published("r", 1, 1, 10)
    assert delivery.acked("r", 7, 1) == ()
    assert delivery.acked("unknown", 1, 1) == ()
    assert delivery.acked("r", 1, 0) == ()
    assert delivery.outstanding == (1, 10)


def test_ack_beyond_what_was_sent_is_an_error_and_changes_nothing() -> None:
    delivery = Delivery()
    delivery.subscribe(log(), 1, 0)
    delivery.published("r", 1, 1, 10)
    assert delivery.acked("r", 1, 2) == (AckBeyondSent("r", 1),)
    assert delivery.outstanding == (1, 10)


def test_unsubscribing_frees_the_window() -> None:
    delivery = Delivery(max_events=1)
    delivery.subscribe(log("a"), 1, 0)
    delivery.subscribe(log("b"), 1, 0)
    delivery.published("a", 1, 1, 10)
    assert delivery.published("b", 1, 1, 10) == []
    assert delivery.unsubscribe("a") == [Fetch("b", 0, 1, 1 << 18)]
    assert delivery.published("a", 1, 2, 10) == ()


def test_a_failed_read_is_asked_for_again() -> None:
    delivery = Delivery()
    asked = delivery.subscribe(log(head=1), 1, 0)
    assert delivery.fetch_failed("r") == asked


ROOMS = ("a", "b", "c")
MAX_EVENTS = 6
MAX_BYTES = 100


class AnyInterleaving(RuleBasedStateMachine):
    """Logs that grow, are trimmed, are restored; notices late or lost; slow, failing reads; acks at any pace.

    The model knows what the device was sent and checks every effect against it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.delivery = Delivery(max_events=MAX_EVENTS, max_bytes=MAX_BYTES)
        self.logs: dict[str, dict[int, int]] = {
            room: {} for room in ROOMS
        }  # offset -> size, also of what was trimmed
        self.heads = dict.fromkeys(ROOMS, 0)
        self.lowest = dict.fromkeys(ROOMS, 1)
        self.epoch = 1
        self.notices: deque[tuple[str, int, int, int]] = deque()
        self.fetch: Fetch | None = None
        self.snapshot: tuple[RoomHead, list[StoredEvent]] | None = None
        self.at: dict[str, tuple[int, int]] = {}  # room -> (epoch, offset) the device stands at
        self.unacked: dict[str, deque[tuple[int, int]]] = {room: deque() for room in ROOMS}
        self.awaiting_caught_up: set[str] = set()

    def log(self, room: str) -> RoomHead:
        return RoomHead(room, self.epoch, self.heads[room], self.lowest[room])

    def outstanding(self) -> list[int]:
        return [size for queue in self.unacked.values() for _, size in queue]

    def send(self, room: str, epoch: int, offset: int, size: int) -> None:
        at_epoch, at_offset = self.at[room]
        assert at_offset == offset - 1, "in order, once, without a gap"
        assert at_epoch == epoch or at_offset == 0, "another epoch begins with a reset"
        before = self.outstanding()
        fits = len(before) < MAX_EVENTS and sum(before) + size <= MAX_BYTES
        assert fits or not before, "never more than the window"
        self.at[room] = (epoch, offset)
        self.unacked[room].append((offset, size))

    def perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendLive(room, offset):
                    self.send(room, self.at[room][0], offset, self.logs[room][offset])
                case SendPage(room, epoch, page):
                    for event in page:
                        self.send(room, epoch, event.offset, len(event.body))
                case Fetch():
                    assert self.fetch is None, "one read at a time"
                    self.fetch = effect
                case Reset(room, epoch, lowest, _):
                    self.at[room] = (epoch, lowest - 1)
                    self.unacked[room].clear()
                case CaughtUp(room, epoch, offset):
                    assert self.at[room][1] == offset
                    self.awaiting_caught_up.remove(room)
                case Persist() | AckBeyondSent():
                    pass

    @initialize(sizes=st.lists(st.tuples(st.sampled_from(ROOMS), st.integers(0, 150)), max_size=20))
    def write_before_anyone_listens(self, sizes: Sequence[tuple[str, int]]) -> None:
        for room, size in sizes:
            self.append(room, size)
        self.notices.clear()

    @rule(room=st.sampled_from(ROOMS), size=st.integers(0, 150))
    def append(self, room: str, size: int) -> None:
        self.heads[room] += 1
        self.logs[room][self.heads[room]] = size
        self.notices.append((room, self.epoch, self.heads[room], size))

    @rule(room=st.sampled_from(ROOMS), count=st.integers(3, 12))
    def burst(self, room: str, count: int) -> None:
        for _ in range(count):
            self.append(room, 1)

    @precondition(lambda self: self.notices)
    @rule(lost=st.booleans())
    def hear(self, lost: bool) -> None:
        room, epoch, offset, size = self.notices.popleft()
        if not lost and epoch == self.epoch:  # a restore empties the bus with the process
            self.perform(self.delivery.published(room, epoch, offset, size))

    @rule(room=st.sampled_from(ROOMS))
    def observe(self, room: str) -> None:
        self.perform(self.delivery.observed(self.log(room)))

    @rule(room=st.sampled_from(ROOMS), back=st.integers(0, 30), stale=st.booleans())
    def subscribe(self, room: str, back: int, stale: bool) -> None:
        offset = max(0, self.heads[room] + 2 - back)
        epoch = self.epoch - stale
        self.at[room] = (self.epoch, offset)
        self.unacked[room].clear()
        self.awaiting_caught_up.add(room)
        self.perform(self.delivery.subscribe(self.log(room), epoch, offset))

    @rule(room=st.sampled_from(ROOMS))
    def unsubscribe(self, room: str) -> None:
        self.at.pop(room, None)
        self.unacked[room].clear()
        self.awaiting_caught_up.discard(room)
        self.perform(self.delivery.unsubscribe(room))

    @rule(room=st.sampled_from(ROOMS), count=st.integers(1, 5))
    def trim(self, room: str, count: int) -> None:
        self.lowest[room] = min(self.lowest[room] + count, self.heads[room] + 1)

    @rule(lost=st.integers(0, 5))
    def restore(self, lost: int) -> None:
        self.epoch += 1
        for room in ROOMS:
            self.heads[room] = max(self.heads[room] - lost, self.lowest[room] - 1)

    @precondition(lambda self: self.fetch is not None and self.snapshot is None)
    @rule()
    def read(self) -> None:
        assert self.fetch is not None
        room, after, limit, max_bytes = (
            self.fetch.room,
            self.fetch.after,
            self.fetch.limit,
            self.fetch.max_bytes,
        )
        page: list[StoredEvent] = []
        if self.lowest[room] <= after + 1:
            for offset in range(after + 1, min(after + limit, self.heads[room]) + 1):
                size = self.logs[room][offset]
                if page and sum(len(event.body) for event in page) + size > max_bytes:
                    break
                page.extend(events(offset, offset, size))
        self.snapshot = (self.log(room), page)

    @precondition(lambda self: self.snapshot is not None)
    @rule()
    def answer(self) -> None:
        assert self.snapshot is not None
        (head, page), self.fetch, self.snapshot = self.snapshot, None, None
        self.perform(self.delivery.page(head, page))

    @precondition(lambda self: self.fetch is not None)
    @rule()
    def fail(self) -> None:
        assert self.fetch is not None
        room, self.fetch, self.snapshot = self.fetch.room, None, None
        self.perform(self.delivery.fetch_failed(room))

    @rule(room=st.sampled_from(ROOMS), share=st.floats(0, 1))
    def ack(self, room: str, share: float) -> None:
        queue = self.unacked[room]
        if queue:
            epoch, offset = self.at[room][0], queue[int(share * (len(queue) - 1))][0]
            while queue and queue[0][0] <= offset:
                queue.popleft()
            self.perform(self.delivery.acked(room, epoch, offset))

    @invariant()
    def books_agree(self) -> None:
        sizes = self.outstanding()
        assert self.delivery.outstanding == (len(sizes), sum(sizes))

    def teardown(self) -> None:
        """As long as acknowledgements come and heads are looked at, everything arrives."""
        for room in self.at:
            self.observe(room)
        while self.notices:
            self.hear(lost=False)
        for _ in range(10_000):
            if self.fetch is not None:
                if self.snapshot is None:
                    self.read()
                self.answer()
            elif self.outstanding():
                for room in ROOMS:
                    self.ack(room, 1.0)
            else:
                break
        else:
            raise AssertionError("no end in sight")
        for room in self.at:
            epoch, offset = self.at[room]
            assert offset == self.heads[room]
            assert epoch == self.epoch or offset == 0
        assert not self.awaiting_caught_up
        assert self.delivery.unacknowledged() == {}


TestAnyInterleaving = AnyInterleaving.TestCase
TestAnyInterleaving.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
