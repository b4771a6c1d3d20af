"""One tab leads and works for the others; the next one takes over when it goes."""

from __future__ import annotations

import pytest

from tests.chromium import Chromium, Page
from tests.web.scripted import ScriptedServer

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

SECONDS = 60

# In the page: a leader that says who it is, notes what it is asked, and answers only when it likes.
HARNESS = """
globalThis.ready = (async () => {
  const { Tabs, LeaderLost } = await import("/app/tabs.js");
  globalThis.news = [];
  globalThis.asked = [];
  globalThis.join = (me) => {
    const lead = (tell) => ({
      who: () => me,
      add: (one, other) => { asked.push([one, other]); return one + other; },
      tell: (text) => tell(`${me}: ${text}`),
      never: () => { asked.push("never"); return new Promise(() => {}); },
      fail: () => { throw Object.assign(new Error("no"), { kind: "forbidden", temporary: false }); },
    });
    globalThis.tabs = new Tabs("work", lead, { told: (text) => news.push(text) });
  };
  globalThis.outcome = async (method, ...args) => {
    try { return await tabs.ask(method, ...args); } catch (error) {
      return [error instanceof LeaderLost, error.kind ?? null, error.message];
    }
  };
})()
"""


async def tab(browser: Chromium, server: ScriptedServer, name: str, beside: Page | None = None) -> Page:
    page = await browser.page(f"{server.url}/blank", beside=beside)
    await page.evaluate(HARNESS)
    await page.evaluate(f"join('{name}')")
    return page


async def test_the_first_tab_works_for_all(browser: Chromium, server: ScriptedServer) -> None:
    one = await tab(browser, server, "one")
    await one.until("tabs.leads", seconds=SECONDS)
    two = await tab(browser, server, "two", beside=one)
    three = await tab(browser, server, "three", beside=one)
    for page in (one, two, three):
        assert await page.evaluate("tabs.ask('who')") == "one"
        assert await page.evaluate("outcome('fail')") == [False, "forbidden", "no"]
    assert await two.evaluate("Promise.all([1, 2, 3].map((n) => tabs.ask('add', n, 1)))") == [2, 3, 4]
    assert await one.evaluate("asked") == [[1, 1], [2, 1], [3, 1]]
    await three.evaluate("tabs.ask('tell', 'hello')")
    for page in (one, two, three):
        await page.until("news.join() === 'one: hello'", seconds=SECONDS)
        assert page.problems == []
        await page.close()


@pytest.mark.parametrize("how", ["closed", "left"])
async def test_the_next_tab_takes_over(browser: Chromium, server: ScriptedServer, how: str) -> None:
    one = await tab(browser, server, "one")
    await one.until("tabs.leads", seconds=SECONDS)
    two = await tab(browser, server, "two", beside=one)
    three = await tab(browser, server, "three", beside=one)
    await two.evaluate("globalThis.lost = outcome('never'), null")
    await one.until("asked.length === 1", seconds=SECONDS)
    if how == "closed":
        await one.close()
    else:
        await one.evaluate("tabs.close()")
    # What the old leader had taken is lost; what is asked from now on is done by the next one, once.
    assert await two.evaluate("lost") == [True, None, "the leading tab is gone"]
    leaders = [await page.evaluate("tabs.ask('who')") for page in (two, three)]
    assert leaders in (["two", "two"], ["three", "three"])
    assert await two.evaluate("tabs.ask('add', 2, 2)") == 4
    assert await three.evaluate("tabs.ask('add', 3, 3)") == 6
    assert await two.evaluate("asked.length") + await three.evaluate("asked.length") == 2
    for page in (two, three):
        assert page.problems == []
        await page.close()


async def test_what_is_asked_while_nobody_leads_waits(browser: Chromium, server: ScriptedServer) -> None:
    one = await browser.page(f"{server.url}/blank")
    await one.evaluate(
        "new Promise((got) => navigator.locks.request('rapport work', () => { got(); "
        "return new Promise((free) => { globalThis.free = free; }); }))"
    )
    two = await tab(browser, server, "two", beside=one)
    three = await tab(browser, server, "three", beside=one)
    await two.evaluate("globalThis.first = tabs.ask('add', 1, 1), null")
    await three.evaluate("globalThis.second = tabs.ask('add', 2, 2), null")
    await one.evaluate("free()")
    assert await two.evaluate("first") == 2
    assert await three.evaluate("second") == 4
    assert await two.evaluate("asked.length") + await three.evaluate("asked.length") == 2
    for page in (one, two, three):
        assert page.problems == []
        await page.close()
