"""What keeps a server from starting is told in one line, with an exit status; nobody else is disturbed."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.faults.processes import Server, server


async def refuses_to_start(one: Server, *expected: str) -> None:
    process = await one.spawn()
    out, err = await process.communicate()
    assert process.returncode == 1
    assert out == b""
    (line,) = err.decode().splitlines()
    assert line.startswith("rapport: ")
    for text in expected:
        assert text in line


async def test_a_port_in_use(tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    async with server(tmp_path) as first:
        port = first.url.rpartition(":")[2]
        await refuses_to_start(Server(second, SERVER_PORT=port), f"port {port}", "Address already in use")
        assert await first.ask("GET", "/v1/rooms") == {"items": []}


async def test_a_store_in_use(tmp_path: Path) -> None:
    async with server(tmp_path) as first:
        await refuses_to_start(Server(tmp_path), "rapport.db", "another process")
        assert await first.ask("GET", "/v1/rooms") == {"items": []}


async def test_a_media_port_in_use(tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        process = await Server(second, MEDIA_PORT=str(port)).spawn()
        _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode().splitlines()[-1].startswith("rapport: the media workers do not start")
    assert "Traceback" not in err.decode()


@pytest.mark.parametrize("content", [b"this is not a database", b"SQLite format 3\x00" + b"\xff" * 200])
async def test_a_store_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rapport.db").write_bytes(content)
    await refuses_to_start(Server(tmp_path), "rapport.db", "cannot be used")
    assert (tmp_path / "rapport.db").read_bytes() == content
