"""The table of the benches and their file."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.bench import Measurement, report
from tests.bench.__main__ import BENCHES, main

FIGURES = {
    "rtp.forward_1to1": Measurement(14.26, "us", limit=3.75),
    "ws.idle": Measurement(18.0, "KiB"),
}


def test_table() -> None:
    assert report.table(FIGURES) == (
        "name              value unit  limit  ratio\n"
        "rtp.forward_1to1   14.3 us     3.75   3.80\n"
        "ws.idle            18.0 KiB"
    )


def test_json_has_a_limit_only_where_one_was_measured() -> None:
    assert report.as_json(FIGURES) == {
        "rtp.forward_1to1": {"value": 14.3, "unit": "us", "limit": 3.75, "ratio": 3.8},
        "ws.idle": {"value": 18.0, "unit": "KiB"},
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.00123456, "0.00123"),
        (9.996, "10.00"),
        (12.345, "12.3"),
        (123.4, "123"),
        (98765.4, "98765"),
    ],
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert report.figure(value) == text


@pytest.fixture
def _benches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(BENCHES, 1):
        module = ModuleType(name)
        module.measure = lambda name=name, value=number: {f"{name}.cost": Measurement(value, "us")}  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, f"tests.bench.{name}", module)


@pytest.mark.usefixtures("_benches")
def test_a_whole_run_is_written_down(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    written = json.loads(Path("build/bench.json").read_text())
    assert written == {f"{name}.cost": {"value": n, "unit": "us"} for n, name in enumerate(BENCHES, 1)}
    assert "rtp_forward.cost" in capsys.readouterr().out


@pytest.mark.usefixtures("_benches")
def test_a_part_is_only_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([BENCHES[1]]) == 0
    assert not Path("build").exists()
    assert capsys.readouterr().out.count("\n") == 2


def test_an_unknown_bench_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rtp_backward"]) == 2
    assert "no such bench: rtp_backward" in capsys.readouterr().err


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_is_there(name: str) -> None:
    assert callable(importlib.import_module(f"tests.bench.{name}").measure)
