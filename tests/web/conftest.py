"""The browser these tests share, in which every page is a stranger to the others, and the scripted server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.chromium import Chromium, Page
from tests.web.scripted import ScriptedServer


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def browser() -> AsyncIterator[Chromium]:
    """One browser for the package: starting one takes longer than most of these tests."""
    async with Chromium() as chromium:
        yield chromium


@pytest_asyncio.fixture(loop_scope="package")
async def server() -> AsyncIterator[ScriptedServer]:
    """A scripted server."""
    async with ScriptedServer() as scripted:
        yield scripted


@pytest_asyncio.fixture(loop_scope="package")
async def page(browser: Chromium, server: ScriptedServer) -> AsyncIterator[Page]:
    """An empty page of the scripted server, to import modules from; it must end without problems."""
    blank = await browser.page(f"{server.url}/blank")
    yield blank
    await blank.close()
    assert blank.problems == []
