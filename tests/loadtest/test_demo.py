"""The demonstration, from the command line to the verdict."""

from __future__ import annotations

import asyncio
import io
import json
import signal

import pytest

from loadtest import demo
from tests.loadtest.processes import output_of, rapport, until_printed


async def test_the_demonstration_observes_everything() -> None:
    async with asyncio.timeout(90), rapport("demo") as process:
        *transcript, last = (await output_of(process)).splitlines()
    verdict = json.loads(last)
    assert verdict["result"] == "ok", "\n".join(transcript)
    assert process.returncode == 0
    for who in ("therapist", "client"):
        assert verdict[who]["pictures"] >= 60
        assert verdict[who]["audio_seconds"] > 5
        assert verdict[who]["messages"] == verdict["messages"] == 8
        assert verdict[who]["messages_doubled"] == verdict[who]["messages_undecryptable"] == 0
        assert verdict[who]["end_reason"] == "completed"
    assert verdict["client"]["connections"] == 2
    assert verdict["messages_readable_in_the_database"] == 0
    assert verdict["worksheet_arrived"]
    assert not verdict["worksheet_readable_on_the_server"]
    found = "finds 0 of the 7 messages readable in it, and nothing of the worksheet"
    assert any(found in line for line in transcript)
    assert any("is cut off" in line for line in transcript)


async def test_ctrl_c_ends_it_and_its_server() -> None:
    async with asyncio.timeout(60), rapport("demo") as process:
        ready = await until_printed(process, "is ready at")
        process.send_signal(signal.SIGINT)
        await process.wait()
    assert process.returncode == 130
    port = int(ready.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_without_a_server_it_fails_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.private_server.sys.executable", "false")
    out = io.StringIO()
    assert await demo.show(out) == 1
    verdict = json.loads(out.getvalue().splitlines()[-1])
    assert verdict["result"] == "failed"
    assert verdict["stopped_by"] == "no_server"
    assert "stops here: the server stopped at its start" in out.getvalue()
