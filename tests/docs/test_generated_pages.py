"""What is generated stands in the repository as the code would write it now."""

from __future__ import annotations

import pytest

from docs import generate
from protocol import reference


@pytest.mark.parametrize("name", generate.PAGES)
def test_generated_pages_are_current(name: str) -> None:
    written = (generate.DOCS / name).read_text("utf-8")
    assert written == generate.PAGES[name](), f"docs/{name} is out of date: run `make docs`"


def test_a_field_without_a_string_under_it_is_found() -> None:
    with pytest.raises(KeyError, match=r"Hello\.device"):
        reference.wire_reference(['class Hello:\n    token: str\n    """A JWT."""\n    device: str\n'])
