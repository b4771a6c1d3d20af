"""The trail as text, and what is asked of it."""

from __future__ import annotations

import csv
import io
import json

import msgspec
import pytest
from hypothesis import given

from relay.audit_chain import GENESIS, AuditEntry, AuditRecord, follow
from relay.audit_trail import AuditFilter
from signaling.audit.exporting import (
    COLUMNS,
    csv_header,
    csv_line,
    filter_of,
    human_line,
    instant_ms,
    iso,
    json_line,
)
from tests.signaling.audit_kit import chained, entry
from tests.strategies import values

(RECORD,) = chained([entry(5)])


@given(values(AuditEntry))
def test_the_chain_can_be_checked_from_json_lines(original: AuditEntry) -> None:
    (record,) = chained([original])
    read = json.loads(json_line(record))
    sequence, digest = read.pop("sequence"), bytes.fromhex(read.pop("digest"))
    assert follow(GENESIS, sequence, AuditEntry(**read)) == digest


@given(values(AuditEntry))
def test_csv_has_every_field_and_no_formula(original: AuditEntry) -> None:
    (record,) = chained([original])
    ((*names,), (*cells,)) = csv.reader(io.StringIO(csv_header() + csv_line(record), newline=""))
    assert tuple(names) == COLUMNS
    shown = dict(zip(names, cells, strict=True))
    for name, value in msgspec.structs.asdict(original).items():
        if isinstance(value, str):
            assert not shown[name].startswith(("=", "+", "-", "@", "\t", "\r"))
            assert shown[name].removeprefix("'") == value.removeprefix("'")


@given(values(AuditEntry).filter(lambda one: 0 <= one.at_ms < 1 << 47))
def test_people_get_one_printable_line(original: AuditEntry) -> None:
    line = human_line(AuditRecord(1, original, GENESIS))
    assert line.endswith("\n")
    assert line[:-1].isprintable()


def test_a_line_for_people_says_who_did_what_to_what() -> None:
    assert (
        human_line(RECORD)
        == "1 1970-01-01T00:00:00.005Z ann session.live session:s5 in room:r from http -> ok\n"
    )
    refused = msgspec.structs.replace(
        RECORD.entry,
        actor="",
        role="",
        object_kind="",
        room="",
        subject="ben",
        outcome="revoked",
        count=7,
        reason="why",
    )
    line = human_line(AuditRecord(2, refused, GENESIS))
    assert line.endswith("somebody unknown session.live about ben from http -> revoked x7 (why)\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-31", "2027-01-31T00:00:00.000Z"),
        ("2027-01-31T18:30", "2027-01-31T18:30:00.000Z"),
        ("2027-01-31T18:30:00.25+01:00", "2027-01-31T17:30:00.250Z"),
    ],
)
def test_instants(text: str, expected: str) -> None:
    assert iso(instant_ms(text)) == expected


def test_what_is_no_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="isoformat"):
        instant_ms("yesterday")


def test_what_is_searched_for() -> None:
    assert filter_of() == AuditFilter()
    assert filter_of(about="room:4:2", actor="a") == AuditFilter(
        actor="a", object_kind="room", object_id="4:2"
    )
    assert filter_of(about="session") == AuditFilter(object_kind="session")
