"""Tests that the page about faults names are there, and threads about failures of others stand in theirs."""

from __future__ import annotations

import ast
import re

import pytest

from docs.generate import DOCS

ROOT = DOCS.parent
PAGE = (DOCS / "faults.md").read_text()
TABLES = "\n".join(line for line in PAGE.splitlines() if line.startswith("|"))
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", TABLES)))
THREADS = re.findall(r"\[.+?\]\((https://github\.com/\S+)\).*?`(tests/[\w/]+\.py)::(\w+)`", TABLES)


def functions(path: str) -> dict[str, str]:
    """The tests of a module, by name: their text."""
    text = (ROOT / path).read_text()
    return {
        one.name: ast.get_source_segment(text, one) or ""
        for one in ast.parse(text).body
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
    }


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_is_named_is_there(path: str, name: str) -> None:
    tests = functions(path)
    assert name in tests if name else any(one.startswith("test_") for one in tests)


@pytest.mark.parametrize(("thread", "path", "name"), THREADS)
def test_a_thread_stands_in_its_test(thread: str, path: str, name: str) -> None:
    assert thread in functions(path)[name]
