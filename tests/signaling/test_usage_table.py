"""Usage as CSV: read back by a CSV reader, and harmless to a spreadsheet."""

from __future__ import annotations

import csv
import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from signaling.usage.records import UsageRecord, usage_of
from signaling.usage.table import COLUMNS, FORMULA_STARTS, header, lines
from tests.signaling.sessions_core_kit import START, scheduled
from tests.signaling.usage_kit import MINUTE, ended

RECORD = usage_of(ended((20 * MINUTE, "video", "ab"), (19 * MINUTE, "audio", "abc"), (5, "audio", "a")), 0)


def read(*records: UsageRecord) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((header() + lines(records)).decode(), newline="")))


def test_the_columns_keep_their_order() -> None:
    assert header().decode() == (
        "session,room,final,state,reason,starts,starts_ms,length_ms,extended_ms,agreed_modality,live_ms,ended_ms,"
        "both_ms,minutes,video_ms,audio_ms,chat_ms,code,modifier,no_show,therapist_ms,client_ms,"
        "therapists,clients\r\n"
    )


def test_a_line_says_what_the_record_does() -> None:
    (row,) = read(RECORD)
    assert row == {
        "session": "s1",
        "room": "r1",
        "final": "yes",
        "state": "ended",
        "reason": "completed",
        "starts": "2027-01-15 08:00:00",
        "starts_ms": str(START),
        "length_ms": "2700000",
        "extended_ms": "0",
        "agreed_modality": "video",
        "live_ms": str(START),
        "ended_ms": str(START + 39 * MINUTE + 5),
        "both_ms": "2340000",
        "minutes": "39",
        "video_ms": "1200000",
        "audio_ms": "1140000",
        "chat_ms": "0",
        "code": "90834",
        "modifier": "95",
        "no_show": "",
        "therapist_ms": "2340005",
        "client_ms": "2340000",
        "therapists": "anna",
        "clients": "ben",
    }


def test_what_is_not_known_is_empty() -> None:
    (row,) = read(usage_of(scheduled(), START))
    empty = {name for name, cell in row.items() if cell == ""}
    assert empty == {"reason", "live_ms", "ended_ms", "code", "modifier", "therapists", "clients"}
    assert (row["final"], row["no_show"]) == ("no", "before_grace")


def test_no_records_are_no_lines() -> None:
    assert lines([]) == b""


@pytest.mark.parametrize("start", list("=+-@\t\r\n＝＋－＠"))  # noqa: RUF001 - what spreadsheets take
def test_no_cell_is_a_formula(start: str) -> None:
    name = f"{start}HYPERLINK(1)"
    record = msgspec.structs.replace(
        RECORD,
        session=name,
        room=name,
        attendances=tuple(msgspec.structs.replace(one, account=name) for one in RECORD.attendances),
    )
    (row,) = read(record)
    for column in ("session", "room", "therapists", "clients"):
        assert row[column] == f"'{name}"


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_id_stays_in_its_cell(session: str, room: str) -> None:
    (row,) = read(msgspec.structs.replace(RECORD, session=session, room=room))
    assert (row["session"].removeprefix("'"), row["room"].removeprefix("'")) == (
        session.removeprefix("'"),
        room.removeprefix("'"),
    )
    assert list(row) == list(COLUMNS)
    assert not any(cell.startswith(FORMULA_STARTS) for cell in row.values())
