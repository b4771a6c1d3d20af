"""The container's recipe and the services made of it, as far as that goes without a container engine."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.deploy.examples import DEPLOY, said
from tests.faults.processes import ROOT

RECIPE = (DEPLOY / "container" / "Containerfile").read_text()

COMPOSED = (DEPLOY / "container" / "compose.yaml").read_text()
GIVEN = {
    "TOKENS_KEYS": f"platform={'s' * 32}",
    "STORE_PASSWORD": "d" * 32,
    "BUS_PASSWORD": "p" * 32,
    "BUS_KEY": "b" * 32,
}


def services() -> dict[str, Any]:
    """The services with their anchors resolved and the secrets given; one that is not given is an error."""
    text = re.sub(r"\$\{(\w+):\?\}", lambda found: GIVEN[found[1]], COMPOSED)
    assert "$" not in text
    return dict(yaml.safe_load(text)["services"])


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


@pytest.mark.parametrize("name", ["node1", "node2"])
async def test_the_settings_of_a_service(tmp_path: Path, name: str) -> None:
    given = services()[name]["environment"]
    assert all(isinstance(value, str) for value in given.values()), "YAML has taken it for something else"
    command = (sys.executable, "-m", "signaling.cli", "config", "check")
    status, output = await said(*command, cwd=tmp_path, **{**os.environ, "PYTHONPATH": str(ROOT), **given})
    assert status == 0, output


def test_the_nodes_differ_in_their_ports_alone() -> None:
    one, other = (services()[name]["environment"] for name in ("node1", "node2"))
    assert one.keys() == other.keys()
    assert {key for key in one if one[key] != other[key]} == {"RAPPORT_SERVER_PORT", "RAPPORT_MEDIA_PORT"}


def test_the_nodes_find_what_they_share() -> None:
    known = services()
    node, postgres = known["node1"], known["postgres"]["environment"]
    settings = node["environment"]
    database = f"postgresql://{postgres['POSTGRES_USER']}@127.0.0.1/{postgres['POSTGRES_DB']}"
    assert settings["RAPPORT_STORE_URL"] == database
    assert settings["RAPPORT_STORE_PASSWORD"] == postgres["POSTGRES_PASSWORD"]
    assert known["redis"]["command"][-2:] == ["--requirepass", settings["RAPPORT_BUS_PASSWORD"]]
    assert set(node["depends_on"]) == {"postgres", "redis"}
    assert (DEPLOY / "container" / node["build"]["context"]).resolve() == ROOT
    assert (ROOT / node["build"]["dockerfile"]).read_text() == RECIPE
    # A volume belongs to whom its folder in the image belongs to.
    assert node["volumes"] == [f"blobs:{settings['RAPPORT_BLOBS_FOLDER']}"]
    assert f"install -d -o rapport {settings['RAPPORT_BLOBS_FOLDER']}" in " ".join(instructions("RUN"))


async def test_a_node_is_asked_at_its_own_port() -> None:
    async def healthy(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/healthz", healthy)
    (check,) = instructions("HEALTHCHECK")
    _, *arguments = json.loads(check.partition("CMD ")[2].replace("timeout=2", "timeout=60"))
    async with TestServer(app) as node:
        status, output = await said(sys.executable, *arguments, RAPPORT_SERVER_PORT=str(node.port))
    assert status == 0, output
