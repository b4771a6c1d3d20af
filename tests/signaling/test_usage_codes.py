"""The suggested billing codes, to the millisecond."""

from __future__ import annotations

from typing import cast

import pytest

from protocol.fields import Modality
from signaling.usage.codes import suggested

MINUTE = 60_000


def spent(**spans_ms: int) -> dict[Modality, int]:
    return cast(dict[Modality, int], {"video": 0, "audio": 0, "chat": 0} | spans_ms)


@pytest.mark.parametrize(
    ("minutes", "seconds", "code"),
    [
        (0, 0, None),
        (15, 59, None),
        (16, 0, "90832"),
        (16, 1, "90832"),
        (37, 0, "90832"),
        (37, 59, "90832"),
        (38, 0, "90834"),
        (52, 0, "90834"),
        (52, 59, "90834"),
        (53, 0, "90837"),
        (240, 0, "90837"),
    ],
)
def test_codes_begin_at_whole_minutes(minutes: int, seconds: int, code: str | None) -> None:
    span_ms = minutes * MINUTE + seconds * 1000
    found = suggested(spent(video=span_ms), clients=1)
    assert (found.code if found else None) == code
    if seconds == 59:  # up to the last millisecond
        almost = suggested(spent(video=span_ms + 999), clients=1)
        assert (almost.code if almost else None) == code


@pytest.mark.parametrize("modality", ["video", "audio", "chat"])
def test_modalities_count_together(modality: str) -> None:
    assert suggested(spent(**{modality: 16 * MINUTE - 1}), clients=1) is None
    rest = {"video": 0, "audio": 0, "chat": 0} | {modality: 16 * MINUTE - 1}
    rest["chat"] += 1
    found = suggested(spent(**rest), clients=1)
    assert found is not None
    assert found.code == "90832"


@pytest.mark.parametrize(
    ("video", "audio", "chat", "modifier"),
    [
        (40, 0, 0, "95"),
        (0, 40, 0, None),
        (0, 0, 40, None),
        (20, 20, 0, None),
        (20, 10, 10, None),
        (21, 19, 0, "95"),
        (19, 21, 0, None),
    ],
)
def test_the_modifier_stands_for_more_than_half_in_video(
    video: int, audio: int, chat: int, modifier: str | None
) -> None:
    found = suggested(spent(video=video * MINUTE, audio=audio * MINUTE, chat=chat * MINUTE), clients=1)
    assert found is not None
    assert found.modifier == modifier


def test_one_millisecond_decides_on_the_modifier() -> None:
    less = suggested(spent(video=20 * MINUTE, audio=20 * MINUTE), clients=1)
    more = suggested(spent(video=20 * MINUTE + 1, audio=20 * MINUTE), clients=1)
    assert [one and one.modifier for one in (less, more)] == [None, "95"]


@pytest.mark.parametrize("clients", [0, 2, 7])
def test_the_codes_are_for_one_client(clients: int) -> None:
    assert suggested(spent(video=60 * MINUTE), clients=clients) is None
