"""A device as an app has it, in a process of its own: its state in a file, and a point at which it dies.

What it has read stands in the same file as its keys, so that both change in one step. It ends with 0 once it
has sent and read everything, and with :data:`SERVER_GONE` when the server does.

The points: ``ask`` and ``sent``, around sending a request; ``replied``, before the reply is taken in;
``received``, before an event is; ``taken``, when it is and not persisted; ``half``, when the new state is
written beside the old one; ``persisted``; ``acknowledged``.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from loadtest.key_frames import event_of
from protocol.e2ee.asking import Opened, Outcome
from protocol.e2ee.contents import Text
from protocol.e2ee.device import Device
from tests.faults.mortal import Fate
from tests.faults.processes import token
from tests.signaling.door_client import DoorClient, Frame, door_client
from tests.signaling.keys_kit import FEW, Phone, now_ms

SERVER_GONE = 3
ROOM = "r"


@dataclass(frozen=True)
class Address:
    """Where the server is."""

    url: str

    def token(self, account: str) -> str:
        """Of the platform's back end."""
        return token(account, "client")


class Mortal(DoorClient):
    """A connection that may end at any of its points."""

    fate: Fate

    async def send(self, frame: Frame) -> None:
        self.fate.passing("ask")
        await super().send(frame)
        self.fate.passing("sent")

    async def request(self, op: str, **fields: Any) -> Frame:
        reply = await super().request(op, **fields)
        self.fate.passing("replied")
        return reply


class App(Phone):
    """A device, what it has read, and the file that both are in."""

    def __init__(self, url: str, account: str, file: Path, fate: Fate) -> None:
        kept = msgpack.unpackb(file.read_bytes()) if file.exists() else None
        if kept is None:
            device = Device.first(account, f"{account}-1", now_ms(), os.urandom, FEW)
        else:
            device = Device.restored(kept["device"], os.urandom, FEW)
        super().__init__(Address(url), account, f"{account}-1", device)
        self._file, self._fate = file, fate
        self.read = kept["read"] if kept else []
        self._defects: list[str] = kept["defects"] if kept else []
        self._written: int = kept["written"] if kept else 0

    def note(self, outcomes: Iterable[Outcome]) -> None:
        """Take in what the last step gave, and save it together with the state."""
        for outcome in outcomes:
            if isinstance(outcome, Opened) and isinstance(outcome.content, Text):
                self.read.append(outcome.content.text)
            else:
                self._defects.append(str(outcome))
        self._save()

    def _save(self) -> None:
        beside = self._file.with_suffix(".new")
        kept = {"device": self.device.to_bytes(), "read": self.read, "defects": self._defects}
        with beside.open("wb") as new:
            new.write(msgpack.packb(kept | {"written": self._written}))
            new.flush()
            os.fsync(new.fileno())
        self._fate.passing("half")
        beside.replace(self._file)
        self._fate.passing("persisted")

    async def live(self, messages: int, total: int) -> None:
        """Write so many messages in all, and read until there are ``total``."""
        while self._written < messages:
            self.device.send(ROOM, Text(f"{self.account} {self._written}"), now_ms())
            self._written += 1
        self._save()
        async with door_client(self.server.url) as door:
            self.client = Mortal(door.socket, "rapport.v1.msgpack")
            self.client.fate = self._fate
            cursor = self.device.cursor(ROOM)
            known = {ROOM: {"epoch": cursor.log, "offset": cursor.offset}} if cursor.log else {}
            welcome = await self.client.hello(self.server.token(self.account), self.name, rooms=known)
            assert welcome["op"] == "welcome", welcome
            await self.take_welcome(welcome)
            await self.settle()
            while len(self.read) < total or self.device.requests():
                await self._take(
                    await self.client.expect(lambda frame: frame["op"] in {"event", "caught_up"})
                )
                await self.settle()

    async def _take(self, frame: Frame) -> None:
        if frame["op"] == "caught_up":
            self.note(self.device.caught_up(ROOM, frame["epoch"], now_ms()))
            return
        self._fate.passing("received")
        outcomes = self.device.event(event_of(frame), now_ms())
        self._fate.passing("taken")
        self.note(outcomes)
        await self.client.ack(frame)
        self._fate.passing("acknowledged")


async def main(url: str, account: str, file: str, messages: str, total: str, die_at: str) -> int:
    """Be the device."""
    try:
        await App(url, account, Path(file), Fate(die_at)).live(int(messages), int(total))
    except (ConnectionClosed, ConnectionError, InvalidHandshake):
        return SERVER_GONE
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
