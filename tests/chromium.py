"""A headless Chromium for tests, driven over the DevTools protocol; needs nothing but the browser itself.

    async with Chromium() as browser:
        page = await browser.page("http://127.0.0.1:8080/")
        await page.click("#join")
        await page.until("document.title === 'In session'")
        await page.screenshot(Path("build/screenshots/joined.png"))

Camera and microphone are Chromium's fakes: a moving picture, and a beep once a second. Every page lives
in a browser context of its own, as if it were on another computer, unless it is opened beside another.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ctypes
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

FLAGS = (
    "--headless",
    "--no-sandbox",  # tests also run as root, in containers, where the sandbox cannot be set up
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    # Several pages are watched at once, and only one can be in front.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--remote-debugging-port=0",
)

Handler = Callable[[str, dict[str, Any]], None]


class PageError(Exception):
    """JavaScript threw, a condition did not come true in time, or the browser refused a command."""


class DevTools:
    """One DevTools connection: commands and their replies by id, events to the session they belong to."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._handlers: dict[str, Handler] = {}
        self._last_id = 0
        self._reader = asyncio.create_task(self._read())

    def listen(self, session: str, handler: Handler) -> None:
        """Give ``handler(method, params)`` the events of a session."""
        self._handlers[session] = handler

    async def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of one command; :exc:`PageError` when the browser refuses it."""
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        reply = self._replies[self._last_id] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps(message))
        result: dict[str, Any] = await reply
        return result

    async def close(self) -> None:
        """Close the connection; commands that are still open fail."""
        await self._socket.close()
        await self._reader

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._answer(message)
            elif handler := self._handlers.get(message.get("sessionId", "")):
                handler(message["method"], message["params"])
        for reply in self._replies.values():
            reply.set_exception(PageError("the browser is gone"))

    def _answer(self, message: dict[str, Any]) -> None:
        reply = self._replies.pop(message["id"])
        if reply.cancelled():
            return
        if "error" in message:
            reply.set_exception(PageError(message["error"]["message"]))
        else:
            reply.set_result(message["result"])


class Page:
    """One tab. ``problems`` collects uncaught exceptions and console errors; a test holds it empty."""

    def __init__(self, devtools: DevTools, session: str, target: str, context: str) -> None:
        self._devtools = devtools
        self._session = session
        self._target = target
        self._loaded = asyncio.Event()
        self.context = context
        self.problems: list[str] = []
        devtools.listen(session, self._on_event)

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Any command of the DevTools protocol, for what has no method here."""
        return await self._devtools.call(method, self._session, **params)

    async def beside(self, handler: Handler) -> Callable[..., Awaitable[dict[str, Any]]]:
        """Commands of a second session with this page, whose events go to ``handler``."""
        attached = await self._devtools.call("Target.attachToTarget", targetId=self._target, flatten=True)
        session: str = attached["sessionId"]
        self._devtools.listen(session, handler)
        return partial(self._devtools.call, session=session)

    async def go(self, url: str) -> None:
        """Load ``url`` and wait for its ``load`` event."""
        self._loaded.clear()
        result = await self.command("Page.navigate", url=url)
        if "errorText" in result:
            raise PageError(f"{url.partition('#')[0]}: {result['errorText']}")
        if "loaderId" in result:  # otherwise only the fragment changed, and nothing is loaded
            await self._loaded.wait()

    async def reload(self) -> None:
        """Load the page again, as a person would."""
        self._loaded.clear()
        await self.command("Page.reload")
        await self._loaded.wait()

    async def evaluate(self, script: str, *, await_promise: bool = True) -> Any:
        """The JSON value of a JavaScript expression; promises are awaited. :exc:`PageError` if it throws."""
        options = {"awaitPromise": await_promise, "returnByValue": True, "userGesture": True}
        result = await self.command("Runtime.evaluate", expression=script, **options)
        if "exceptionDetails" in result:
            raise PageError(_exception_text(result["exceptionDetails"]))
        return result["result"].get("value")

    async def until(self, condition: str, *, seconds: float = 60.0) -> Any:
        """The first truthy value of ``condition``, looked at again and again; :exc:`PageError` if none comes.

        ``condition`` is a JavaScript expression, and may be a promise.
        """
        script = f"""(async () => {{
            const deadline = performance.now() + {seconds * 1000};
            for (;;) {{
                const value = await ({condition});
                if (value || performance.now() > deadline) return {{ met: Boolean(value), value }};
                await new Promise((resolve) => setTimeout(resolve, 25));
            }}
        }})()"""
        outcome = await self.evaluate(script)
        if outcome["met"]:
            return outcome.get("value")
        raise PageError(f"not true within {seconds} s: {condition}")

    async def text(self, selector: str) -> str:
        """What a person reads in an element: hidden parts are left out."""
        text = await self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")
        return str(text)

    async def click(self, selector: str) -> None:
        """Press the middle of an element with the mouse; :exc:`PageError` if it cannot be pressed."""
        quoted = json.dumps(selector)
        point = await self.evaluate(
            f"""(() => {{
                const element = document.querySelector({quoted});
                if (!element) throw new Error("nothing matches " + {quoted});
                element.scrollIntoView({{ block: "nearest", behavior: "instant" }});
                const box = element.getBoundingClientRect();
                const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                const top = document.elementFromPoint(x, y);
                if (!element.contains(top)) throw new Error({quoted} + " is hidden or covered");
                return {{ x, y }};
            }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            await self.command("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **point)

    async def type(self, text: str) -> None:
        """Type into whatever has the focus."""
        await self.command("Input.insertText", text=text)

    async def press(self, key: str, code: int) -> None:
        """Press one key, given its name and its Windows key code (``"Enter", 13``)."""
        text = {"text": "\r"} if key == "Enter" else {"text": " "} if key == " " else {}
        for kind in ("keyDown", "keyUp"):
            await self.command(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text
            )

    async def viewport(self, width: int, height: int, *, dark: bool = False, mobile: bool = False) -> None:
        """The size of the page in CSS pixels, and the colours its reader prefers."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        await self.command("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.command("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, path: Path) -> None:
        """Write what is to be seen as a PNG; folders on the way are made."""
        image = await self.command("Page.captureScreenshot", format="png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(image["data"]))

    async def before_load(self, script: str) -> None:
        """Run ``script`` in every document of this page before the document's own scripts."""
        await self.command("Page.addScriptToEvaluateOnNewDocument", source=script)

    async def close(self) -> None:
        """Close the tab, as a person would."""
        await self._devtools.call("Target.closeTarget", targetId=self._target)

    def _on_event(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Runtime.exceptionThrown":
                self.problems.append(_exception_text(params["exceptionDetails"]))
            case "Log.entryAdded" if params["entry"]["level"] == "error":
                self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}".strip())
            case "Runtime.consoleAPICalled" if params["type"] in {"error", "assert"}:
                words = (str(arg.get("value", arg.get("description"))) for arg in params["args"])
                self.problems.append(" ".join(words))


class Chromium:
    """A browser process with a new, empty profile. Closing it ends the process and removes the profile."""

    def __init__(self, *extra_flags: str) -> None:
        self._flags = (*FLAGS, *extra_flags)
        self._profile: tempfile.TemporaryDirectory[str] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._devtools: DevTools | None = None

    async def __aenter__(self) -> Self:
        self._profile = tempfile.TemporaryDirectory(prefix="rapport-chromium-", ignore_cleanup_errors=True)
        self._process = await asyncio.create_subprocess_exec(
            _executable(),
            *self._flags,
            f"--user-data-dir={self._profile.name}",
            "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # its helpers form a group that is ended as one
            preexec_fn=_end_with_parent,
        )
        try:
            address = await self._address(Path(self._profile.name) / "DevToolsActivePort")
            # Screenshots come in one message.
            self._devtools = DevTools(await connect(address, max_size=64 << 20, compression=None, proxy=None))
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._devtools is not None:
            await self._devtools.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
        if self._profile is not None:
            self._profile.cleanup()

    async def page(
        self, url: str = "about:blank", *, before_load: str = "", beside: Page | None = None
    ) -> Page:
        """A new tab with ``url`` loaded: a stranger to all others, or with the storage of ``beside``."""
        devtools = self._running()
        if beside is None:
            context = (await devtools.call("Target.createBrowserContext"))["browserContextId"]
        else:
            context = beside.context
        window = {"browserContextId": context, "newWindow": True, "width": 1280, "height": 800}
        target = (await devtools.call("Target.createTarget", url="about:blank", **window))["targetId"]
        attached = await devtools.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(devtools, attached["sessionId"], target, context)
        for domain in ("Page", "Runtime", "Log"):
            await page.command(f"{domain}.enable")
        if before_load:
            await page.before_load(before_load)
        if url != "about:blank":
            await page.go(url)
        return page

    def _running(self) -> DevTools:
        if self._devtools is None:
            raise RuntimeError("use the browser inside its `async with`")
        return self._devtools

    async def _address(self, port_file: Path) -> str:
        """Where DevTools listens; Chromium writes its port and path into the profile once it does."""
        assert self._process is not None
        for _ in range(1200):
            if self._process.returncode is not None:
                raise PageError(f"the browser exited at once with code {self._process.returncode}")
            lines = port_file.read_text().split() if port_file.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            await asyncio.sleep(0.025)
        raise PageError("the browser did not open its DevTools port within 30 s")


def _end_with_parent() -> None:
    """In the new process: be killed when the tests are, so that no browser is ever left behind."""
    pr_set_pdeathsig = 1  # linux/prctl.h
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _executable() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    raise PageError("no Chromium on PATH: `make test` installs it on Debian")


def _exception_text(details: dict[str, Any]) -> str:
    thrown = details.get("exception", {})
    return str(thrown.get("description") or thrown.get("value") or details["text"])
