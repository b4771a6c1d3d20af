"""Alerts fire when they should, and whatever is watched is there to be watched."""

from __future__ import annotations

import json
import re
from pathlib import Path

import aiohttp

from tests.deploy.examples import DEPLOY, said, written
from tests.faults.processes import Server

MONITORING = DEPLOY / "monitoring"
NAME = re.compile(r"\b(?:rapport|process)_[a-z_]+\b")


async def test_prometheus_takes_the_rules_and_the_configuration(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("t" * 32)
    config = written(tmp_path, "monitoring/prometheus.yml", {"/etc/prometheus/rapport-token": str(token)})
    written(tmp_path, "monitoring/rules.yml", {})
    status, output = await said("promtool", "check", "config", str(config))
    assert status == 0, output


async def test_each_alert_fires_when_it_should_and_no_other_does() -> None:
    status, output = await said("promtool", "test", "rules", str(MONITORING / "rules_test.yml"))
    assert status == 0, output


def test_every_alert_is_tested() -> None:
    alerts = set(re.findall(r"- alert: (\w+)", (MONITORING / "rules.yml").read_text()))
    tested = set(re.findall(r"\bRapport\w+", (MONITORING / "rules_test.yml").read_text()))
    assert alerts == tested


def test_the_dashboard_is_whole() -> None:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert all(panel["targets"] and panel["title"] for panel in panels)


async def test_everything_that_is_watched_is_measured(tmp_path: Path) -> None:
    server = Server(tmp_path)
    await server.start()
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}/metrics") as response:
            scraped = await response.text()
    finally:
        await server.stop()
    kinds = dict(line.split()[2:4] for line in scraped.splitlines() if line.startswith("# TYPE "))
    known = {name for name, kind in kinds.items() if kind != "histogram"}
    known |= {f"{name}_bucket" for name, kind in kinds.items() if kind == "histogram"}
    for name in ("rules.yml", "rules_test.yml", "dashboard.json"):
        watched = set(NAME.findall((MONITORING / name).read_text()))
        assert watched <= known, name
