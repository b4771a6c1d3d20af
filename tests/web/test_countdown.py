"""The browser's countdown: from the server's clock, whatever the device's own clock and the network do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chromium import Page

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives


async def run(page: Page, script: str) -> Any:
    """The value of a script that has the module as `clock` and a clock of its own to turn, `elapsed`."""
    return await page.evaluate(
        f"""(async () => {{
            const clock = await import("/app/clock.js");
            let elapsed = 0;
            const server = new clock.ServerClock(() => elapsed);
            {script}
        }})()"""
    )


async def test_it_runs_on_from_what_the_server_said(page: Page) -> None:
    script = (
        "server.sync(5000); elapsed = 1500; return [server.now(), server.until(9000), server.until(6000)];"
    )
    assert await run(page, script) == [6500, 2500, 0]


async def test_the_reading_with_the_shortest_way_counts(page: Page) -> None:
    # The second was under way 300 ms longer than the first, the third 100 ms shorter.
    script = """
        server.sync(5000);
        elapsed = 1000; server.sync(5700); const late = server.now();
        elapsed = 2000; server.sync(7100); return [late, server.now()];"""
    assert await run(page, script) == [6000, 7100]


async def test_a_step_of_the_servers_clock_is_followed_either_way(page: Page) -> None:
    script = "server.sync(50_000); server.sync(20_000); const back = server.now(); server.sync(90_000);"
    assert await run(page, script + " return [back, server.now()];") == [20_000, 90_000]


@pytest.mark.parametrize(
    ("left", "exact", "rounded"),
    [
        (0, "0:00", "less than a minute"),
        (1, "0:01", "less than a minute"),
        (60_000, "1:00", "less than a minute"),
        (60_001, "1:01", "2 minutes"),
        (2_999_001, "50:00", "50 minutes"),
        (3_600_000, "60:00", "60 minutes"),
    ],
)
async def test_time_left_in_words(page: Page, left: int, exact: str, rounded: str) -> None:
    assert await run(page, f"return [clock.exactTime({left}), clock.roundTime({left})];") == [exact, rounded]
