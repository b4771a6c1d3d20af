"""The demonstration: one video session through a private server, told as it happens and then judged.

What is told along the way is for people. What counts is judged at the end, by :mod:`loadtest.verdict`, from
what both participants have in their hands.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TextIO

import aiohttp

from loadtest.backend import BackEnd
from loadtest.errors import LoadTestError
from loadtest.peer import Peer
from loadtest.private_server import private_server
from loadtest.transcript import Transcript
from loadtest.verdict import CLIENT, ENOUGH_PICTURES, THERAPIST, Facts, Seen, judge, table
from protocol.e2ee.attachments import encrypted_size

SESSION_SECONDS: Final = 20
AWAY_SECONDS: Final = 3.0
WAIT_SECONDS: Final = 10.0
MOVING_PICTURES: Final = 5
"""So many new pictures, and the other side is not frozen."""
MEDIA_SECONDS: Final = 20.0
THINKING_SECONDS: Final = 0.7
TOLD_EVERY_SECONDS: Final = 4.0
SETTINGS: Final = {"RAPPORT_SESSIONS_MIN_MINUTES": "0.1", "RAPPORT_MEDIA_WORKERS": "1"}

GREETING: Final = "Good morning! How was your week?"
REPLY: Final = "Better than the last one."
MEANWHILE: Final = ("Your connection seems to be gone.", "Take your time.", "I am still here.")
AWAY: Final = "Can you still hear me?"
FAREWELL: Final = "Welcome back. I have your message."
WORKSHEET_NAME: Final = "What helps at night.txt"
WORKSHEET: Final = (
    "When I lie awake I can get up, read, and write down what goes round in my head.\n" * 2_000
).encode()
WORKSHEET_LINE: Final = "write down what goes round in my head"
TEXTS: Final = (GREETING, REPLY, *MEANWHILE, AWAY, FAREWELL)


async def show(out: TextIO) -> int:
    """Hold the session, write the transcript and the verdict: 0 if everything was observed, 1 if not."""
    transcript = Transcript(out)
    transcript.heading("A video session between a therapist and a client, through a server of its own")
    facts = Facts()
    seen = {THERAPIST: Seen(), CLIENT: Seen()}
    try:
        with tempfile.TemporaryDirectory(prefix="rapport-demo-") as folder:
            room = await _hold(transcript, facts, seen, Path(folder))
            _search(transcript, facts, room, Path(folder))
    except LoadTestError as error:
        facts.stopped_by = error.name
        transcript.line("demo", f"stops here: {error}")
    verdict = judge(facts, seen)
    transcript.heading(table(seen, verdict["missing"]))
    transcript.last(json.dumps(verdict))
    return 0 if verdict["result"] == "ok" else 1


async def _hold(transcript: Transcript, facts: Facts, seen: dict[str, Seen], folder: Path) -> str:
    """The session, with the server's store in a folder: the id of the room."""
    settings = SETTINGS | {"RAPPORT_STORE_URL": f"sqlite:///{folder / 'rapport.db'}"}
    transcript.line("demo", "starts a private server …")
    async with private_server(settings) as target, aiohttp.ClientSession() as http:
        transcript.line("server", f"is ready at {target.url}")
        therapist = Peer(target, THERAPIST, "therapist", "video")
        client = Peer(target, CLIENT, "client", "video")
        try:
            room = await Story(transcript, facts, BackEnd(target, http), http, therapist, client).tell()
        finally:
            await asyncio.gather(therapist.close(), client.close())
            seen |= {peer.account: _seen(peer) for peer in (therapist, client)}
        transcript.line("demo", "stops the server")
    return room


