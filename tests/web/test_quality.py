"""When a link counts as too weak for the picture."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.chromium import Page

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives


def report(received: int, lost: int = 0, *, there: float = 0.0, bitrate: int = 2_000_000) -> dict[str, Any]:
    """What a peer connection tells, in the parts that are looked at."""
    return {
        "in": {"type": "inbound-rtp", "packetsReceived": received, "packetsLost": lost},
        "there": {"type": "remote-inbound-rtp", "fractionLost": there},
        "pair": {"type": "candidate-pair", "nominated": True, "availableOutgoingBitrate": bitrate},
    }


async def judged(page: Page, *reports: dict[str, Any] | None) -> list[bool]:
    """What one judge says to these reports; None is a look at a link that is not there."""
    judgements: list[bool] = await page.evaluate(
        f"""import("/app/quality.js").then(({{ LinkJudge }}) => {{
            const judge = new LinkJudge();
            const asMap = (report) => report && new Map(Object.entries(report));
            return {json.dumps(reports)}.map((report) => judge.judge(asMap(report)));
        }})"""
    )
    return judgements


async def test_a_good_link_is_left_alone(page: Page) -> None:
    assert await judged(page, *(report(100 * i, i) for i in range(8))) == [False] * 8


@pytest.mark.parametrize(
    "reports",
    [
        [report(100 * i, 20 * i) for i in range(6)],
        [report(100 * i, there=0.2) for i in range(6)],
        [report(100 * i, bitrate=60_000) for i in range(6)],
    ],
    ids=["lost here", "lost there", "too narrow"],
)
async def test_a_weak_link_is_told_once_when_it_lasts(page: Page, reports: list[dict[str, Any]]) -> None:
    assert await judged(page, *reports) == [False, False, False, True, False, False]


async def test_a_passing_trouble_is_not_told(page: Page) -> None:
    weak, good = [report(100, 0), report(150, 50), report(200, 100)], [report(300, 100), report(350, 150)]
    assert not any(await judged(page, *weak, *good, report(400, 200)))


async def test_a_new_connection_begins_anew(page: Page) -> None:
    # A peer connection that was replaced counts from zero: that is no loss.
    assert not any(await judged(page, report(900, 300), None, report(10), report(200), report(400)))
