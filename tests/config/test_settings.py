"""What is declared: each setting is explained, and its name says its unit."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from config.setting import Setting
from config.settings import ALL, SECTIONS
from config.sources import OTHER_VARIABLES

ROOT = Path(__file__).parents[2]

# Numbers that count things have the things' name, those in a unit end in it.
UNITS = ("_seconds", "_bytes", "_minutes", "_days", "_per_second")
COUNTS = {
    "store.connections",
    "server.port",
    "media.port",
    "media.workers",
    "media.max_participants",
    "media.capacity",
    "schedule.max_series_per_room",
    "audit.checkpoint_entries",
    "limits.connections",
    "limits.connections_per_account",
    "limits.requests_in_flight",
    "limits.requests_burst",
    "limits.account_requests_burst",
    "limits.unacked_events",
    "webhooks.low_rating",
    "push.parallel",
    "webhooks.parallel",
    "keys.pending_devices",
    "keys.prekeys_held",
    "keys.low_prekeys",
    "keys.claims_burst",
    "limits.joins_burst",
    "keys.claimed_burst",
    "blobs.room_count",
    "blobs.uploads_per_account",
    "blobs.transfers_per_account",
}


@pytest.mark.parametrize("setting", ALL.values(), ids=ALL)
def test_a_setting_is_explained_and_bounded(setting: Setting) -> None:
    assert setting.meaning.doc.endswith(".")
    if setting.type in {int, float}:
        assert setting.meaning.between
        assert setting.path in COUNTS or setting.name.endswith(UNITS)


def test_sections_are_explained_and_variables_are_not_ambiguous() -> None:
    assert all(section.__doc__ for section in SECTIONS.values())
    variables = [setting.variable for setting in ALL.values()]
    assert len({*variables, *OTHER_VARIABLES}) == len(variables) + len(OTHER_VARIABLES)


def test_every_setting_is_used() -> None:
    used = {
        node.attr
        for package in ("signaling", "relay", "rtc", "loadtest")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }
    assert [path for path, setting in ALL.items() if setting.name not in used] == []
