"""The reference page says what the declarations say."""

from __future__ import annotations

import re

from config import reference
from config.resolve import resolve
from config.settings import ALL
from config.sources import FileText


def test_the_page_names_every_setting_once() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)`<br>`([A-Z_]+)` \|", reference.page(), re.MULTILINE)
    assert rows == [(setting.path, setting.variable) for setting in ALL.values()]


def test_the_example_of_the_page_is_enough() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", reference.page(), re.DOTALL)
    text = example.replace('"..."', f'"{"k" * 32}"')
    assert resolve(
        file=FileText("rapport.toml", text), environ={}, flags={}, cores=2, development_secret=None
    ).settings.media.announce == ("203.0.113.7",)
