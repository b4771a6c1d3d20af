"""What the guides say is so: their code runs, and they name every metric and every log line that warns."""

from __future__ import annotations

import ast
import re
import time
from pathlib import Path
from typing import Any

from docs.generate import DOCS
from protocol import tokens
from relay.blob_rows import BlobTotals
from relay.bus import BusStatistics
from relay.rows import StoreStatistics
from relay.webhooks import Backlog
from rtc.control import WorkerStats
from signaling.door.hub import HubStatistics
from signaling.http.api import ENDPOINTS
from signaling.observe.metrics import ClusterFigures, Metrics, Snapshot

ROOT = DOCS.parent
SECRET = "a secret for tests that is long enough"


def code(page: str, language: str) -> str:
    """The first block of code in a language."""
    found = re.search(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def warnings_of(module: Path) -> set[str]:
    """The names of the events that a module logs as warnings or errors."""
    calls = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in {"warning", "error", "exception"}
        and getattr(call.func.value, "id", "") == "_log"
        and call.args
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


def test_the_code_that_mints_tokens_in_python_mints_good_ones() -> None:
    names: dict[str, Any] = {}
    exec(code("http.md", "python"), names)  # noqa: S102 - our own guide
    token = names["token"]("key", SECRET, "backend", "operator", scope="rooms")
    claims = tokens.verify(token, {"key": (tokens.api_key(SECRET),)}, now=time.time())
    assert (claims.sub, claims.role, claims.scope) == ("backend", "operator", "rooms")


def test_every_operation_is_in_the_guide() -> None:
    guide = (DOCS / "http.md").read_text()
    for endpoint in ENDPOINTS:
        last = (
            endpoint.path.rpartition("/v1/rooms/{room}")[2] if endpoint.method == "DELETE" else endpoint.path
        )
        assert last in guide or last.rpartition("/")[2] in guide, endpoint.name


def test_every_metric_is_explained() -> None:
    page = (DOCS / "operations.md").read_text()
    statistics = WorkerStats(0, 0, 0, 0, 0, 0, 0, {"cause": 1}, 0.0)
    snapshot = Snapshot(
        HubStatistics(0, 0, {"code": 1}, {"error": 1}),
        BusStatistics(ready=True, refused={"cause": 1}),
        ClusterFigures(1, acting=True, duties=1),
        StoreStatistics(0, 0, 0, 0, 0),
        {0: statistics},
        0,
        (Backlog("endpoint", 1, 1, 0),),
        blobs=BlobTotals(0, 0, 0),
    )
    metrics = Metrics()
    metrics.session_changed("live")
    metrics.session_rated("clinical", 5)
    metrics.delivery_attempted("endpoint", "delivered")
    metrics.blob_ended("stored")
    metrics.blob_bytes("in", 1)
    metrics.request_answered("GET", "/", 200, 0.1)
    exposed = metrics.exposition(snapshot).decode()
    names = set(re.findall(r"^# TYPE (rapport_\w+)", exposed, re.MULTILINE))
    assert len(names) > 20
    for name in names:
        assert f"`{name}" in page, name


def test_every_line_of_the_log_that_warns_is_explained() -> None:
    page = (DOCS / "operations.md").read_text()
    modules = [*(ROOT / "signaling").rglob("*.py"), *(ROOT / "relay").rglob("*.py")]
    events = set[str]().union(*(warnings_of(module) for module in modules))
    assert len(events) > 5
    for event in events:
        assert f"`{event}`" in page, event
