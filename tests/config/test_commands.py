"""``rapport config check`` and ``rapport config show``, as their users see them."""

from __future__ import annotations

import tomllib
from argparse import ArgumentParser
from pathlib import Path

import pytest

from config import commands, flags

KEY = "k" * 32
GOOD = (
    f'[tokens.keys]\nmain = "{KEY}"\n[media]\nannounce = ["203.0.113.7"]\n[metrics]\ntoken = "{"t" * 16}"\n'
)


@pytest.fixture(autouse=True)
def _no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rapport.toml"
    path.write_text(GOOD)
    return path


def run(*arguments: str) -> int:
    parser = ArgumentParser()
    commands.add_parser(parser.add_subparsers(required=True))
    given, left = flags.take(arguments)
    args = parser.parse_args(left)
    args.flags = given
    status: int = args.run(args)
    return status


def test_check_says_that_all_is_good(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "check", "--config", str(file)) == 0
    assert capsys.readouterr() == ("The settings are good.\n", "")


def test_check_says_all_that_is_wrong(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(GOOD + "[server]\nprot = 1\nport = 'x'\n")
    assert run("config", "check", "--config", str(file), "--log.level=loud") == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "The settings have 3 faults:\n"
        f"  {file}:8: server.prot: is not a setting; did you mean server.port?\n"
        f"  {file}:9: server.port: must be an integer, not 'x'\n"
        "  flag --log.level: must be one of debug, info, warning, error, not 'loud'\n"
    )


def test_check_counts_a_single_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "check", "--dev", "--server.port=x") == 1
    assert capsys.readouterr().err.startswith("The settings have 1 fault:\n")


def test_show_prints_toml_that_is_the_settings_without_secrets(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("config", "show", "--config", str(file), "--server.trusted_origins=https://a.example") == 0
    text = capsys.readouterr().out
    document = tomllib.loads(text)
    assert document["tokens"]["keys"] == {"main": "(hidden)"}
    assert document["metrics"]["token"] == "(hidden)"
    assert document["server"]["trusted_origins"] == ["https://a.example"]
    assert document["limits"]["frame_bytes"] == 262144
    assert f'announce = ["203.0.113.7"]  # {file}:4\n' in text
    assert "# tls_key is unset  # default\n" in text
    assert KEY not in text
    assert "tttt" not in text


def test_show_in_development_hides_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "show", "--dev") == 0
    assert 'keys = { "dev" = "(hidden)" }  # --dev\n' in capsys.readouterr().out


def test_settings_from_arguments(file: Path) -> None:
    parser = ArgumentParser()
    commands.add_source_arguments(parser)
    args = parser.parse_args(["--config", str(file)])
    args.flags = {"server.port": "7"}
    assert commands.settings_from(args).server.port == 7
