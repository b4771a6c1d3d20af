"""Being rung by a push service: what is asked of the server, and what a person sees when it rings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.chromium import Chromium
from tests.web.scripted import ScriptedServer

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

# In the page: a worker that is there, and runs.
REGISTER = """
(async () => {
  await navigator.serviceWorker.register("/app/doorbell.js?title=A%20message");
  const { active } = await navigator.serviceWorker.ready;
  while (active.state !== "activated") await new Promise((resolve) => (active.onstatechange = resolve));
})()
"""

PAUSE = "new Promise((resolve) => setTimeout(resolve, 100))"

NOTICES = """
navigator.serviceWorker.ready
  .then((registration) => registration.getNotifications())
  .then((notices) => notices.map(({ title, tag }) => [title, tag]))
"""

# In the page: a push service, which a browser of a test has none of, and what the server is asked.
SUBSCRIBE = """
(async () => {
  const push = await import("/app/push.js");
  const plain = (text) => atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = (text) => Uint8Array.from(plain(text), (character) => character.charCodeAt(0));
  globalThis.log = [];
  let subscription = null;
  PushManager.prototype.getSubscription = async () => subscription;
  PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
    subscription ??= {
      endpoint: `https://push.example/${log.length}`,
      options: { applicationServerKey: bytes(applicationServerKey).buffer },
      unsubscribe: async () => void (subscription = null, log.push("unsubscribed")),
    };
    log.push(userVisibleOnly);
    return subscription;
  };
  let key = "-_8B";
  const request = async (op, fields) => {
    log.push([op, fields?.endpoint ?? null]);
    return op === "push.get" ? { key } : {};
  };
  await push.subscribe(request, "/app/doorbell.js");
  await push.subscribe(request, "/app/doorbell.js");
  key = "BB__";
  await push.subscribe(request, "/app/doorbell.js");
  await push.unsubscribe(request);
  return log;
})()
"""


async def test_a_ring_is_one_notice_without_content(browser: Chromium, server: ScriptedServer) -> None:
    page = await browser.page(f"{server.url}/app/index.html")
    granted = {"origin": server.url, "permissions": ["notifications"], "browserContextId": page.context}
    await page.command("Browser.grantPermissions", **granted)
    known: asyncio.Queue[str] = asyncio.Queue()

    def take(method: str, params: dict[str, Any]) -> None:
        if method == "ServiceWorker.workerRegistrationUpdated":
            for registration in params["registrations"]:
                if registration["scopeURL"] == f"{server.url}/app/" and not registration["isDeleted"]:
                    known.put_nowait(registration["registrationId"])

    session = await page.beside(take)
    await session("ServiceWorker.enable")
    await page.evaluate(REGISTER)
    number = await asyncio.wait_for(known.get(), 60)
    ring = {"origin": server.url, "registrationId": number, "data": ""}
    async with asyncio.timeout(60):
        # A browser that is not done with the registration drops a push: it is rung again, as a server does.
        while not await page.evaluate(f"{PAUSE}.then(() => {NOTICES.strip()})"):
            await session("ServiceWorker.deliverPushMessage", **ring)
    await session("ServiceWorker.deliverPushMessage", **ring)
    assert await page.evaluate(NOTICES) == [["A message", "doorbell"]]
    assert page.problems == []


async def test_the_server_learns_the_subscription_of_its_key(
    browser: Chromium, server: ScriptedServer
) -> None:
    page = await browser.page(f"{server.url}/app/index.html")
    first, second = "https://push.example/1", "https://push.example/8"
    assert await page.evaluate(SUBSCRIBE) == [
        ["push.get", None],
        True,
        ["push.set", first],
        ["push.get", None],
        True,
        ["push.set", first],
        ["push.get", None],
        "unsubscribed",
        True,
        ["push.set", second],
        "unsubscribed",
        ["push.clear", None],
    ]
    assert page.problems == []
