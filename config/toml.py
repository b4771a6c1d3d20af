"""TOML in and out: parsing with our error, finding the line of a key, writing a value.

The standard library's parser tells no positions, and has no writer.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any


class NotToml(ValueError):
    """The text is not TOML. The message says where and why, and quotes nothing of it."""


def parse(text: str) -> dict[str, Any]:
    """The document, or :exc:`NotToml`."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise NotToml("is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise NotToml(f"is not TOML: {error}") from None
    except ValueError:  # numbers and dates that TOML allows and Python does not
        raise NotToml("has a number or a date that cannot be read") from None


def lines(text: str) -> Mapping[str, int]:
    """The line on which each table (``section``) and each of its keys (``section.key``) first appears.

    ``text`` must be TOML. A statement is the shortest run of lines that parses behind its table's header.
    """
    found: dict[str, int] = {}
    header, statement, start = "", "", 1
    for number, line in enumerate(text.split("\n"), 1):
        statement += line + "\n"
        try:
            parsed = parse(header + statement)
        except NotToml:
            continue  # the statement goes on in the next line
        for path in _paths(parsed):
            found.setdefault(path, start)
        if statement.lstrip().startswith("["):
            header = statement
        statement, start = "", number + 1
    return found


def write(value: object) -> str:
    """A setting's value as TOML. JSON's strings are TOML's basic strings, as long as DEL is escaped too."""
    match value:
        case bool() | int() | float():
            return repr(value).lower()
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple() | list():
            return "[" + ", ".join(write(each) for each in value) + "]"
        case Mapping():
            entries = (f"{write(key)} = {write(each)}" for key, each in value.items())
            return "{ " + ", ".join(entries) + " }" if value else "{}"
        case _:
            raise TypeError(f"no setting has a {type(value).__name__}")


def _paths(document: Mapping[str, Any]) -> Iterator[str]:
    for section, table in document.items():
        yield section
        if isinstance(table, dict):
            for key in table:
                yield f"{section}.{key}"
