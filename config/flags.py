"""Settings among the arguments of a command: ``--section.name=value`` or ``--section.name value``."""

from __future__ import annotations

import re
from collections.abc import Sequence

# The dot tells them from the options of a command. Whether there is such a setting is found out later.
_FLAG = re.compile(r"--(?P<path>[A-Za-z_-]+\.[A-Za-z_.-]+)(?:=(?P<text>.*))?", re.DOTALL)


def take(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The settings by their path, and the arguments that are left, in their order.

    Of a setting given twice the last counts, one without a value is empty text, and ``--`` ends the search.
    """
    flags: dict[str, str] = {}
    left: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return flags, [*left, argument, *rest]
        match = _FLAG.fullmatch(argument)
        if match is None:
            left.append(argument)
        elif match["text"] is not None:
            flags[match["path"]] = match["text"]
        else:
            flags[match["path"]] = rest.pop(0) if rest and not rest[0].startswith("--") else ""
    return flags, left
