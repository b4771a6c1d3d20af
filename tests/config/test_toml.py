"""TOML: our error and nothing else, the right lines, and values that read back the same."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import toml

VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(),
    st.lists(st.text()).map(tuple),
)


@given(st.text() | st.text(alphabet="[]{}=\"'.#\n 0123456789abe_-"))
def test_any_text_is_toml_or_our_error(text: str) -> None:
    try:
        toml.parse(text)
    except toml.NotToml:
        return
    toml.lines(text)


@pytest.mark.parametrize(
    "text", ["a = " + "[" * 100_000, "a = " + "9" * 5000, "a = 1987-13-01", "a =", "=", "\x00"]
)
def test_hostile_text_is_our_error(text: str) -> None:
    with pytest.raises(toml.NotToml):
        toml.parse(text)


def test_a_syntax_error_tells_its_line() -> None:
    with pytest.raises(toml.NotToml, match="at line 2, column 5"):
        toml.parse("[server]\nport\n")


@given(st.dictionaries(st.text(), VALUES | st.dictionaries(st.text(), VALUES)))
def test_what_is_written_reads_back(table: dict[str, object]) -> None:
    text = "".join(f"{toml.write(key)} = {toml.write(value)}\n" for key, value in table.items())
    read = tomllib.loads(text)
    assert {
        key: tuple(each) if isinstance(each, list) else _tuples(each) for key, each in read.items()
    } == table


def _tuples(value: object) -> object:
    if isinstance(value, dict):
        return {key: tuple(each) if isinstance(each, list) else each for key, each in value.items()}
    return value


def test_a_value_that_no_setting_has_is_not_written() -> None:
    with pytest.raises(TypeError):
        toml.write(None)


TEXT = '''\
# A comment
top = 1
[server]
port = 1
hosts = [
  "a",  # [store]
  "b",
]
text = """
[media]
port = 3
"""

[ tokens.keys ]  # a comment
main = "x"
other = "y"
[store]
url = "z"
limits.frame_bytes = 7
'''


def test_lines() -> None:
    assert toml.lines(TEXT) == {
        "top": 2,
        "server": 3,
        "server.port": 4,
        "server.hosts": 5,
        "server.text": 9,
        "tokens": 14,
        "tokens.keys": 14,
        "store": 17,
        "store.url": 18,
        "store.limits": 19,
    }


def test_lines_of_a_dotted_key_and_of_windows_text() -> None:
    assert toml.lines("log.level = 'x'\r\n[server]\r\nport = 1\r\n") == {
        "log": 1,
        "log.level": 1,
        "server": 2,
        "server.port": 3,
    }
