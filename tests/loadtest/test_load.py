"""Whole load tests against a real server: what holds, what fails, and what is reported."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loadtest.private_server import private_server
from loadtest.target import Target
from tests.loadtest.processes import load_test, output_of, until_printed


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    async with private_server({"RAPPORT_SESSIONS_MIN_MINUTES": "0.05"}) as target:
        yield target


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "report.json"


def read(file: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(file.read_text())
    return document


async def test_video_sessions(target: Target, file: Path) -> None:
    arguments = ("--sessions", "3", "--duration", "4", "--rate", "2", "--report", str(file))
    async with asyncio.timeout(90), load_test(target, *arguments) as process:
        output = await output_of(process)
    assert process.returncode == 0, output
    report = read(file)
    assert (report["asked"], report["held"], report["reasons"]) == (3, 3, {})
    assert report["join"]["count"] == report["first_media"]["count"] == 6
    assert 0 < report["first_media"]["p50_ms"] <= report["first_media"]["p99_ms"]
    assert report["chat_round_trip"]["count"] >= 3
    assert report["packets_received"] > 300
    assert report["file_upload"]["count"] == 0
    assert "asked 3, held 3, failed 0" in output


async def test_audio_sessions_that_the_clock_ends(target: Target, file: Path) -> None:
    arguments = ("--modality", "audio", "--duration", "5", "--length", "5", "--report", str(file))
    async with asyncio.timeout(60), load_test(target, *arguments) as process:
        output = await output_of(process)
    assert process.returncode == 0, output
    assert read(file)["first_media"]["count"] == 2


async def test_fifty_chat_sessions(target: Target, file: Path) -> None:
    arguments = ("--modality", "chat", "--sessions", "50", "--duration", "4", "--rate", "25")
    async with asyncio.timeout(90), load_test(target, *arguments, "--report", str(file)) as process:
        output = await output_of(process)
    assert process.returncode == 0, output
    report = read(file)
    assert (report["held"], report["packets_received"]) == (50, 0)
    questions = report["chat_round_trip"]["count"]
    assert questions >= 50
    # Each of them was opened by both, its answer at least by who had asked.
    assert 3 * questions <= report["messages_opened"] <= 4 * questions
    assert report["undecryptable"] == 0
    assert "undecryptable 0" in output


async def test_chat_sessions_with_files(target: Target, file: Path) -> None:
    arguments = ("--modality", "chat", "--sessions", "4", "--duration", "2", "--rate", "9")
    more = ("--file-bytes", "200000", "--report", str(file))
    async with asyncio.timeout(90), load_test(target, *arguments, *more) as process:
        output = await output_of(process)
    assert process.returncode == 0, output
    report = read(file)
    assert report["held"] == 4
    assert report["file_upload"]["count"] == report["file_download"]["count"] >= 4
    assert 0 < report["file_upload"]["p50_ms"] <= report["file_upload"]["p99_ms"]
    assert "File download" in output


async def test_sessions_that_are_refused_fail_by_the_name_of_the_error(target: Target, file: Path) -> None:
    wrong = replace(target, secret="w" * 32)
    async with load_test(wrong, "--sessions", "2", "--rate", "9", "--report", str(file)) as process:
        output = await output_of(process)
    assert process.returncode == 1
    assert read(file)["reasons"] == {"token_signature": 2}
    assert "token_signature" in output


async def test_an_interrupted_run_reports_what_there_is(target: Target, file: Path) -> None:
    arguments = ("--modality", "chat", "--sessions", "90", "--duration", "60", "--rate", "1")
    async with asyncio.timeout(60), load_test(target, *arguments, "--report", str(file)) as process:
        await until_printed(process, "begun")
        process.send_signal(signal.SIGINT)
        output = await output_of(process)
    assert process.returncode == 130
    report = read(file)
    assert report["reasons"].keys() == {"interrupted", "not_begun"}
    assert sum(report["reasons"].values()) == report["failed"] == 90
    assert report["chat_round_trip"]["count"] > 0
    assert "interrupted" in output


async def test_sessions_whose_server_goes_away_fail(file: Path) -> None:
    arguments = ("--modality", "chat", "--sessions", "2", "--rate", "9", "--duration", "60")
    async with asyncio.timeout(90), AsyncExitStack() as stack:
        async with private_server() as target:
            running = load_test(target, *arguments, "--report", str(file))
            process = await stack.enter_async_context(running)
            await until_printed(process, "begun 2")
        output = await output_of(process)
    assert process.returncode == 1, output
    assert read(file)["held"] == 0