def _search(transcript: Transcript, facts: Facts, room: str, folder: Path) -> None:
    """Look in what the server leaves behind for what was written, and for what has to be there."""
    left = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    sealed_size = encrypted_size(len(WORKSHEET))
    facts.searched = _holds(left, room) and any(len(file) == sealed_size for file in left)
    facts.readable = sum(_holds(left, text) for text in TEXTS)
    facts.worksheet_readable = _holds(left, WORKSHEET_NAME) or _holds(left, WORKSHEET_LINE)
    megabytes = sum(map(len, left)) / 1e6
    worksheet = "the worksheet too" if facts.worksheet_readable else "nothing of the worksheet"
    found = f"finds {facts.readable} of the {len(TEXTS)} messages readable in it, and {worksheet}"
    transcript.line("demo", f"searches the server's database and files, {megabytes:.1f} MB: {found}")


def _holds(files: Iterable[bytes], text: str) -> bool:
    return any(text.encode() in file for file in files)


class Story:
    """The session, step by step. What is observed goes into ``facts`` as soon as it is."""

    def __init__(
        self,
        transcript: Transcript,
        facts: Facts,
        back_end: BackEnd,
        http: aiohttp.ClientSession,
        therapist: Peer,
        client: Peer,
    ) -> None:
        self._line = transcript.line
        self._facts = facts
        self._back_end = back_end
        self._http = http
        self._therapist = therapist
        self._client = client
        self._peers = (therapist, client)

    async def tell(self) -> str:
        """From the creation of the session to its end: the id of the room.

        Raises :exc:`LoadTestError` at what goes wrong.
        """
        room = await self._back_end.create_room({THERAPIST: "therapist", CLIENT: "client"})
        created = time.monotonic()
        session = await self._back_end.create_session(room, "video", SESSION_SECONDS, waiting_room="everyone")
        self._line("back end", f"creates a room for both, and in it a video session of {SESSION_SECONDS} s")
        await self._meet(room, session)
        await self._see_each_other()
        await self._chat()
        await self._hand_over_worksheet()
        await self._cut_off()
        await self._end(session, created + SESSION_SECONDS)
        return room

    async def _meet(self, room: str, session: str) -> None:
        seconds = await self._client.join(room, session)
        self._line(CLIENT, f"connects and knocks, in {seconds * 1000:.0f} ms")
        self._facts.waited = not self._client.inside
        self._line(CLIENT, "sits in the waiting room: no roster, no messages, no media")
        seconds = await self._therapist.join(room, session)
        self._line(THERAPIST, f"connects and joins, in {seconds * 1000:.0f} ms")
        await self._therapist.until(lambda: CLIENT in self._therapist.knocks, WAIT_SECONDS, "knock")
        self._line(THERAPIST, "sees the client in the waiting room, and lets them in")
        await self._client.admitted(WAIT_SECONDS)
        self._line(CLIENT, "is admitted")
        for peer in self._peers:
            await peer.live(WAIT_SECONDS)
        self._line("server", "both are present: the session is live")

    async def _see_each_other(self) -> None:
        for peer in self._peers:
            await peer.first_media(MEDIA_SECONDS)
            self._line(peer.account, f"sees and hears the {_other(peer)}")
        for peer in self._peers:
            await self._picture_count(peer, ENOUGH_PICTURES)
            sound = f"{peer.meter.sounds * 0.02:.1f} s of sound"
            self._line(peer.account, f"has decoded {peer.meter.pictures} different pictures and {sound}")

    async def _picture_count(self, peer: Peer, count: int) -> None:
        await peer.until(lambda: peer.meter.pictures >= count, MEDIA_SECONDS, "pictures")

    async def _chat(self) -> None:
        self._line("demo", "what they write is encrypted on their devices, and only there it is read")
        await self._write(self._therapist, GREETING)
        await self._read(self._client, GREETING)
        await asyncio.sleep(THINKING_SECONDS)
        await self._write(self._client, REPLY)
        await self._read(self._therapist, REPLY)
        await asyncio.sleep(THINKING_SECONDS)

    async def _hand_over_worksheet(self) -> None:
        """A file of the therapist reaches the client, encrypted all the way."""
        seconds = await self._therapist.give(self._http, WORKSHEET_NAME, WORKSHEET)
        size = f"{len(WORKSHEET) / 1e3:.0f} kB"
        self._line(THERAPIST, f"encrypts a worksheet of {size} and uploads it in {seconds * 1000:.0f} ms")
        received, seconds = await self._client.take(self._http, WORKSHEET_NAME, WAIT_SECONDS)
        self._facts.worksheet = received == WORKSHEET
        same = "the same" if self._facts.worksheet else "another"
        self._line(CLIENT, f"fetches it and opens it in {seconds * 1000:.0f} ms: it is {same}")

    async def _cut_off(self) -> None:
        self._client.client.cut(AWAY_SECONDS)
        self._line(CLIENT, "is cut off: the connection drops without a goodbye")
        # What the client writes now waits with it; what the therapist writes waits on the server.
        await asyncio.gather(self._client.say(AWAY), self._while_away())
        for text in MEANWHILE:
            await self._read(self._client, text)
        await self._read(self._therapist, AWAY)
        await self._write(self._therapist, FAREWELL)
        await self._read(self._client, FAREWELL)

    async def _while_away(self) -> None:
        before = [(peer.meter.pictures, peer.meter.sounds) for peer in self._peers]
        cut_at = time.monotonic()
        self._line(CLIENT, f"writes, into the void: “{AWAY}”")
        for text in MEANWHILE:
            await asyncio.sleep(THINKING_SECONDS)
            await self._write(self._therapist, text)
        if not self._client.client.connected:
            self._facts.meanwhile = len(MEANWHILE)
        await self._client.until(lambda: self._client.client.connected, AWAY_SECONDS + WAIT_SECONDS, "resume")
        self._facts.media_went_on = all(
            peer.meter.pictures >= pictures + MOVING_PICTURES and peer.meter.sounds > sounds
            for peer, (pictures, sounds) in zip(self._peers, before, strict=True)
        )
        went_on = "went on" if self._facts.media_went_on else "did not go on"
        seconds = time.monotonic() - cut_at
        self._line(CLIENT, f"is back after {seconds:.1f} s; pictures and sound {went_on} meanwhile")

    async def _end(self, session: str, due: float) -> None:
        self._line("demo", "waits for the server's clock to end the session")
        while (left := due - time.monotonic()) > TOLD_EVERY_SECONDS:
            pictures = self._therapist.meter.pictures
            self._line(THERAPIST, f"has decoded {pictures} different pictures; {left:.0f} s are left")
            await asyncio.sleep(TOLD_EVERY_SECONDS)
        for peer in self._peers:
            await peer.ended(due - time.monotonic() + WAIT_SECONDS)
        lasted = time.monotonic() - due + SESSION_SECONDS
        self._line("server", f"ends the session for both after {lasted:.1f} s: {self._therapist.reason}")
        self._facts.state = (await self._back_end.session(session))["state"]
        self._line("back end", f"finds the session {self._facts.state}")

    async def _write(self, peer: Peer, text: str) -> None:
        await peer.say(text)
        self._line(peer.account, f"writes: “{text}”")

    async def _read(self, peer: Peer, text: str) -> None:
        await peer.until(lambda: peer.heard(text), WAIT_SECONDS, "message")
        self._line(peer.account, f"reads:  “{text}”")


def _other(peer: Peer) -> str:
    return CLIENT if peer.account == THERAPIST else THERAPIST


def _seen(peer: Peer) -> Seen:
    """What a participant has in its hands, after it has been closed."""
    meter, tally = peer.meter, peer.client.tally
    return Seen(
        pictures=meter.pictures,
        sounds=meter.sounds,
        energy=meter.energy,
        packets_received=meter.packets_received,
        packets_lost=meter.packets_lost,
        sent=tuple(peer.sent),
        messages=tuple((message.sender, message.mid) for message in peer.messages),
        doubled=peer.doubled,
        undecryptable=peer.chat.undecryptable,
        live="live" in peer.changes,
        reason=peer.reason,
        connections=tally.connections,
        irregular=tally.faults + tally.gaps + tally.resets + tally.repeated,
    )
