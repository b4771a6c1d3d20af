"""``rapport cluster`` beside a server that has the store open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from relay.audit_trail import AuditFilter
from relay.cluster import BeatNode, NodeRow
from signaling import cli
from signaling.cluster.overview import DUTIES
from signaling.commands import cluster as command
from signaling.node import Node
from tests.conformance.places import PLACES, Place
from tests.signaling.nodes import running_node, settings

ROW = NodeRow("0123456789abcdef", 1, 5, "1.0", "", "https://node", 3, 5, draining=False)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with running_node(settings(tmp_path)) as node:
        yield node


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LOOK_SECONDS", 0.0)


async def run(url: str, *arguments: str) -> int:
    return await asyncio.to_thread(cli.main, ["cluster", *arguments, "--store", url])


def lines(capsys: pytest.CaptureFixture[str]) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_a_node_is_listed_with_what_it_does(
    node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert node.duties.own == set(DUTIES) - {"unreceived"}, "which nobody has to be told of"
    url = f"sqlite:///{tmp_path / 'rapport.db'}"
    monkeypatch.setattr(command, "LOOK_SECONDS", 0.5)
    async with asyncio.timeout(60):
        while True:  # a busy machine may not have let it beat in between
            assert await run(url, "list", "--json") == 0
            (seen,) = lines(capsys)
            if seen["state"] == "up":
                break
    assert (seen["node"], seen["url"], seen["sessions"], seen["clocks"]) == (node.name, node.url, 0, 0)
    assert set(seen["duties"]) == set(DUTIES)
    assert await run(url, "list") == 0
    assert capsys.readouterr().out.startswith(node.name)


async def test_a_node_that_is_drained_is_told_to_end_and_that_is_recorded(
    node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path / 'rapport.db'}"
    assert await run(url, "drain", node.name[:8]) == 0
    async with asyncio.timeout(60):
        await node.keeper.ending.wait()
    assert node.keeper.end == "drained"
    assert await run(url, "drain", node.name) == 0
    assert "was asked before" in capsys.readouterr().out
    recorded = await node.store.audit(after=0, limit=100, matching=AuditFilter(action="node.drained"))
    assert [(one.entry.object_id, one.entry.source) for one in recorded] == [(node.name, "cli")]


@pytest.mark.parametrize("where", PLACES)
async def test_both_stores_can_be_asked(
    where: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with where(tmp_path) as place:
        await asked(place, capsys)


async def asked(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    store = place.store()
    await store.open()
    try:
        await store.commit(BeatNode(ROW))
        assert await run(place.url, "list", "--json") == 0
        assert [(one["node"], one["state"]) for one in lines(capsys)] == [(ROW.name, "silent")]
        assert await run(place.url, "drain", "nobody") == 1
        assert await run(place.url, "drain", ROW.name) == 0
        assert [one.drain for one in (await store.nodes()).living] == [True]
    finally:
        await store.close()


async def test_no_name_is_nobody_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        await run(f"sqlite:///{tmp_path / 'nothing.db'}", "drain", "")
    assert "at least 4 characters" in capsys.readouterr().err


async def test_what_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await run(f"sqlite:///{tmp_path / 'nothing.db'}", "list") == 2
    assert capsys.readouterr().err == "rapport cluster: there is no such file\n"
