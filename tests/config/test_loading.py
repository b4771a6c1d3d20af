"""The shell: files that are there, missing, too large or no text, and the development key."""

from __future__ import annotations

from pathlib import Path

import pytest

from config import ConfigError, load
from config.loading import MAX_FILE_BYTES

KEY = "k" * 32
GOOD = f'[tokens.keys]\nmain = "{KEY}"\n[media]\nannounce = ["203.0.113.7"]\n'


def problems(file: Path | None, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load({}, environ or {}, file, False)
    return [f"{fault.place}: {fault.problem}" for fault in caught.value.faults]


def test_all_sources_together(tmp_path: Path) -> None:
    file = tmp_path / "rapport.toml"
    file.write_text(GOOD)
    settings = load({"server.port": "0"}, {"RAPPORT_LOG_LEVEL": "error", "HOME": "/"}, file, False)
    assert dict(settings.tokens.keys) == {"main": KEY}
    assert settings.log.level == "error"
    assert settings.server.port == 0


def test_the_environment_can_name_the_file_and_a_flag_comes_first(tmp_path: Path) -> None:
    named, flagged = tmp_path / "named.toml", tmp_path / "flagged.toml"
    named.write_text(GOOD + "[server]\nport = 1\n")
    flagged.write_text(GOOD + "[server]\nport = 2\n")
    environ = {"RAPPORT_CONFIG": str(named)}
    assert load({}, environ, None, False).server.port == 1
    assert load({}, environ, flagged, False).server.port == 2


def test_each_start_in_development_has_another_key() -> None:
    first, second = (load({}, {}, None, True).tokens.keys["dev"] for _ in range(2))
    assert len(first.encode()) >= 32
    assert first != second


def test_a_file_that_cannot_be_used_is_one_fault(tmp_path: Path) -> None:
    missing, large, binary = (tmp_path / name for name in ("missing.toml", "large.toml", "binary.toml"))
    large.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    binary.write_bytes(b"\xff\xfe")
    assert problems(missing) == [f"{missing}: cannot be read: No such file or directory"]
    assert problems(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]
    assert problems(large) == [f"{large}: is larger than {MAX_FILE_BYTES} bytes"]
    assert problems(binary) == [f"{binary}: is not UTF-8 text"]


def test_files_that_settings_name_are_looked_for(tmp_path: Path) -> None:
    file = tmp_path / "rapport.toml"
    certificate = tmp_path / "certificate.pem"
    certificate.write_text("a certificate")
    file.write_text(GOOD + f'[server]\ntls_certificate = "{certificate}"\n')
    environ = {"RAPPORT_SERVER_TLS_KEY": str(tmp_path / "key.pem")}
    assert problems(file, environ) == [
        f"environment RAPPORT_SERVER_TLS_KEY: server.tls_key: '{tmp_path}/key.pem' cannot be read: "
        "No such file or directory"
    ]
