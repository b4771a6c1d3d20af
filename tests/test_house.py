"""The rules of the house that import-linter cannot see.

A *core* decides: it takes time and chance as arguments, and returns what is to be done. A *shell* does it.
Only shells have ``async def``, clocks, randomness, sockets, files, threads and processes. Every module is a
core unless it is named here; ``__main__`` modules start programs and are shells. A port is neither: it only
declares what its shells do.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("protocol", "config", "rtc", "relay", "signaling")

SHELLS = frozenset(
    f"{folder}/{name}.py"
    for folder, names in {
        "config": "commands loading",
        "relay": "group invariants quota",
        "relay/blobs": "folder",
        "relay/bus": (
            "calls local loopback redis redis_announcer redis_directory redis_quota redis_sentinels "
            "redis_server"
        ),
        "relay/postgres": (
            "accounts audit blobs changes cluster connection copying documents horizon inbox keys locks "
            "maintenance migrating opening pool push ratings reads receipts retention roll rooms runs "
            "scheduling store trail unreceived webhooks writer"
        ),
        "relay/sqlite": (
            "accounts audit blobs catalog changes checking cluster documents guard inbox keys opening push "
            "ratings reads receipts retention roll schema scheduling store thread trail unreceived webhooks "
            "writer"
        ),
        "rtc": "client datagrams worker",
        "signaling": (
            "access around dispatch erasure key_files key_sets memberships node notes quotas rooms stores "
            "timebase"
        ),
        "signaling/audit": "auditor keys witness",
        "signaling/blobs": "service turns",
        "signaling/cluster": "duties keeper undertaker",
        "signaling/commands": "audit cluster serve store token webhooks",
        "signaling/door": "acks feed hub link presence requests timers watch websocket welcome writer",
        "signaling/export": "service",
        "signaling/hours": "replies service",
        "signaling/inbox": "preferences receipts service teller",
        "signaling/http": "accounts application around audit blobs development downloading health keys "
        "member_endpoint origins pages problems ratings retention rooms "
        "runner schedule serving sessions usage webhooks",
        "signaling/keys": "allowance devices directory service vault",
        "signaling/media": "cut hosting hosts moving pool reoffers service",
        "signaling/push": "calling keys ringer service",
        "signaling/ratings": "service",
        "signaling/retention": "service",
        "signaling/schedule": "appointments feeds planning rights service",
        "signaling/sessions": "bookings changes clock service telling",
        "signaling/usage": "service",
        "signaling/webhooks": "deliverer posting service unreceived",
    }.items()
    for name in names.split()
)

# What a core imports nevertheless, because it uses only the part that computes.
PURE_PARTS = frozenset(
    {
        ("rtc/address.py", "import socket"),  # inet_pton, inet_ntop
    }
)

MAX_LINES = 600

WORLD = frozenset(
    {
        "aiohttp",
        "asyncio",
        "fcntl",
        "mmap",
        "multiprocessing",
        "os",
        "pathlib",
        "queue",
        "random",
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "uvloop",
        "websockets",
    }
)
"""Modules through which a program reaches the world outside its arguments."""

# Calls that do the same without an import of their own.
WORLDLY_CALLS = frozenset({"open", "input", "print"})
WORLDLY_METHODS = frozenset(
    {"now", "utcnow", "today", "uuid1", "uuid4", "read_text", "read_bytes", "write_text"}
)


def modules(*folders: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py"))


CORES = [name for name in modules(*PACKAGES) if name not in SHELLS and not name.endswith("__main__.py")]


def worldly(tree: ast.Module) -> Iterator[str]:
    """What in a module only a shell may have, as ``line: what``."""
    for node in ast.walk(tree):
        match node:
            case ast.AsyncFunctionDef(name=name) if not _declares(node):
                yield f"{node.lineno}: async def {name}"
            case ast.Import(names=names):
                yield from (
                    f"{node.lineno}: import {each.name}" for each in names if _root(each.name) in WORLD
                )
            case ast.ImportFrom(module=str(module)) if _root(module) in WORLD:
                yield f"{node.lineno}: from {module} import"
            case ast.Call(func=ast.Name(id=name)) if name in WORLDLY_CALLS:
                yield f"{node.lineno}: {name}()"
            case ast.Call(func=ast.Attribute(attr=name)) if name in WORLDLY_METHODS:
                yield f"{node.lineno}: .{name}()"
            case _:
                pass


def _declares(function: ast.AsyncFunctionDef) -> bool:
    """Whether the function has no body but a docstring or ``...``, as in a Protocol."""
    (first, *rest) = function.body
    return not rest and isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)


def _root(module: str) -> str:
    return module.partition(".")[0]


@pytest.mark.parametrize("name", CORES)
def test_a_core_does_not_reach_the_world(name: str) -> None:
    found = worldly(ast.parse((ROOT / name).read_text()))
    reaching = [each for each in found if (name, each.partition(": ")[2]) not in PURE_PARTS]
    assert reaching == [], "keep it pure, or name it among the SHELLS"


@pytest.mark.parametrize("name", sorted(SHELLS))
def test_a_shell_is_one(name: str) -> None:
    assert list(worldly(ast.parse((ROOT / name).read_text()))) != []


@pytest.mark.parametrize("name", modules(*PACKAGES, "loadtest", "web", "docs", "tests"))
def test_a_module_can_be_read_in_one_sitting(name: str) -> None:
    assert len((ROOT / name).read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize(
    "text",
    [
        "async def go(): return 1",
        "import time",
        "import os.path",
        "from random import random",
        "from asyncio import Queue",
        "open('x')",
        "from uuid import uuid4\nuuid4()\nuuid.uuid4()",
        "datetime.now()",
    ],
)
def test_the_rule_sees(text: str) -> None:
    assert list(worldly(ast.parse(text)))


def test_the_rule_lets_a_core_be() -> None:
    assert not list(worldly(ast.parse("import datetime\ndef due(now): return now\nasync def port(): ...")))
