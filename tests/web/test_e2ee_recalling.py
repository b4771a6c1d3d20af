"""Logs that a browser's device reads once more, and what it remembers of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from protocol.e2ee import xwing
from protocol.e2ee.device import Device
from protocol.e2ee.epochs import Place
from protocol.e2ee.state import FINISHED_KEPT
from tests.protocol.e2ee.app import FEW, START_MS, App, chance
from tests.web.browser_app import BrowserApp
from tests.web.runtimes import Runtime
from tests.web.test_e2ee_devices import ROOM, couple, errors, settle, texts

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives


async def test_the_history_is_read_once_when_the_archive_is_unlocked_late(ours: Runtime) -> None:
    """In the middle of it comes a crash, a lost reply, and a server set back to a backup."""
    server, ada, ben = await couple(ours)
    seed = bytes(range(32))
    await ada.step("keepArchive", xwing.public_key(seed), ada.now_ms)
    await settle(ada, ben)
    for number in range(3):
        ben.send(ROOM, f"before {number}")
    await settle(ada, ben)
    backup = server.backup()
    tablet = await BrowserApp.further(ours, server, "ada", "a2")
    await settle(tablet)
    await ada.step("approve", "a2", tablet.key, ada.now_ms)
    await settle(ada, tablet, ben)
    ben.send(ROOM, "after")
    await settle(ada, tablet, ben)
    assert texts(tablet) == ["after"]
    assert len(tablet.told) == 3
    tablet.told.clear()
    await tablet.step("adopt", {"accountSeed": None, "archiveSeed": seed})
    await tablet.ask(lose=True)
    await tablet.crash()
    await tablet.ask()
    assert texts(tablet) == ["after", "before 0", "before 1"]
    server.restore(backup)
    for _ in range(2):
        await settle(ada, tablet, ben)
    assert texts(tablet) == ["after", "before 0", "before 1", "before 2"]
    assert texts(ben) == ["before 0", "before 1", "before 2", "after"]
    assert tablet.told == []
    await tablet.step("adopt", {"accountSeed": None, "archiveSeed": seed})
    assert await tablet.requests() == []


async def test_a_long_conversation_is_read_again_in_silence(ours: Runtime) -> None:
    """With more epochs than are remembered."""
    server, ada, ben = await couple(ours)
    for number in range(FINISHED_KEPT + 3):
        ben.now_ms += 24 * 3600 * 1000
        ben.send(ROOM, str(number))
        await settle(ben)
        await ada.read(ROOM)
    shown = texts(ada)
    assert len(shown) == FINISHED_KEPT + 3
    log = server.memory.rooms[ROOM].events
    for old in log[:2]:
        log.append(replace(old, place=Place(1, len(log) + 1)))
    await ada.read(ROOM)
    assert [told["error"] for told in ada.told] == ["replayed", "wrong_epoch"]
    ada.told.clear()
    server.restore(server.backup())
    await settle(ada)
    assert (texts(ada), ada.told) == (shown, [])


async def test_what_was_said_under_a_new_key_is_read_once_it_is_trusted(ours: Runtime) -> None:
    server, ada, ben = await couple(ours)
    ben.send(ROOM, "as ever")
    await settle(ada, ben)
    server.reset("ben")
    anew = App(server, Device.first("ben", "b2", START_MS, chance("anew"), FEW), "ben", "b2", START_MS)
    await settle(anew)
    for text in ("one", "two", "three"):
        anew.send(ROOM, text)
    await settle(anew)
    await ada.read(ROOM)
    assert texts(ada) == ["as ever"]
    ada.told.clear()
    await ada.step("trust", "ben", server.memory.lists["ben"][-1].account_key)
    anew.send(ROOM, "four")  # while the log is read again
    await settle(anew)
    await ada.read(ROOM)
    await ada.ask(lose=True)
    await ada.crash()
    await settle(ada, anew)
    anew.send(ROOM, "five")
    await settle(ada, anew)
    assert texts(ada) == ["as ever", "one", "two", "three", "four", "five"]
    assert errors(ada) == {"unknown_epoch"}  # what it was told of the fourth for a moment
    ada.told.clear()
    server.restore(server.backup())
    await settle(ada, anew)
    assert len(texts(ada)) == 6
    assert ada.told == []
