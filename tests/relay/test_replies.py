"""What is remembered of requests: each is carried out once for as long as it may come again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relay.bus import ReplyNotice
from relay.bus.replies import Replies, Standing


def test_a_request_is_carried_out_once_and_its_reply_repeated() -> None:
    replies, reply = Replies(), ReplyNotice("1", b"done")
    assert replies.take("a", "1", 0.0) is Standing.NEW
    assert replies.take("a", "1", 0.1) is Standing.UNDER_WAY
    assert replies.take("b", "1", 0.1) is Standing.NEW
    replies.done("a", reply, 0.2)
    assert replies.take("a", "1", 60.1) is reply
    assert replies.take("a", "1", 60.2) is Standing.NEW, "after a minute nothing is known of it"


def test_nothing_is_forgotten_to_make_room() -> None:
    replies = Replies(kept_seconds=10, max_requests=2)
    for request in ("1", "2"):
        assert replies.take("a", request, 0.0) is Standing.NEW
        replies.done("a", ReplyNotice(request, None), 1.0)
    assert replies.take("a", "3", 10.9) is Standing.TOO_MUCH
    assert replies.take("a", "1", 10.9) == ReplyNotice("1", None)
    assert replies.take("a", "3", 11.0) is Standing.NEW


def test_what_is_under_way_and_the_size_of_what_is_remembered_are_bounded() -> None:
    replies = Replies(kept_seconds=10, max_bytes=5, max_under_way=2)
    standings = [replies.take("a", request, 0.0) for request in ("1", "2", "3")]
    assert standings == [Standing.NEW, Standing.NEW, Standing.TOO_MUCH]
    replies.done("a", ReplyNotice("1", b"12345"), 0.0)
    assert replies.take("a", "3", 9.9) is Standing.TOO_MUCH
    assert replies.take("a", "3", 10.0) is Standing.NEW


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 4)), max_size=60))
def test_no_request_is_carried_out_twice_within_the_time(steps: list[tuple[str, bool, float]]) -> None:
    """Whatever comes in which order, finished or not."""
    replies, now = Replies(kept_seconds=10, max_requests=2), 0.0
    done_at: dict[str, float] = {}
    under_way: set[str] = set()
    for request, finish, pause in steps:
        now += pause
        if finish and request in under_way:
            replies.done("a", ReplyNotice(request, b"x"), now)
            under_way.discard(request)
            done_at[request] = now
        elif replies.take("a", request, now) is Standing.NEW:
            assert request not in under_way
            assert now >= done_at.get(request, -10.0) + 10
            under_way.add(request)
        assert len(under_way) + sum(now < at + 10 for at in done_at.values()) <= 2 + 1
