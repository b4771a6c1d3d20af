"""One value at a time: text and TOML in, the setting's value or our error out."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import values
from config.settings import ALL

KEY = "k" * 32


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("server.port", "8081", 8081),
        ("server.shutdown_seconds", "1.5", 1.5),
        ("server.shutdown_seconds", "2", 2.0),
        ("server.uvloop", "false", False),
        ("server.host", "::1", "::1"),
        ("server.public_url", "", None),
        ("server.trusted_origins", "", ()),
        (
            "server.trusted_origins",
            "https://a.example, http://b.example:81",
            ("https://a.example", "http://b.example:81"),
        ),
        ("log.level", "debug", "debug"),
        ("tokens.keys", f"one={KEY},two={KEY}==", {"one": KEY, "two": KEY + "=="}),
        ("tokens.keys", "", {}),
        ("tokens.jwks", "idp=https://idp.example/jwks", {"idp": "https://idp.example/jwks"}),
    ],
)
def test_text_is_read_as_the_type_of_the_setting(path: str, text: str, value: object) -> None:
    setting = ALL[path]
    read = values.accept(setting, values.from_text(setting, text))
    assert read == value
    assert type(read) is type(value) or isinstance(value, dict)


@pytest.mark.parametrize(
    ("path", "text", "problem"),
    [
        ("server.port", "http", "must be an integer, not 'http'"),
        ("server.port", "80.0", "must be an integer, not '80.0'"),
        ("server.port", "", "must be an integer, not ''"),
        ("server.port", "65536", "must be from 0 to 65,535, not 65536"),
        ("server.port", "-1", "must be from 0 to 65,535, not -1"),
        ("server.uvloop", "yes", "must be true or false, not 'yes'"),
        ("server.shutdown_seconds", "nan", "must be from 0 to 600, not nan"),
        ("server.shutdown_seconds", "inf", "must be from 0 to 600, not inf"),
        ("log.level", "loud", "must be one of debug, info, warning, error, not 'loud'"),
        ("tokens.keys", "no-secret", "must be a table of texts"),
        ("tokens.keys", f"a={KEY},a={KEY}", "must be a table of texts"),
        ("tokens.jwks", "idp", "must be a table of texts, not 'idp'"),
        ("log.level", "x" * 65_537, "is longer than 65536 characters"),
    ],
)
def test_text_that_is_no_such_value_is_refused(path: str, text: str, problem: str) -> None:
    setting = ALL[path]
    with pytest.raises(values.BadValue) as caught:
        values.accept(setting, values.from_text(setting, text))
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("server.port", True, "must be an integer, not True"),
        ("server.port", "8080", "must be an integer, not '8080'"),
        pytest.param("server.port", 1 << 20_000, "must be from 0 to 65,535", id="huge"),
        pytest.param("server.shutdown_seconds", 1 << 1100, "must be from 0 to 600", id="no float"),
        ("server.shutdown_seconds", math.nan, "must be from 0 to 600, not nan"),
        ("server.uvloop", 1, "must be true or false, not 1"),
        ("server.host", ["a"], "must be text, not ['a']"),
        ("server.host", "x" * 100 + "!", "must be a host name or an IP address"),
        ("server.trusted_origins", [1], "must be a list of texts, not [1]"),
        ("server.public_url", 5, "must be text, or unset, not 5"),
        ("tokens.keys", {"a": 1}, "must be a table of texts"),
        ("tokens.jwks", {"a": 1}, "must be a table of texts, not {'a': 1}"),
        ("log.level", "a" * 50, "must be one of debug, info, warning, error, not '" + "a" * 39 + "..."),
    ],
)
def test_a_toml_value_of_another_type_is_refused(path: str, value: object, problem: str) -> None:
    with pytest.raises(values.BadValue) as caught:
        values.accept(ALL[path], value)
    assert str(caught.value) == problem


@pytest.mark.parametrize("path", [path for path, setting in ALL.items() if setting.meaning.secret])
def test_a_wrong_secret_is_not_quoted(path: str) -> None:
    for wrong in ("hush hush", {"id": "hush hush"}, ["hush hush"]):
        with pytest.raises(values.BadValue) as caught:
            values.accept(ALL[path], wrong)
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize("path", ALL)
def test_every_default_is_good(path: str) -> None:
    assert values.accept(ALL[path], ALL[path].default) == ALL[path].default


@given(path=st.sampled_from(sorted(ALL)), text=st.text(max_size=60))
def test_any_text_gives_a_value_or_our_error(path: str, text: str) -> None:
    setting = ALL[path]
    try:
        value = values.accept(setting, values.from_text(setting, text))
    except values.BadValue:
        return
    assert values.accept(setting, value) == value
