"""Bytes that are no HTTP: a problem document that quotes nothing, a closed connection, and no log line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from signaling.node import Node
from tests.signaling.nodes import running_node, settings
from tests.signaling.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="module")

GARBAGE = {
    "version": "GET /canary HTTP/9.9\r\n\r\n",
    "method": "canary\r\n\r\n",
    "header": "GET / HTTP/1.1\r\nHost: x\r\ncanary\r\n\r\n",
    "length": "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: canary\r\n\r\n",
    "chunk": "POST /v1/rooms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n",
    "long_line": f"GET /{'canary' * 3000} HTTP/1.1\r\n\r\n",
    "long_header": f"GET / HTTP/1.1\r\nHost: x\r\nX-A: {'canary' * 3000}\r\n\r\n",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Node]:
    async with running_node(settings(tmp_path_factory.mktemp("node"))) as node:
        yield node


async def talk(node: Node, text: str) -> tuple[bytes, bytes]:
    """The head and the body of what comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(node.url.rpartition(":")[2]))
    async with asyncio.timeout(PATIENCE_SECONDS):
        writer.write(text.encode())
        answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize("what", GARBAGE)
async def test_what_is_no_http_gets_a_problem_document_that_quotes_nothing(node: Node, what: str) -> None:
    with capture_logs() as logs:
        head, body = await talk(node, GARBAGE[what])
    assert head.split()[1] == b"400"
    assert b"Content-Type: application/problem+json" in head
    assert b"aiohttp" not in head
    problem = json.loads(body)
    assert (problem["status"], problem["name"]) == (400, "malformed")
    assert b"canary" not in head + body
    assert logs == []


async def test_the_next_one_is_served(node: Node) -> None:
    for text in GARBAGE.values():
        await talk(node, text)
    head, body = await talk(node, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.split()[1] == b"200", body
