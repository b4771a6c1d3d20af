"""Runs ``rapport`` as a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loadtest.target import Target


@asynccontextmanager
async def rapport(*arguments: str, secret: str = "") -> AsyncIterator[Process]:
    """``rapport`` with these arguments, its output to be read; killed if it still runs at the end."""
    command = (sys.executable, "-m", "signaling.cli", *arguments)
    environment = os.environ | {"RAPPORT_SECRET": secret}
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, env=environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def load_test(target: Target, *arguments: str) -> AsyncIterator[Process]:
    """``rapport loadtest`` against a server."""
    given = ("--url", target.url, "--key", target.key, *arguments)
    async with rapport("loadtest", *given, secret=target.secret) as process:
        yield process


async def output_of(process: Process) -> str:
    """All that it prints until it ends."""
    output, _ = await process.communicate()
    return output.decode()


async def until_printed(process: Process, text: str) -> str:
    """Read lines until one has this text: that line."""
    assert process.stdout is not None
    async for line in process.stdout:
        if text in line.decode():
            return line.decode()
    raise AssertionError(f"ended without printing {text!r}")
