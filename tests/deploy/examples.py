"""The examples of ``config/deploy/``, with what is only true elsewhere replaced."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "config" / "deploy"


def example(name: str, replaced: Mapping[str, str]) -> str:
    """The text of an example. Each text in it that is to be replaced must be there."""
    text = (DEPLOY / name).read_text()
    for old, new in replaced.items():
        assert old in text, f"{name} has no {old!r}"
        text = text.replace(old, new)
    return text


def written(folder: Path, name: str, replaced: Mapping[str, str]) -> Path:
    """The same as a file in a folder."""
    path = folder / Path(name).name
    path.write_text(example(name, replaced))
    return path


async def said(*command: str, cwd: Path | None = None, **environment: str) -> tuple[int, str]:
    """How a program ended, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=PIPE, stderr=STDOUT, cwd=cwd, env=environment or None
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")


async def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for this machine, and its key."""
    cert, key = folder / "fullchain.pem", folder / "privkey.pem"
    status, output = await said(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", str(key), "-out", str(cert), "-days", "2", "-subj", "/CN=rtc.example.org"),
        *("-addext", "subjectAltName=IP:127.0.0.1,DNS:rtc.example.org"),
    )
    assert status == 0, output
    return cert, key
