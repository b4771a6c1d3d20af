"""What these tests share: a browser, whose pages are strangers to each other, a Node, a scripted server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chromium import Chromium, Page
from tests.web.runtimes import InChromium, InNode, Runtime, node
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


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def node_sides() -> AsyncIterator[tuple[InNode, InNode]]:
    """One Node for the package: our modules, and other people's packages."""
    async with node() as sides:
        yield sides


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def chromium_modules(browser: Chromium) -> AsyncIterator[InChromium]:
    """Our modules in one page for the package; it must end without problems."""
    async with ScriptedServer() as scripted:
        page = await browser.page(f"{scripted.url}/blank")
        runtime = InChromium(page)
        await runtime.prepare()
        yield runtime
        await page.close()
        assert page.problems == []


@pytest_asyncio.fixture(params=["chromium", "node"], loop_scope="package")
async def ours(
    request: pytest.FixtureRequest, chromium_modules: InChromium, node_sides: tuple[InNode, InNode]
) -> Runtime:
    """Our modules, in each of the two places."""
    return chromium_modules if request.param == "chromium" else node_sides[0]


@pytest_asyncio.fixture(loop_scope="package")
async def theirs(node_sides: tuple[InNode, InNode]) -> Runtime:
    """Packages that have nothing of ours."""
    return node_sides[1]
