"""Precedence, and every fault at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from config.faults import ConfigError, Fault
from config.resolve import Resolution, resolve
from config.settings import ALL
from config.sources import FileText

KEY = "k" * 32
GOOD = f'[tokens.keys]\nmain = "{KEY}"\n[media]\nannounce = ["203.0.113.7"]\n'


def resolved(
    text: str | Fault | None = GOOD,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
    *,
    cores: int = 4,
    development_secret: str | None = None,
) -> Resolution:
    file = FileText("rapport.toml", text) if isinstance(text, str) else text
    return resolve(
        file=file,
        environ=environ or {},
        flags=flags or {},
        cores=cores,
        development_secret=development_secret,
    )


def faults(*args: object, **kwargs: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        resolved(*args, **kwargs)  # type: ignore[arg-type]  # passed through as they are
    assert str(caught.value) == "\n".join(map(str, caught.value.faults))
    return [str(fault) for fault in caught.value.faults]


def test_each_source_beats_the_one_before() -> None:
    text = GOOD + "[server]\nport = 1\n"
    environ = {"RAPPORT_SERVER_PORT": "2"}
    flags = {"server.port": "3"}
    steps = [resolved(), resolved(text), resolved(text, environ), resolved(text, environ, flags)]
    assert [step.settings.server.port for step in steps] == [8080, 1, 2, 3]
    assert [step.origins["server.port"] for step in steps] == [
        "default",
        "rapport.toml:6",
        "environment RAPPORT_SERVER_PORT",
        "flag --server.port",
    ]


def test_a_higher_source_replaces_a_table_whole() -> None:
    settings = resolved(environ={"RAPPORT_TOKENS_KEYS": f"other={KEY}"}).settings
    assert dict(settings.tokens.keys) == {"other": KEY}


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (3, 2), (16, 15)])
def test_one_core_is_left_to_the_server(cores: int, workers: int) -> None:
    resolution = resolved(cores=cores)
    assert resolution.settings.media.workers == workers
    assert resolution.origins["media.workers"] == "default for this machine"


def test_development_needs_no_configuration_and_stays_on_loopback() -> None:
    resolution = resolved(None, development_secret=KEY)
    settings = resolution.settings
    assert dict(settings.tokens.keys) == {"dev": KEY}
    assert (settings.server.host, settings.media.host, settings.media.port) == ("127.0.0.1", "127.0.0.1", 0)
    assert settings.store.url == "sqlite:///.rapport/rapport.db"
    assert resolution.origins["tokens.keys"] == "--dev"


@pytest.mark.parametrize("path", ["server.host", "media.host"])
def test_development_refuses_to_leave_loopback(path: str) -> None:
    flags = {path: "192.0.2.1"}
    problem = "development mode stays on loopback: leave --dev out to serve others"
    assert faults(None, flags=flags, development_secret=KEY) == [f"flag --{path}: {problem}"]
    assert resolved(flags=flags).origins[path] == f"flag --{path}"


def test_a_key_that_is_given_replaces_the_development_key() -> None:
    settings = resolved(None, {"RAPPORT_TOKENS_KEYS": f"mine={KEY}"}, development_secret="x" * 64).settings
    assert dict(settings.tokens.keys) == {"mine": KEY}


def test_all_faults_are_told_at_once_with_their_places() -> None:
    text = (
        '[server]\nprot = 1\ntls_key = "key.pem"\n[stor]\nurl = "x"\n'
        f'[tokens.keys]\nmain = "{KEY}"\n[limits]\nframe_bytes = "many"\n'
    )
    environ = {"RAPPORT_STORE_URI": "x", "RAPPORT_MEDIA_PORT": "70000", "PATH": "/bin"}
    flags = {"sessions.grace": "9", "log.level": "loud"}
    assert faults(text, environ, flags) == [
        "rapport.toml:2: server.prot: is not a setting; did you mean server.port?",
        "rapport.toml:4: stor: is not a section; did you mean store?",
        "rapport.toml:9: limits.frame_bytes: must be an integer, not 'many'",
        "environment RAPPORT_MEDIA_PORT: must be from 0 to 65,535, not 70000",
        "environment RAPPORT_STORE_URI: is not a setting; did you mean RAPPORT_STORE_URL?",
        "flag --sessions.grace: is not a setting; did you mean --sessions.grace_seconds?",
        "flag --log.level: must be one of debug, info, warning, error, not 'loud'",
        "rapport.toml:3: server.tls_key: a certificate and its key go together: give both or neither",
        "media.host and media.announce: clients have to be told where to send media: "
        "give media.announce, or one address as media.host",
    ]


def test_a_wrong_value_is_told_even_if_a_higher_source_replaces_it() -> None:
    told = faults(GOOD + "[server]\nport = 'x'\n", flags={"server.port": "1"})
    assert told == ["rapport.toml:6: server.port: must be an integer, not 'x'"]


def test_a_section_must_be_a_table() -> None:
    assert faults("server = 1\n" + GOOD) == ["rapport.toml:1: server: must be a table: [server]"]


def test_without_keys_nobody_could_connect() -> None:
    (told,) = faults("", flags={"media.host": "192.0.2.1"})
    assert told.startswith("tokens.keys and tokens.jwks: nobody could connect")


def test_a_secret_is_not_taken_from_a_flag_nor_quoted() -> None:
    (told,) = faults(flags={"tokens.keys": "hush=hush"})
    assert told.startswith(
        "flag --tokens.keys: is a secret, and flags can be read by others: use RAPPORT_TOKENS"
    )


def test_an_unreadable_file_hides_contradictions_and_not_other_faults() -> None:
    environ = {"RAPPORT_SERVER_PORT": "x"}
    expected = "environment RAPPORT_SERVER_PORT: must be an integer, not 'x'"
    assert faults(Fault("rapport.toml", "cannot be read", hides=True), environ) == [
        "rapport.toml: cannot be read",
        expected,
    ]
    broken, other = faults("[server\n", environ)
    assert broken.startswith("rapport.toml: is not TOML: ")
    assert other == expected


def test_variables_of_others_are_no_faults() -> None:
    environ = {
        "RAPPORT_SERVICE_HOST": "10.0.0.1",
        "RAPPORT_SERVICE_PORT": "8080",
        "RAPPORT_SERVICE_PORT_HTTP": "8080",
        "RAPPORT_PORT": "tcp://10.0.0.1:8080",
        "RAPPORT_PORT_8080_TCP": "tcp://10.0.0.1:8080",
        "RAPPORT_PORT_8080_TCP_ADDR": "10.0.0.1",
        "RAPPORT_CONFIG": "rapport.toml",
        "RAPPORT_SECRET": "hush",
    }
    assert resolved(environ=environ).settings == resolved().settings


def test_settings_are_frozen_and_hide_their_secrets() -> None:
    settings = resolved(environ={"RAPPORT_METRICS_TOKEN": "hush" * 4}).settings
    with pytest.raises(FrozenInstanceError):
        settings.server.port = 1  # type: ignore[misc]  # what is tested
    with pytest.raises(TypeError):
        settings.tokens.keys["more"] = KEY  # type: ignore[index]  # what is tested
    assert KEY not in repr(settings)
    assert "hush" not in repr(settings)


NAMES = st.sampled_from([*ALL, "server.prot", "x.y", "server"])
JUNK = st.text(max_size=12) | st.sampled_from(
    ["1", "0", "true", "127.0.0.1", "https://a.example", f"a={KEY}"]
)


@given(
    text=st.text(max_size=80) | st.just(GOOD),
    environ=st.dictionaries(
        NAMES.map(lambda name: f"RAPPORT_{name.replace('.', '_').upper()}"), JUNK, max_size=4
    ),
    flags=st.dictionaries(NAMES, JUNK, max_size=4),
    development_secret=st.none() | st.just(KEY),
)
def test_whatever_the_sources_say_there_are_settings_or_faults(
    text: str, environ: dict[str, str], flags: dict[str, str], development_secret: str | None
) -> None:
    try:
        resolution = resolved(text, environ, flags, development_secret=development_secret)
    except ConfigError:
        event("faults")
        return
    assert resolution.origins.keys() == ALL.keys()
