"""Who may rate a session, what a rating is, and what is told of it."""

from __future__ import annotations

import msgspec
import pytest

from protocol import errors
from protocol.errors import ErrorKind, ProtocolError
from signaling.ratings.notices import notices_of
from signaling.ratings.rating import Rating, from_row, rating_of, to_row
from signaling.sessions.session import Session
from signaling.webhooks.notices import encode
from tests.signaling.sessions_core_kit import START, live, scheduled
from tests.signaling.usage_kit import MINUTE, ended

OVER = ended((20 * MINUTE, "video", "ab"), roles={"anna": "therapist", "ben": "client"})
NOW = START + 60 * MINUTE


def rated(score: int, *, technical: bool = False) -> Rating:
    return rating_of(OVER, "ben", score, technical, NOW)


def test_who_was_in_it_rates_it() -> None:
    assert rated(4) == Rating("s1", "r1", "ben", "client", 4, False, NOW)
    assert rating_of(OVER, "anna", 1, True, NOW).role == "therapist"


@pytest.mark.parametrize(
    ("session", "account", "kind"),
    [
        (live(), "ben", errors.SESSION_NOT_OVER),
        (scheduled(), "ben", errors.SESSION_NOT_OVER),
        (OVER, "cleo", errors.NOT_A_PARTICIPANT),
        (msgspec.structs.replace(OVER, waited_ms={"cleo": START}), "cleo", errors.NOT_A_PARTICIPANT),
    ],
)
def test_nobody_else_and_not_before_the_end(session: Session, account: str, kind: ErrorKind) -> None:
    with pytest.raises(ProtocolError) as refused:
        rating_of(session, account, 3, technical=False, now_ms=NOW)
    assert refused.value.kind is kind


@pytest.mark.parametrize("technical", [False, True])
def test_a_rating_is_read_as_it_was_stored(technical: bool) -> None:
    rating = rated(2, technical=technical)
    assert from_row(to_row(rating)) == rating
    assert to_row(rating).kind == ("technical" if technical else "clinical")


@pytest.mark.parametrize(
    ("score", "technical", "low_score", "types"),
    [
        (1, False, 2, ["session.rated", "session.rated_low"]),
        (2, False, 2, ["session.rated", "session.rated_low"]),
        (3, False, 2, ["session.rated"]),
        (1, True, 2, ["session.rated"]),
        (1, False, 0, ["session.rated"]),
        (5, False, 5, ["session.rated", "session.rated_low"]),
    ],
)
def test_low_clinical_ratings_are_told_twice(
    score: int, technical: bool, low_score: int, types: list[str]
) -> None:
    notices = notices_of(rated(score, technical=technical), low_score)
    assert [notice.type for notice in notices] == types
    for notice in notices:
        assert msgspec.json.decode(encode(notice, "d")) == {
            "id": "d",
            "type": notice.type,
            "at_ms": NOW,
            "room": "r1",
            "data": {
                "session": "s1",
                "account": "ben",
                "role": "client",
                "score": score,
                "technical": technical,
            },
        }
