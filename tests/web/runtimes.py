"""Where the browser's modules run for a test: in a page of Chromium, or in Node beside other packages.

Each performs operations of ``scripts/operations.js`` by name; bytes cross as base64.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

from tests.chromium import Page

SCRIPTS = Path(__file__).parent / "scripts"
MAX_LINE = 64 << 20

PREPARE = """
globalThis.ready = (async () => {
  const { answer, operations } = await import("/scripts/operations.js");
  const perform = await operations("/app/e2ee");
  globalThis.operate = (name, args) => answer(perform, name, args);
})()
"""


class Refused(Exception):
    """The operation threw; ``kind`` is the name that our own errors carry."""

    def __init__(self, text: str, kind: str | None) -> None:
        super().__init__(text)
        self.kind = kind


class Runtime(Protocol):
    """Something that performs operations."""

    async def call(self, name: str, *args: Any) -> Any:
        """The result of an operation; :exc:`Refused` when it threw."""


class InChromium:
    """The modules in a page, on WebCrypto's own ML-KEM."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def prepare(self) -> None:
        """Load the modules."""
        await self._page.evaluate(PREPARE)

    async def call(self, name: str, *args: Any) -> Any:
        """See :class:`Runtime`."""
        script = f"operate({json.dumps(name)}, {json.dumps(_packed(args))})"
        return _outcome(await self._page.evaluate(script))


class InNode:
    """One side of a Node process: our modules, or the packages."""

    def __init__(self, process: asyncio.subprocess.Process, side: str, turn: asyncio.Lock) -> None:
        self._process = process
        self._side = side
        self._turn = turn

    async def call(self, name: str, *args: Any) -> Any:
        """See :class:`Runtime`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps([self._side, name, _packed(args)]).encode() + b"\n")
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        if not line:
            raise AssertionError("Node ended; are its packages installed? `make test` does that")
        return _outcome(line)


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
