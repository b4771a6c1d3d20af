"""One synthetic participant: its conversation with the server, its peer connection, and what it has seen.

After a cut, and whenever the server says that the media changed, it offers again, from a new peer connection
when the media worker is another one. A therapist lets everyone in who waits. What the participants say to
each other, and when, is the scenario's.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp

from loadtest.call import Call, Meter, Modality
from loadtest.client import Client, Pace
from loadtest.errors import Disconnected, LoadTestError, Refused, TimedOut
from loadtest.files import Files
from loadtest.sealed_chat import SealedChat
from loadtest.target import Target
from loadtest.wire import Map, check
from protocol.e2ee.asking import Opened
from protocol.e2ee.contents import Attachment, Text
from protocol.fields import Role

QUESTION: Final = "?"
ANSWER: Final = "!"
ENROLMENT_SECONDS: Final = 20.0
STORED_SECONDS: Final = 10.0
"""From writing a message to its being durable, reconnecting included."""
OFFER_AGAIN_SECONDS: Final = 0.5
"""The pause after a temporary refusal of an offer that names no time itself."""
LOOK_AGAIN_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Message:
    """A chat message as it was opened."""

    mid: bytes
    sender: str
    text: str
    """What was said, or the name of the file."""
    file: Attachment | None = None


class Peer:
    """A participant with one device. Its methods raise :exc:`loadtest.errors.LoadTestError`."""

    def __init__(
        self, target: Target, account: str, role: Role, modality: Modality, *, pace: Pace | None = None
    ) -> None:
        self.account = account
        self.meter = Meter(modality)
        self.sent: list[bytes] = []
        """The ids of the messages that are durable."""
        self.messages: list[Message] = []
        """All chat messages of the room, its own among them, in order."""
        self.doubled = 0
        """Messages that were handed over a second time under another offset."""
        self.changes: list[str] = []
        """What the log told of the session, in order."""
        self.reason: str | None = None
        """Why the session ended, once it has."""
        self.calls = 0
        """Peer connections opened: one, and one more whenever the media moved to another worker."""
        self.joined_at: float | None = None
        """``time.monotonic()`` of the reply to the first ``session.join``."""
        self.inside = False
        """It is in the session, and not in its waiting room."""
        self.knocks: list[str] = []
        """The accounts that a therapist has seen waiting, in the order of their coming."""
        device = f"{account}-1"
        self.chat = SealedChat(account, device, self._message, self._fail)
        self._url = target.http
        self._token: Callable[[], str] = lambda: target.participant_token(account, role)
        self.client = Client(target.connect, device, self._token, self, pace=pace)
        self._room = ""
        self._session = ""
        self._call: Call | None = None
        self._generation: int | None = None
        self._mids: set[bytes] = set()
        self._news = asyncio.Event()
        self._media_wanted = asyncio.Event()
        self._renew = False
        self._therapist = role == "therapist"
        self._waiting: list[str] = []
        self._knocked = asyncio.Event()
        self._trouble: LoadTestError | None = None
        # As many as the other side has waiting for an answer, which is one at a time.
        self._questions: asyncio.Queue[str] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def join(self, room: str, session: str) -> float:
        """Connect, join, and meanwhile enrol the device; media follows by itself, once inside.

        Seconds from the beginning to the reply to ``session.join``.
        """
        started = time.monotonic()
        # Before the first event can come: what the log told before would be missing from `changes`.
        self._room, self._session = room, session
        await self.client.connect()
        self._tasks.append(asyncio.create_task(self.chat.serve(self.client)))
        view = await self.client.join(session)
        self.joined_at = time.monotonic()
        if not self._knocked.is_set():  # a signal behind the reply can be read before it, and is newer
            self._see_waiting(view)
        if view.get("place") == "inside":
            self._come_in()
        for work in (self._exchange_media(), self._answer_questions(), self._let_in()):
            self._tasks.append(asyncio.create_task(work))
        await self.until(lambda: self.chat.enrolled, ENROLMENT_SECONDS, "enrolment")
        return self.joined_at - started

    async def say(self, text: str) -> None:
        """Send a chat message, sealed; returns when it is durable."""
        await self._send(Text(text))

    async def give(self, http: aiohttp.ClientSession, name: str, data: bytes) -> float:
        """Send a file, sealed; the seconds until its bytes are durable, before its message is sent."""
        started = time.monotonic()
        file = await self._files(http).put(self._room, name, data)
        seconds = time.monotonic() - started
        await self._send(file)
        return seconds

    async def take(self, http: aiohttp.ClientSession, name: str, seconds: float) -> tuple[bytes, float]:
        """Wait for a file of the other side: what it holds, and the seconds it took to fetch and open it."""
        await self.until(lambda: self.heard(name), seconds, "file")
        file = next(one.file for one in self.messages if one.text == name and one.file is not None)
        started = time.monotonic()
        return await self._files(http).get(file), time.monotonic() - started

    def _files(self, http: aiohttp.ClientSession) -> Files:
        return Files(self._url, http, self._token())

    async def _send(self, content: Text | Attachment) -> None:
        self.sent.append(await self.chat.say(self._room, content, self._session, STORED_SECONDS))

    async def ask(self, number: int, seconds: float) -> float:
        """Send a question and wait for the other side's answer: the round trip in seconds."""
        started = time.monotonic()
        await self.say(f"{QUESTION}{number}")
        await self.until(lambda: self.heard(f"{ANSWER}{number}"), seconds, "chat_answer")
        return time.monotonic() - started

    def heard(self, text: str) -> bool:
        """Whether the other side has said this."""
        return any(message.text == text and message.sender != self.account for message in self.messages)

    async def admitted(self, seconds: float) -> None:
        """Wait until a therapist has let it in."""
        await self.until(lambda: self.inside, seconds, "admission")

    async def live(self, seconds: float) -> None:
        """Wait until the session is live."""
        await self.until(lambda: "live" in self.changes, seconds, "live")

    async def first_media(self, seconds: float) -> None:
        """Wait until the other side is seen (in a video session) and heard."""
        video = self.meter.modality == "video"
        await self.until(
            lambda: self.meter.sounds > 0 and (self.meter.pictures > 0 or not video), seconds, "first_media"
        )

    async def more_media(self, seconds: float) -> None:
        """Wait until more of the other side is seen (in a video session) and heard than so far."""
        pictures, sounds = self.meter.pictures, self.meter.sounds
        video = self.meter.modality == "video"
        await self.until(
            lambda: self.meter.sounds > sounds and (self.meter.pictures > pictures or not video),
            seconds,
            "more_media",
        )

    async def ended(self, seconds: float) -> None:
        """Wait until the session is over; ``reason`` tells why."""
        await self.until(lambda: self.reason is not None, seconds, "session_end")

    async def until(self, condition: Callable[[], bool], seconds: float, awaited: str) -> None:
        """Wait until something is so. It is looked at whenever there is news, and now and then for the meter.

        Raises :exc:`TimedOut` with the name of what was ``awaited``, or what went wrong meanwhile.
        """
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self.check()
                    await self._some_news()
        except TimeoutError:
            raise TimedOut(awaited) from None

    async def _some_news(self) -> None:
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_AGAIN_SECONDS):
                await self._news.wait()

    def check(self) -> None:
        """Raise what has gone wrong in the background, if anything has."""
        if self._trouble is not None:
            raise self._trouble

    async def end_session(self) -> None:
        """End the session for everyone; for therapists."""
        await self.client.request("session.end", session=self._session)

    async def close(self) -> None:
        """Leave everything. The meter has its packet counts from here on."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._hang_up()
        await self.client.close()

    # --- What the conversation brings -----------------------------------------------------------------

    def on_welcome(self, welcome: Map) -> None:
        """Connected; the media may have changed in the meantime."""
        self.chat.on_welcome(welcome)
        if self.inside:
            self._media_wanted.set()
        if self._waiting:
            self._knocked.set()

    def on_event(self, event: Map) -> None:
        """The next event of the room."""
        body = event["body"]
        if body.get("kind") == "session" and body.get("session") == self._session:
            self.changes.append(body.get("change", ""))
            self.reason = body.get("reason", self.reason)
        self.chat.on_event(event)
        self._news.set()

    def on_log(self, frame: Map) -> None:
        """Where a room's log stands."""
        self.chat.on_log(frame)

    def on_signal(self, signal: Map) -> None:
        """Something short-lived: of interest are the waiting room, and that the media changed."""
        body = signal["body"]
        if body.get("session") != self._session:
            return
        match body.get("kind"):
            case "reoffer":
                # Without its path a connection is of no use: stock aiortc has no ICE restart.
                other_worker = self._generation not in {None, body.get("generation")}
                self._renew = self._renew or other_worker or body.get("reason") == "disconnected"
                self._media_wanted.set()
            case "waiting_room" if self._therapist:
                self._see_waiting(body)
            case "admission" if body.get("status") == "admitted":
                self._come_in()
        self._news.set()

    def _come_in(self) -> None:
        self.inside = True
        self._media_wanted.set()

    def _see_waiting(self, told: Map) -> None:
        waiters = told.get("waiting", ())
        for waiter in waiters:
            check(waiter, {"account": str}, "waiter")
        waiting = [waiter["account"] for waiter in waiters]
        self.knocks += [account for account in waiting if account not in self._waiting]
        self._waiting = waiting
        if waiting:
            self._knocked.set()

    def _message(self, opened: Opened) -> None:
        content = opened.content
        file = content if isinstance(content, Attachment) else None
        text = content.text if isinstance(content, Text) else file.name if file else ""
        message = Message(opened.mid, opened.account, text, file)
        if message.mid in self._mids:
            self.doubled += 1
            return
        self._mids.add(message.mid)
        self.messages.append(message)
        if text.startswith(QUESTION) and message.sender != self.account:
            self._questions.put_nowait(text)

    # --- What it does by itself -----------------------------------------------------------------------

    async def _answer_questions(self) -> None:
        while True:
            question = await self._questions.get()
            try:
                await self.say(ANSWER + question.removeprefix(QUESTION))
            except LoadTestError as error:
                self._fail(error)

    async def _let_in(self) -> None:
        """Admit whoever waits."""
        while self.reason is None:
            await self._knocked.wait()
            self._knocked.clear()
            if not self._waiting:
                continue  # whoever knocked is in already, or gone
            try:
                await self.client.request("session.admit", session=self._session, accounts=self._waiting)
            except Disconnected:
                continue  # the next welcome gives reason again
            except Refused as refusal:
                # Somebody may have left meanwhile: then the list that tells so follows.
                if refusal.name != "not_waiting":
                    self._fail(refusal)
            except LoadTestError as error:
                self._fail(error)

    async def _exchange_media(self) -> None:
        """Offer, again whenever there is reason to."""
        while self.reason is None and self.meter.modality != "chat":
            await self._media_wanted.wait()
            self._media_wanted.clear()
            try:
                await self._negotiate()
            except Disconnected:
                continue  # the next welcome gives reason again
            except Refused as refusal:
                if not refusal.temporary:
                    self._fail(refusal)
                    return
                wait_ms = refusal.retry_after_ms
                await asyncio.sleep(OFFER_AGAIN_SECONDS if wait_ms is None else wait_ms / 1000)
                self._media_wanted.set()
            except LoadTestError as error:
                self._fail(error)
                return

    async def _negotiate(self) -> None:
        if self._renew:
            await self._hang_up()
        if self._call is None:
            self._call = Call(self.meter)
            self.calls += 1
        sdp = await self._call.offer()
        answer = await self.client.request("media.offer", session=self._session, sdp=sdp)
        check(answer, {"sdp": str, "generation": int}, "answer")
        if self._generation not in {None, answer["generation"]}:
            # The offer came from a connection to another worker than the one that answers.
            self._renew = True
            self._media_wanted.set()
            return
        self._generation = answer["generation"]
        await self._call.answer(answer["sdp"])

    async def _hang_up(self) -> None:
        call, self._call = self._call, None
        self._renew, self._generation = False, None
        if call is not None:
            await call.close()

    def _fail(self, error: LoadTestError) -> None:
        # What is refused after the end of the session is no trouble.
        if self._trouble is None and self.reason is None:
            self._trouble = error
            self._news.set()
