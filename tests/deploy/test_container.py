"""The container's recipe, as far as it can be followed without a container engine."""

from __future__ import annotations

import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

from tests.deploy.examples import DEPLOY, said
from tests.faults.processes import ROOT

RECIPE = (DEPLOY / "container" / "Containerfile").read_text()


def instructions(name: str) -> list[str]:
    """The arguments of all instructions of a kind, lines that go on put together."""
    return re.findall(rf"^{name} (.+)$", RECIPE.replace("\\\n", ""), re.MULTILINE)


async def test_what_is_copied_is_enough_for_a_server(tmp_path: Path) -> None:
    source, wheels, installed = tmp_path / "source", tmp_path / "wheels", tmp_path / "installed"
    source.mkdir()
    for copied in instructions("COPY"):
        *names, _ = copied.split()
        for name in names:
            if name.startswith(("--from", "/")):
                continue
            there = ROOT / name
            if there.is_dir():
                shutil.copytree(there, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(there, source / name)
    made = await said(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--wheel-dir", str(wheels), str(source)),
    )
    assert made[0] == 0, made[1]
    (wheel,) = wheels.iterdir()
    zipfile.ZipFile(wheel).extractall(installed)
    # The environment of the image, and a key, without which nobody could connect.
    (store,) = (line.partition("=")[2] for line in instructions("ENV"))
    given = {"RAPPORT_STORE_URL": store, "RAPPORT_TOKENS_KEYS": f"platform={'s' * 32}"}
    given["RAPPORT_MEDIA_ANNOUNCE"] = "203.0.113.7"
    command = (sys.executable, "-P", "-m", "signaling.cli", "config", "check")
    environment = {**os.environ, **given, "PYTHONPATH": str(installed)}
    status, output = await said(*command, cwd=tmp_path, **environment)
    assert status == 0, output
    where = "import signaling, web; print(signaling.__file__, (web.STATIC / 'call.js').is_file())"
    _, output = await said(sys.executable, "-P", "-c", where, cwd=tmp_path, **environment)
    assert output.startswith(str(installed))
    assert output.endswith("True\n")


def test_every_package_is_copied() -> None:
    packages = re.search(r"^packages = \[(.+)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert packages is not None
    copied = {name for line in instructions("COPY") for name in line.split()}
    assert set(re.findall(r'"(\w+)"', packages[1])) <= copied


def test_the_image_runs_as_nobody_in_particular_and_is_stopped_gently() -> None:
    assert instructions("USER") == ["10001"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert instructions("ENTRYPOINT") == ['["/opt/rapport/bin/rapport"]']
