"""The reference page of the settings, generated from their declarations."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from config import toml, values
from config.setting import Setting
from config.settings import ALL, SECTIONS
from config.sources import FILE_VARIABLE

_OPENING = f"""\
# Configuration

<!-- Generated from config/settings.py by `make docs`; edit it there. -->

A setting has a value from the highest of these sources that gives one:

1. a flag, `--store.url=sqlite:////var/lib/rapport/rapport.db`;
2. an environment variable, `RAPPORT_STORE_URL=...`;
3. a TOML file, named by `--config FILE` or by the variable `{FILE_VARIABLE}`;
4. with `--dev`, what makes a first run safe: loopback, free media ports, a store in `.rapport/`, a random API
   key called `dev`;
5. its default.

A higher source replaces the whole value, lists and tables included. In the environment and in flags a list is
written `a,b` and a table `key=value,key=value`; empty text is an empty list or table, and unsets what may be
unset. Secrets are not taken from flags, which others on the machine can read.

`rapport config check` says everything that is wrong, each fault with its place, and exits with 1 if something
is. `rapport config show` prints the settings in force as TOML, with where each comes from and without
secrets. Both take the same flags as `rapport serve`.

The least that a server needs beside its defaults:

```toml
[media]
announce = ["203.0.113.7"]  # the address under which clients reach the machine

[tokens.keys]
platform = "..."            # `openssl rand -hex 32`
```
"""


def page() -> str:
    """The page, in Markdown."""
    return _OPENING + "".join(_section(name) for name in SECTIONS)


def _section(name: str) -> str:
    rows = "".join(_row(setting) for setting in ALL.values() if setting.section == name)
    opening = inspect.getdoc(SECTIONS[name])
    return f"\n## {name}\n\n{opening}\n\n| setting | value | default | meaning |\n|---|---|---|---|\n{rows}"


def _row(setting: Setting) -> str:
    secret = " Secret." if setting.meaning.secret else ""
    cells = (f"`{setting.path}`<br>`{setting.variable}`", _value(setting), _default(setting))
    return f"| {' | '.join(cells)} | {setting.meaning.doc}{secret} |\n"


def _value(setting: Setting) -> str:
    return ", ".join(_phrases(setting))


def _phrases(setting: Setting) -> Iterator[str]:
    yield values.kind(setting)
    if bounds := values.bounds(setting):
        yield bounds


def _default(setting: Setting) -> str:
    if setting.meaning.default_is:
        return setting.meaning.default_is
    return "unset" if setting.default is None else f"`{toml.write(setting.default)}`"
