"""What of a room's log is told, and how a delivery looks."""

from __future__ import annotations

import json
import uuid
from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import WebhookSettings
from config.webhooks import TYPES
from protocol.codec import encode_body
from protocol.events import EventBody, MemberBody, MessageBody, SessionBody
from relay.webhooks import Unreceived
from relay.writes import Append
from signaling.uuid7 import uuid7
from signaling.webhooks.endpoints import endpoints_of
from signaling.webhooks.notices import SESSION_TYPES, encode, notice_of, undelivered
from tests.signaling.webhook_kit import OLD_SECRET, SECRET
from tests.strategies import event_bodies


def written(body: EventBody) -> Append:
    return Append("r", None, None, None, encode_body(body), 1_000)


def session_body(change: str = "ended") -> SessionBody:
    return SessionBody("s", change, "ended", "video", 1, 2, "anna", "left", 3)  # type: ignore[arg-type]  # one of them


@given(event_bodies)
def test_messages_are_never_told_and_all_else_has_a_type(body: EventBody) -> None:
    notice = notice_of(written(body))
    if isinstance(body, MessageBody):
        assert notice is None
    if notice is not None:
        assert notice.type in TYPES
        assert (notice.room, notice.at_ms) == ("r", 1_000)
        assert json.loads(encode(notice, "id"))["type"] == notice.type


@given(event_bodies)
def test_what_a_device_sent_is_never_told(body: EventBody) -> None:
    assert notice_of(Append("r", "anna", "d", bytes(16), encode_body(body), 1_000)) is None


def test_changes_that_are_told_are_changes_there_are() -> None:
    changes = get_args(get_type_hints(SessionBody)["change"])
    assert set(SESSION_TYPES) <= set(changes)


def test_a_session_is_told_as_it_stands_after_the_change() -> None:
    notice = notice_of(written(session_body()))
    assert notice is not None
    assert json.loads(encode(notice, "id")) == {
        "id": "id",
        "type": "session.ended",
        "at_ms": 1_000,
        "room": "r",
        "data": {
            "session": "s",
            "state": "ended",
            "modality": "video",
            "starts_ms": 1,
            "ends_ms": 2,
            "account": "anna",
            "reason": "left",
            "due_ms": 3,
        },
    }


@pytest.mark.parametrize("change", ["scheduled"])
def test_other_changes_are_not_told(change: str) -> None:
    assert notice_of(written(session_body(change))) is None


def test_members_are_told() -> None:
    for change, kind in (("added", "room.member_added"), ("removed", "room.member_removed")):
        notice = notice_of(written(MemberBody("ben", "client", change)))  # type: ignore[arg-type]  # one of them
        assert notice is not None
        assert notice.type == kind
        assert json.loads(encode(notice, "id"))["data"] == {"account": "ben", "role": "client"}


def test_what_is_not_received_is_told_without_its_content() -> None:
    body = json.loads(encode(undelivered(Unreceived("r", "ben", 7, 500), 1_000), "id"))
    assert body["data"] == {"account": "ben", "offset": 7, "sent_ms": 500}
    assert (body["type"], body["room"], body["at_ms"]) == ("message.undelivered", "r", 1_000)


@given(st.integers(0, (1 << 48) - 1), st.binary(min_size=10, max_size=10))
def test_ids_are_of_version_7_and_carry_their_time(at_ms: int, chance: bytes) -> None:
    made = uuid7(at_ms, chance)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == at_ms


@given(
    st.integers(0, (1 << 48) - 2), st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10)
)
def test_ids_sort_by_their_time(at_ms: int, one: bytes, other: bytes) -> None:
    assert str(uuid7(at_ms, one)) < str(uuid7(at_ms + 1, other))


def test_endpoints_are_told_what_the_settings_say() -> None:
    settings = WebhookSettings(
        endpoints={"b": "https://b.example", "a": "https://a.example"},
        secrets={"a": f"{SECRET} {OLD_SECRET}", "b": "k" * 32},
        types={"b": "room.* session.ended"},
    )
    first, second = endpoints_of(settings)
    assert (first.name, first.types) == ("a", TYPES)
    assert second.types == {"room.member_added", "room.member_removed", "session.ended"}
    assert first.secrets == (SECRET.encode(), OLD_SECRET.encode())
    assert second.secrets == (b"k" * 32,)
    assert "k" * 32 not in repr(second)
