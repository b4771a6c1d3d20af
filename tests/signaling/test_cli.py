"""The command line: what it prints, what it refuses, and with which status."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import aiohttp
import pytest

from protocol import tokens
from protocol.errors import ProtocolError
from signaling import cli

SECRET = "a secret for tests that is long enough"


async def serve(folder: Path, *arguments: str, **environment: str) -> Process:
    """``rapport serve`` in a folder of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "signaling.cli", "serve", *arguments),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[1]), **environment},
        stdout=PIPE,
        stderr=PIPE,
    )


async def printed(process: Process, pattern: str) -> re.Match[str]:
    """The first line on standard output that matches."""
    assert process.stdout is not None
    async for line in process.stdout:
        if found := re.search(pattern, line.decode()):
            return found
    raise AssertionError(f"nothing that matches {pattern}")


async def test_a_first_run_tells_where_it_is_and_how_to_get_in_and_stops_cleanly(tmp_path: Path) -> None:
    process = await serve(tmp_path, "--dev", "--server.port=0", "--media.workers=1")
    url = (await printed(process, r"serves (http://127\.0\.0\.1:\d+)"))[1]
    key = (await printed(process, r"^\s+key\s+(\S+)"))[1]
    secret = (await printed(process, r"^\s+secret\s+(\S+)"))[1]
    claims = tokens.Claims(key, "b", "operator", exp=4e9, scope="rooms")
    async with aiohttp.ClientSession() as http:
        for path, status in (("/", 200), ("/v1/openapi.json", 200), ("/v1/rooms", 401)):
            headers = {"Authorization": f"Bearer {tokens.mint(claims, secret)}"}
            async with http.get(url + path, headers=headers) as response:
                assert response.status == status
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    assert process.stderr is not None
    assert await process.stderr.read() == b""
    assert (tmp_path / ".rapport" / "rapport.db").exists()


async def test_settings_that_are_wrong_in_three_places_are_all_told_before_anything_starts(
    tmp_path: Path,
) -> None:
    (tmp_path / "rapport.toml").write_text("[store]\nurl = 'mysql://x'\n[server]\nporrt = 1\n")
    process = await serve(tmp_path, "--config", "rapport.toml", RAPPORT_MEDIA_WORKERS="many")
    out, err = await process.communicate()
    assert process.returncode == 1
    assert out == b""
    for place in ("store.url", "server.porrt", "RAPPORT_MEDIA_WORKERS"):
        assert place in err.decode()
    assert "Traceback" not in err.decode()


def test_a_token_can_be_minted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_SECRET", SECRET)
    given = [
        "token",
        "--key",
        "k",
        "--account",
        "anna",
        "--role",
        "therapist",
        "--room",
        "r",
        "--lifetime",
        "60",
    ]
    assert cli.main(given) == 0
    claims = tokens.verify(capsys.readouterr().out.strip(), {"k": (tokens.api_key(SECRET),)}, now=0)
    assert (claims.sub, claims.role, claims.room, claims.session) == ("anna", "therapist", "r", None)
    assert cli.main([*given, "--secret", "another secret that is long enough, too"]) == 0
    with pytest.raises(ProtocolError):
        tokens.verify(capsys.readouterr().out.strip(), {"k": (tokens.api_key(SECRET),)}, now=0)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--secret", "short"],
        [],
        ["--secret", SECRET, "--room", ""],
        ["--secret", SECRET, "--device", "d" * 65],
    ],
)
def test_a_token_that_cannot_be_good_is_not_minted(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["token", "--key", "k", "--account", "a", "--role", "client", *wrong]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("rapport token: ")
    assert SECRET not in said.err


def test_every_command_is_there_and_without_one_nothing_happens(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out
    for command in ("serve", "token", "config", "loadtest", "demo"):
        assert re.search(rf"^\s+{command}\s", shown, re.MULTILINE)
    with pytest.raises(SystemExit) as left:
        cli.main([])
    assert left.value.code == 2


def test_config_is_checked_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["config", "check", "--dev"]) == 0
    assert cli.main(["config", "show", "--dev", "--server.port=8081"]) == 0
    assert "8081" in capsys.readouterr().out
    assert cli.main(["config", "check", "--dev", "--server.port=x"]) == 1
