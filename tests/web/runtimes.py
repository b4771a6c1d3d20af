"""Where the browser's modules run for a test: in a page of Chromium, or in Node beside other packages.

Each performs operations of ``scripts/operations.js``: a function by its path, as in ``epoch.findSlot``. Bytes
cross as base64; what a test has to hold without seeing it, such as a key, stays there under a name.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from tests.chromium import Page

SCRIPTS = Path(__file__).parent / "scripts"
MAX_LINE = 64 << 20

PREPARE = """
globalThis.ready = (async () => {
  const { answer, operations } = await import("/scripts/operations.js");
  const perform = await operations("/app/e2ee");
  globalThis.operate = (path, args, holdAs) => answer(perform, path, args, holdAs);
})()
"""


class Refused(Exception):
    """The operation threw; ``kind`` is the name that our own errors carry."""

    def __init__(self, text: str, kind: str | None) -> None:
        super().__init__(text)
        self.kind = kind


class Held(NamedTuple):
    """In place of an argument: what stays there under this name, or a part: ``pair.privateKey``."""

    name: str


class Runtime(Protocol):
    """Something that performs operations."""

    async def call(self, path: str, *args: Any, hold: str | None = None) -> Any:
        """The result of an operation, kept there under the name ``hold``; :exc:`Refused` when it threw."""


class InChromium:
    """The modules in a page, on WebCrypto's own ML-KEM."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def prepare(self) -> None:
        """Load the modules."""
        await self._page.evaluate(PREPARE)

    async def call(self, path: str, *args: Any, hold: str | None = None) -> Any:
        """See :class:`Runtime`."""
        given = ", ".join(map(json.dumps, (path, _packed(args), hold)))
        return _outcome(await self._page.evaluate(f"operate({given})"))


class InNode:
    """One side of a Node process: our modules, or the packages."""

    def __init__(self, process: asyncio.subprocess.Process, side: str, turn: asyncio.Lock) -> None:
        self._process = process
        self._side = side
        self._turn = turn

    async def call(self, path: str, *args: Any, hold: str | None = None) -> Any:
        """See :class:`Runtime`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = json.dumps([self._side, path, _packed(args), hold]).encode() + b"\n"
        async with self._turn:
            self._process.stdin.write(line)
            await self._process.stdin.drain()
            answer = await self._process.stdout.readline()
        if not answer:
            raise AssertionError("Node ended; are its packages installed? `make test` does that")
        return _outcome(answer)


@contextlib.asynccontextmanager
async def node() -> AsyncIterator[tuple[InNode, InNode]]:
    """A Node process: our modules, and the packages alone."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(SCRIPTS / "node.js"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=MAX_LINE,
    )
    turn = asyncio.Lock()
    try:
        yield InNode(process, "ours", turn), InNode(process, "theirs", turn)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _packed(args: Any) -> str:
    return json.dumps(_with_base64(args))


def _with_base64(value: Any) -> Any:
    match value:
        case Held(name):
            return {"$held": name}
        case bytes():
            return {"$bytes": base64.b64encode(value).decode()}
        case dict():
            return {key: _with_base64(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_with_base64(inner) for inner in value]
        case _:
            return value


def _outcome(text: str | bytes) -> Any:
    outcome = json.loads(text, object_hook=_bytes)
    if "error" in outcome:
        raise Refused(outcome["error"], outcome["kind"])
    return outcome.get("value")


def _bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["$bytes"]) if value.keys() == {"$bytes"} else value
