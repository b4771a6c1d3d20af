"""What is imported is declared, and what is declared is imported and explained."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("protocol", "config", "rtc", "relay", "signaling", "loadtest", "web")
PAGE = (ROOT / "docs" / "dependencies.md").read_text()
DISTRIBUTIONS = packages_distributions()
DATA = {"hiredis", "tzdata"}
"""Declared and never imported: redis-py and the standard library look for them themselves."""


def canonical(name: str) -> str:
    """A distribution's name in the one form that counts as equal."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[<>=!~\[; ]", one, maxsplit=1)[0]) for one in requirements}


def imported() -> Iterator[str]:
    """The top-level modules, of others than Python and ourselves, that the packages import."""
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Import(names=names):
                        yield from (each.name.partition(".")[0] for each in names)
                    case ast.ImportFrom(module=str(module)):
                        yield module.partition(".")[0]
                    case _:
                        pass


def test_what_is_imported_is_declared_and_the_other_way_round() -> None:
    foreign = set(imported()) - {*PACKAGES, *sys.stdlib_module_names}
    assert {canonical(DISTRIBUTIONS[each][0]) for each in foreign} == declared(PROJECT["dependencies"]) - DATA


@pytest.mark.parametrize(
    "name",
    sorted(declared(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"])),
)
def test_every_dependency_is_explained(name: str) -> None:
    assert f"`{name}`" in PAGE


def test_the_tests_that_the_page_names_are_there() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", PAGE)
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_versions_have_an_upper_bound() -> None:
    requirements = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    assert [one for one in requirements if "<" not in one] == []
