"""What is billed of a session that was really held: exact across reconnects, restarts, other modalities."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.sessions import SessionModality
from relay.cluster import Grave
from signaling.usage.records import usage_of
from tests.signaling.sessions_kit import MINUTE, HandClock, Kit, person

ANNA, BEN = person("anna", "therapist"), person("ben", "client")
BEN_AGAIN = person("ben", "client", "ben-2")


@pytest.mark.parametrize(
    ("span_ms", "minutes", "code"),
    [
        (16 * MINUTE - 1, 15, None),
        (16 * MINUTE, 16, "90832"),
        (38 * MINUTE - 1, 37, "90832"),
        (38 * MINUTE, 38, "90834"),
        (53 * MINUTE - 1, 52, "90834"),
        (53 * MINUTE, 53, "90837"),
    ],
)
async def test_a_millisecond_decides(tmp_path: Path, span_ms: int, minutes: int, code: str | None) -> None:
    clock = HandClock()
    began_ms = clock.ms
    async with Kit(tmp_path / "store.db", clock) as kit:
        await kit.room()
        await kit.scheduled(length_ms=60 * MINUTE)
        await kit.sessions.join(ANNA, "s")
        clock.wait_ms(7)
        await kit.sessions.join(BEN, "s")
        clock.wait_ms(2 * MINUTE + 1)
        await kit.sessions.connection_closed(BEN)
        clock.wait_ms(89_999)
        await kit.fire_due()
        await kit.sessions.join(BEN_AGAIN, "s")
        clock.wait_ms(333)
        await kit.sessions.perform(ANNA, SessionModality(1, "s", "audio"))
        clock.wait_ms(MINUTE)
        await kit.sessions.perform(BEN_AGAIN, SessionModality(1, "s", "video"))
    clock.wait_ms(45_000)
    async with Kit(tmp_path / "store.db", clock) as kit:
        await kit.sessions.node_died(Grave("dead", 0, ""))
        await kit.sessions.join(ANNA, "s")
        await kit.sessions.join(BEN, "s")
        clock.wait_ms(began_ms + 7 + span_ms - clock.ms)
        await kit.fire_due()
        await kit.end(ANNA)
        session = await kit.sessions.find("s")
    record = usage_of(session, clock.ms)
    assert (record.both_ms, record.minutes) == (span_ms, minutes)
    assert record.together_ms == {"video": span_ms - MINUTE, "audio": MINUTE, "chat": 0}
    assert (record.suggestion.code if record.suggestion else None) == code
    assert sum((one.ends_ms or 0) - one.starts_ms for one in session.segments) == span_ms + 7
