"""A scripted server that knows one room and one session, and answers what the pages ask of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from tests.web.scripted import Frame, Peer, ScriptedServer

MEMBERS = [{"account": "theo", "role": "therapist"}, {"account": "clara", "role": "client"}]
MINUTE = 60_000

HELD_DEVICES = """
const opened = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
const asked = new Promise((resolve) => { globalThis.answerDevices = resolve; });
navigator.mediaDevices.getUserMedia = (wanted) => asked.then(() => opened(wanted));
"""
"""In the page: nobody answers the browser's question for camera and microphone until ``answerDevices()``."""


def now_ms() -> int:
    """The server's time; the pages must not care what it is."""
    return int(time.time() * 1000)


class Therapy:
    """What the server knows. A test changes ``view``, signals and writes; requests are answered here.

    ``refusals`` names the error that a kind of request is answered with, ``held`` the
    kinds that are not answered before their :meth:`release`.
    """

    def __init__(
        self,
        server: ScriptedServer,
        *,
        modality: str = "chat",
        role: str = "client",
        refusals: dict[str, str] | None = None,
    ) -> None:
        self._server = server
        self.role = role
        self.account = "theo" if role == "therapist" else "clara"
        self.other = "clara" if role == "therapist" else "theo"
        start = now_ms() - 10 * MINUTE
        self.view: Frame = {
            "session": "s1",
            "room": "r1",
            "state": "open",
            "modality": modality,
            "starts_ms": start,
            "opens_ms": start - 10 * MINUTE,
            "agreed_end_ms": start + 45 * MINUTE,
            "cap_ms": start + 45 * MINUTE,
            "place": "outside",
            "present": [],
            "roles": {member["account"]: member["role"] for member in MEMBERS},
        }
        self.token = "secret"
        self.silent: set[str] = set()
        """Requests that are carried out, and not answered."""
        self.waits = False
        """Whether whoever joins has to wait."""
        self.log: list[Frame] = []
        self.cursor = 0
        self.requests: list[Frame] = []
        self._asked = asyncio.Condition()
        self.refusals = refusals or {}
        self.held: set[str] = set()
        self.peer: Peer | None = None

    @property
    def link(self) -> str:
        """The address of the person's page."""
        return f"{self._server.url}/app/{self.role}.html#token={self.token}&session=s1"

    async def serve(self) -> None:
        """Take in one WebSocket after the other and answer it."""
        while True:
            self.peer = await self._server.next_peer()
            await self.peer.receive("hello")
            head = {"room": "r1", "epoch": 1, "head": len(self.log), "cursor": self.cursor, "read": 0}
            await self.peer.send_welcome(head, account=self.account, role=self.role, server_now_ms=now_ms())
            for event in self.log[self.cursor :]:
                await self.peer.send("event", **event)
            with contextlib.suppress(ConnectionError):
                while True:
                    await self._answer(self.peer, await self.peer.receive())

    def asked(self, *ops: str) -> list[Frame]:
        """The requests of these kinds so far."""
        return [request for request in self.requests if request["op"] in ops]

    async def request(self, op: str, count: int = 1) -> Frame:
        """The ``count``th request of this kind, waited for."""
        async with asyncio.timeout(60), self._asked:
            await self._asked.wait_for(lambda: len(self.asked(op)) >= count)
        return self.asked(op)[count - 1]

    async def ping(self) -> None:
        """Wait until the page has answered everything that came before this."""
        assert self.peer is not None
        pongs = len(self.asked("pong"))
        await self.peer.send("ping", t_ms=now_ms())
        await self.request("pong", pongs + 1)

    async def release(self, op: str) -> None:
        """Answer what was asked of this kind so far, and from now on."""
        assert self.peer is not None
        self.held.remove(op)
        await self.answer(op)

    async def answer(self, op: str) -> None:
        """Answer what was asked of this kind so far; whatever was answered before settles nothing."""
        assert self.peer is not None
        for frame in self.asked(op):
            await self._reply(self.peer, frame)

    async def say(self, text: str, sender: str | None = None, mid: bytes = b"") -> None:
        """Someone writes."""
        body = {"kind": "message", "mid": mid or len(self.log).to_bytes(16), "data": text.encode()}
        await self.event({**body, "session": "s1"}, sender or self.other)

    async def event(self, body: Frame, sender: str | None = None, at_ms: int | None = None) -> int:
        """Append to the room's log, now or as if it had been earlier, and deliver; the offset."""
        place = {"room": "r1", "epoch": 1, "offset": len(self.log) + 1, "at_ms": at_ms or now_ms()}
        self.log.append({**place, "body": body, **({"sender": sender} if sender else {})})
        if self.peer:
            await self.peer.send("event", **self.log[-1])
        return len(self.log)

    async def signal(self, body: Frame, sender: str | None = None) -> None:
        """Tell the page something short-lived."""
        assert self.peer is not None
        await self.peer.send("signal", room="r1", body=body, **({"sender": sender} if sender else {}))

    async def countdown(self, **changes: Any) -> None:
        """The session's clock or roster changed."""
        self.view.update(changes)
        names = (
            "session",
            "state",
            "modality",
            "agreed_end_ms",
            "cap_ms",
            "present",
            "roles",
            "urgent",
            "proposal",
        )
        known = {name: self.view[name] for name in names if name in self.view}
        await self.signal({"kind": "countdown", "server_now_ms": now_ms(), **known})

    async def admission(self, status: str, **changes: Any) -> None:
        """What becomes of the person's wish to come in."""
        self.view.update(changes)
        await self.signal({"kind": "admission", "session": "s1", "status": status})

    async def waiting(self, *waiters: Frame) -> None:
        """Who waits now, as therapists are told."""
        self.view["waiting"] = list(waiters)
        told = {"waiting": list(waiters)} if waiters else {}  # what is empty is left out on the wire
        await self.signal({"kind": "waiting_room", "session": "s1", **told})

    async def end(self, reason: str, state: str = "ended") -> None:
        """The session is over: an event in the log, as the real server has it."""
        self.view.update(state=state, reason=reason)
        times = {"starts_ms": self.view["starts_ms"], "ends_ms": self.view["agreed_end_ms"]}
        body = {"kind": "session", "session": "s1", "change": state, "state": state, "reason": reason}
        await self.event({**body, "modality": self.view["modality"], **times})

    def shown(self) -> Frame:
        """The session as it is shown, now."""
        return {**self.view, "server_now_ms": now_ms()}

    async def _answer(self, peer: Peer, frame: Frame) -> None:
        async with self._asked:
            self.requests.append(frame)
            self._asked.notify_all()
        if "id" in frame and frame["op"] not in self.held:
            await self._reply(peer, frame)

    async def _reply(self, peer: Peer, frame: Frame) -> None:
        if frame["op"] in self.refusals:
            await peer.refuse(frame, self.refusals[frame["op"]])
            return
        result = await self._result(frame)
        if frame["op"] in self.silent:
            return
        await peer.send("ok", id=frame["id"], **({"result": result} if result else {}))

    async def _result(self, frame: Frame) -> Frame | None:
        match frame["op"]:
            case "session.end":
                await self.end("left")
            case "session.extend":
                self._change(frame)
                return {"of": "session.extend", "view": self.shown()}
            case "session.rate":
                return None
            case "room.get":
                return {"of": "room.get", "room": "r1", "epoch": 1, "head": 0, "lowest": 0} | {
                    "members": MEMBERS
                }
            case "room.history":
                return {"of": "room.history", "epoch": 1, "head": 0, "lowest": 1, "events": self.log}
            case "message.send":
                body = {"kind": "message", "mid": frame["mid"], "data": frame["data"], "session": "s1"}
                offset = await self.event(body, self.account)
                return {"of": "message.send", "epoch": 1, "offset": offset, "at_ms": now_ms()}
            case "media.relays":
                return {"of": "media.relays", "relays": [], "expires_ms": now_ms() + 60_000}
            case op if op.startswith("session."):
                self._change(frame)
                return {"of": "session", **self.shown()}
        return None

    def _change(self, frame: Frame) -> None:
        """What the request does to the session; some do nothing to what this person sees."""
        view = self.view
        match frame["op"]:
            case "session.join" if self.waits:
                view["place"] = "waiting"
            case "session.join":
                present = dict.fromkeys([*view["present"], self.account])
                view.update(place="inside", present=list(present))
            case "session.leave":
                view.update(place="outside", present=[])
            case "session.modality":
                view["modality"] = frame["modality"]
            case "session.urgent":
                view["urgent"] = frame["active"]
            case "session.late":
                late = {"role": self.role, "minutes": frame["minutes"], "at_ms": now_ms()}
                view["late"] = [late] if frame["minutes"] else []
            case "session.consent":
                term = {"kind": frame["kind"], "version": frame["version"]}
                now_in, now_out = ("consented", "consents") if frame["given"] else ("consents", "consented")
                view[now_out] = [one for one in view.get(now_out, []) if one != term]
                view[now_in] = [*view.get(now_in, []), term]
            case "session.extend":
                view["agreed_end_ms"] += frame["minutes"] * MINUTE
                view["cap_ms"] += frame["minutes"] * MINUTE


@contextlib.asynccontextmanager
async def therapy(server: ScriptedServer, **options: Any) -> AsyncIterator[Therapy]:
    """A :class:`Therapy` that answers until the end of the block."""
    scripted = Therapy(server, **options)
    task = asyncio.create_task(scripted.serve())
    try:
        yield scripted
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
