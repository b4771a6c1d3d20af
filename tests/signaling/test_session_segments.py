"""Segments against a plain reading of the same story: who was there at every millisecond."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from protocol.fields import Modality, SessionRole
from signaling.sessions.segments import Segment, both_ms, has_both, record, without

AB, A, B = ("a", "b"), ("a",), ("b",)
ROLES: dict[str, SessionRole] = {"a": "therapist", "b": "client", "c": "guest"}


def at(segments: tuple[Segment, ...], instant: int) -> tuple[set[str], str]:
    """Who was there at an instant, and how they talked."""
    for segment in segments:
        if segment.starts_ms <= instant and (segment.ends_ms is None or instant < segment.ends_ms):
            return set(segment.present), segment.modality
    return set(), ""


def test_a_change_ends_one_segment_and_begins_the_next() -> None:
    story = record((), A, "video", 10)
    story = record(story, AB, "video", 20)
    story = record(story, AB, "audio", 30)
    story = record(story, (), "audio", 40)
    story = record(story, B, "audio", 60)
    assert story == (
        Segment(10, 20, "video", A),
        Segment(20, 30, "video", AB),
        Segment(30, 40, "audio", AB),
        Segment(60, None, "audio", B),
    )


def test_what_does_not_change_is_not_split() -> None:
    assert record(record((), A, "video", 10), A, "video", 20) == (Segment(10, None, "video", A),)


def test_what_lasted_no_time_is_not_kept_and_does_not_split() -> None:
    story = record(record((), A, "video", 10), AB, "video", 20)
    assert record(story, A, "video", 20) == (Segment(10, None, "video", A),)
    assert record(record((), A, "video", 10), (), "video", 10) == ()


def test_who_turns_out_to_be_gone_is_taken_out_from_then_on() -> None:
    story = record(record((), AB, "video", 10), AB, "audio", 30)
    assert without(story, "b", 20) == (
        Segment(10, 20, "video", AB),
        Segment(20, 30, "video", A),
        Segment(30, None, "audio", A),
    )
    assert without(record((), A, "video", 10), "a", 15) == (Segment(10, 15, "video", A),)
    assert without(story, "b", 10) == (Segment(10, 30, "video", A), Segment(30, None, "audio", A))


def test_what_an_absence_made_alike_is_one() -> None:
    story = record(record((), AB, "video", 10), A, "video", 30)
    assert without(story, "b", 10) == (Segment(10, None, "video", A),)


def test_time_of_both_counts_only_a_therapist_with_a_client() -> None:
    story = record(record(record((), A, "video", 0), AB, "video", 10), ("a", "c"), "video", 25)
    assert both_ms(story, ROLES, 100) == 15
    assert both_ms(record((), AB, "video", 40), ROLES, 100) == 60
    assert both_ms(record((), AB, "video", 40), ROLES, 30) == 0
    assert not has_both(["client", "guest"])


modalities: st.SearchStrategy[Modality] = st.sampled_from(["video", "audio", "chat"])
people = st.lists(st.sampled_from("abc"), unique=True, max_size=3).map(tuple)
stories = st.lists(st.tuples(st.integers(0, 6), people, modalities), max_size=20)


@given(stories, st.sampled_from("abc"), st.integers(0, 130))
def test_segments_tell_the_story_at_every_instant(
    steps: list[tuple[int, tuple[str, ...], Modality]], absent: str, since: int
) -> None:
    now = 0
    story: tuple[Segment, ...] = ()
    told: dict[int, tuple[set[str], str]] = {}
    present: tuple[str, ...] = ()
    modality: Modality = "video"
    for pause, people_now, modality_now in steps:
        for instant in range(now, now + pause):
            told[instant] = (set(present), modality if present else "")
        now += pause
        present, modality = people_now, modality_now
        story = record(story, present, modality, now)
    for instant in range(now):
        assert at(story, instant) == told[instant]
    corrected = without(story, absent, since)
    for instant in range(now):
        there, how = told[instant]
        rest = there - {absent} if instant >= since else there
        assert at(corrected, instant) == (rest, how if rest else "")
    for one, other in pairwise(corrected):
        assert one.ends_ms is not None
        assert one.starts_ms < one.ends_ms <= other.starts_ms
        assert one.ends_ms < other.starts_ms or (one.present, one.modality) != (other.present, other.modality)
