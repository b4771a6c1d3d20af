"""Being rung by a push service: what is asked of the server, and what a person sees when it rings."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.chromium import Chromium
from tests.web.scripted import ScriptedServer

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

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
    registrations: asyncio.Queue[str] = asyncio.Queue()

    def take(method: str, params: dict[str, Any]) -> None:
        if method == "ServiceWorker.workerRegistrationUpdated":
            for registration in params["registrations"]:
                registrations.put_nowait(registration["registrationId"])

    session = await page.beside(take)
    await session("ServiceWorker.enable")
    address = "/app/doorbell.js?title=A%20message"
    await page.evaluate(f"navigator.serviceWorker.register({json.dumps(address)}).then(() => null)")
    await page.evaluate("navigator.serviceWorker.ready.then(() => null)")
    number = await asyncio.wait_for(registrations.get(), 60)
    for _ in range(2):
        await session("ServiceWorker.deliverPushMessage", origin=server.url, registrationId=number, data="")
    await page.until(f"{NOTICES.strip()}.then((notices) => notices.length > 0)")
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
