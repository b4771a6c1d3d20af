"""Arguments and exit status where no server is needed."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.loadtest.commands import rapport

SECRET = "s" * 32


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sessions", "0"],
        ["--sessions", "x"],
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--duration", "-1"],
        ["--duration", "inf"],
        ["--modality", "smell"],
    ],
)
def test_wrong_arguments_are_refused_by_name(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        rapport("loadtest", "--url", "http://127.0.0.1:1", "--key", "k", *arguments)
    assert stopped.value.code == 2
    assert f"argument {arguments[0]}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("url", "secret", "report", "says"),
    [
        ("127.0.0.1", SECRET, "ok.json", "address of a server"),
        ("http://127.0.0.1:1", "", "ok.json", "32 bytes"),
        ("http://127.0.0.1:1", SECRET, "no/such/folder.json", "No such file"),
    ],
)
def test_what_cannot_begin_is_said_in_one_line(
    url: str,
    secret: str,
    report: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("RAPPORT_SECRET", secret)
    status = rapport("loadtest", "--url", url, "--key", "k", "--report", str(tmp_path / report))
    error = capsys.readouterr().err
    assert status == 2
    assert says in error
    assert error.count("\n") == 1


def test_sessions_on_a_server_that_is_not_there_fail_by_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("loadtest.backend.PAUSE_SECONDS", 0.0)
    file = tmp_path / "report.json"
    url = f"http://127.0.0.1:{free_port()}"
    arguments = ("--key", "k", "--secret", SECRET, "--sessions", "3", "--rate", "100", "--report", str(file))
    assert rapport("loadtest", "--url", url, *arguments) == 1
    written = json.loads(file.read_text())
    assert (written["asked"], written["held"], written["good"]) == (3, 0, False)
    assert written["reasons"] == {"unreachable": 3}
    output = capsys.readouterr().out
    assert "unreachable" in output
    assert SECRET not in output + file.read_text()
