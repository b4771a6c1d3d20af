"""The settings of the examples are good, and the unit starts what it says, closed in."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from config.settings import ALL
from tests.deploy.examples import DEPLOY, certificate, said, written
from tests.faults.processes import ROOT

SECRETS = {
    "RAPPORT_TOKENS_KEYS": f"platform={'s' * 32}",
    "RAPPORT_TURN_SECRET": "t" * 32,
    "RAPPORT_BUS_KEY": "b" * 32,
    "RAPPORT_BUS_PASSWORD": "p" * 32,
    "RAPPORT_STORE_PASSWORD": "d" * 32,
    "RAPPORT_METRICS_TOKEN": "m" * 32,
}
MOST_EXPOSED = 20
"""Of 100, as ``systemd-analyze security`` counts it."""


async def checked(path: Path, *without: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **SECRETS}
    given = {name: value for name, value in environment.items() if name not in without}
    command = (sys.executable, "-m", "signaling.cli", "config", "check", "--config", str(path))
    return await said(*command, cwd=path.parent, **given)


async def test_the_settings_of_a_single_machine(tmp_path: Path) -> None:
    cert, key = await certificate(tmp_path)
    there = "/run/credentials/rapport.service"  # where the unit's LoadCredential puts them
    assert "LoadCredential=privkey.pem:" in (DEPLOY / "single" / "tls.conf").read_text()
    tls = {f"{there}/fullchain.pem": str(cert), f"{there}/privkey.pem": str(key)}
    status, output = await checked(written(tmp_path, "single/rapport.toml", tls))
    assert status == 0, output


async def test_the_settings_of_a_node(tmp_path: Path) -> None:
    status, output = await checked(written(tmp_path, "cluster/rapport.toml", {}))
    assert status == 0, output


@pytest.mark.parametrize("name", ["single/rapport.toml", "cluster/rapport.toml", "container/compose.yaml"])
def test_the_secrets_that_an_example_names_are_settings(name: str) -> None:
    known = {one.variable for one in ALL.values()}
    named = set(re.findall(r"RAPPORT_[A-Z_]+", (DEPLOY / name).read_text()))
    assert named <= known


@pytest.mark.parametrize("addition", [None, "single/tls.conf"])
async def test_the_unit_is_good_and_closed_in(tmp_path: Path, addition: str | None) -> None:
    # What it starts is not installed on this machine.
    unit = written(tmp_path, "rapport.service", {"/opt/rapport/bin/rapport": sys.executable})
    if addition is not None:
        added = tmp_path / "rapport.service.d"
        added.mkdir()
        written(added, addition, {})
    status, output = await said("systemd-analyze", "verify", "--man=no", str(unit))
    assert (status, output) == (0, "")
    threshold = f"--threshold={MOST_EXPOSED}"
    status, output = await said("systemd-analyze", "security", "--offline=yes", threshold, str(unit))
    assert status == 0, output
