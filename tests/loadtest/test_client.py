"""The reference client against a server that plays scripts over real WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from loadtest.backoff import Backoff
from loadtest.client import Client, Pace
from loadtest.errors import Closed, Disconnected, Refused, TimedOut, Unreachable
from loadtest.wire import Map
from protocol import errors, frames, sessions
from protocol.frames import Ack, Error, Goodbye, MessageSend, Ok, Ping, Pong, Position, Removed, Reset, Sent
from protocol.signals import Typing
from tests.loadtest.fake_server import LIMITS, Conversation, FakeServer, Script, event, fake_server, head

QUICK = Pace(connect=5.0, reply=5.0, backoff=Backoff(0.001, 0.01))


class Recorder:
    """An app that writes down what it is given."""

    def __init__(self) -> None:
        self.welcomes: list[Map] = []
        self.events: list[Map] = []
        self.signals: list[Map] = []
        self.logs: list[str] = []

    def on_welcome(self, welcome: Map) -> None:
        self.welcomes.append(welcome)

    def on_event(self, one: Map) -> None:
        self.events.append(one)

    def on_log(self, frame: Map) -> None:
        self.logs.append(frame["op"])

    def on_signal(self, signal: Map) -> None:
        self.signals.append(signal)

    @property
    def offsets(self) -> list[int]:
        return [one["offset"] for one in self.events]


class Stage:
    """A client, its app and the scripted server."""

    def __init__(self, client: Client, app: Recorder, server: FakeServer) -> None:
        self.client = client
        self.app = app
        self.server = server


@asynccontextmanager
async def stage(*scripts: Script, pace: Pace = QUICK) -> AsyncIterator[Stage]:
    app = Recorder()
    async with (
        asyncio.timeout(60),
        fake_server(*scripts) as server,
        Client(server.url, "d1", lambda: "token", app, pace=pace) as client,
    ):
        yield Stage(client, app, server)


async def _lives(server: Conversation) -> None:
    """A connection that is used after its welcome."""
    await server.welcome()
    await server.say(Ping(1))
    await server.hear(Pong)


async def test_hello_welcome_and_a_round_trip() -> None:
    async def script(server: Conversation) -> None:
        hello = await server.welcome()
        assert (hello.token, hello.device, hello.versions, hello.rooms) == ("token", "d1", (1,), {})
        request = await server.hear(frames.TimeGet)
        await server.say(Ok(request.id, frames.Time(123)))
        await server.idle()

    async with stage(script) as on:
        assert await on.client.request("time.get") == {"of": "time.get", "server_now_ms": 123}
        assert on.app.welcomes[0]["account"] == "anna"


async def test_replies_find_their_requests_in_any_order() -> None:
    async def script(server: Conversation) -> None:
        await server.welcome()
        first, second = await server.hear(frames.RoomGet), await server.hear(frames.RoomGet)
        for request in (second, first):
            await server.say(Ok(request.id, frames.Time(7 if request.room == "a" else 8)))
        await server.idle()

    async with stage(script) as on:
        results = await asyncio.gather(*(on.client.request("room.get", room=room) for room in "ab"))
        assert [one["server_now_ms"] for one in results] == [7, 8]


async def test_events_are_handed_over_once_in_order_and_then_acknowledged() -> None:
    async def script(server: Conversation) -> None:
        await server.welcome(head(3))
        for offset in (1, 2, 3):
            await server.say(event(offset))
            assert await server.hear(Ack) == Ack("r1", 1, offset)
        await server.say(event(2), event(4))
        assert await server.hear(Ack) == Ack("r1", 1, 4)

    async with stage(script) as on:
        await on.server.finished
        assert on.app.offsets == [1, 2, 3, 4]
        assert on.client.tally.repeated == 1


async def test_a_gap_is_not_handed_over_but_filled_by_resuming() -> None:
    async def with_gap(server: Conversation) -> None:
        await server.welcome(head(0))
        await server.say(event(1), event(3))
        await server.hear(Ack)
        await server.idle()

    async def filled(server: Conversation) -> None:
        hello = await server.welcome(head(3))
        assert hello.rooms == {"r1": Position(1, 1)}
        await server.say(event(2), event(3))
        await server.hear(Ack)
        await server.hear(Ack)

    async with stage(with_gap, filled) as on:
        await on.server.finished
        assert on.app.offsets == [1, 2, 3]
        assert on.client.tally.gaps == 1


async def test_a_reset_starts_the_log_again_in_its_new_epoch() -> None:
    async def script(server: Conversation) -> None:
        await server.welcome(head(9, cursor=9))
        await server.say(Reset("r1", 2, 5, "epoch"), event(5, epoch=2), event(6, epoch=2))
        await server.hear(Ack)
        assert await server.hear(Ack) == Ack("r1", 2, 6)

    async with stage(script) as on:
        await on.server.finished
        assert on.app.offsets == [5, 6]
        assert (on.client.tally.resets, on.client.tally.gaps) == (1, 0)


async def test_the_log_of_a_room_entered_while_connected_begins_where_the_server_begins() -> None:
    async def script(server: Conversation) -> None:
        await server.welcome()
        await server.say(event(7, room="new"), event(8, room="new"))
        await server.hear(Ack)
        await server.hear(Ack)
        await server.say(Removed("new"), event(1, room="new"))
        await server.hear(Ack)

    async with stage(script) as on:
        await on.server.finished
        assert on.app.offsets == [7, 8, 1]


async def test_a_message_unanswered_at_a_cut_is_sent_again_with_the_same_mid() -> None:
    seen: list[MessageSend] = []

    async def cut_off(server: Conversation) -> None:
        await server.welcome(head(0))
        seen.append(await server.hear(MessageSend))
        server.abort()

    async def answers(server: Conversation) -> None:
        await server.welcome(head(0))
        seen.append(await server.hear(MessageSend))
        await server.say(Ok(seen[1].id, Sent(1, 1, 5, True)))
        await server.idle()

    async with stage(cut_off, answers) as on:
        mid, sent = await on.client.send_message("r1", b"hello", session="s1")
        assert (sent["offset"], sent["duplicate"]) == (1, True)
        assert seen[0] == seen[1]
        assert (seen[0].mid, seen[0].data, seen[0].session) == (mid, b"hello", "s1")
        assert mid.version == 7
        assert (on.client.tally.connections, on.client.tally.cuts) == (2, 1)


async def test_messages_keep_their_order_across_a_cut() -> None:
    async def cut_off(server: Conversation) -> None:
        await server.welcome()
        server.abort()

    async def answers(server: Conversation) -> None:
        await server.welcome()
        for expected in range(5):
            message = await server.hear(MessageSend)
            assert message.data == b"%d" % expected
            await server.say(Ok(message.id, Sent(1, expected + 1, 5)))
        await server.idle()

    async with stage(cut_off, answers) as on:
        sent = await asyncio.gather(*(on.client.send_message("r1", b"%d" % one) for one in range(5)))
        assert [place["offset"] for _, place in sent] == [1, 2, 3, 4, 5]


async def test_sessions_are_joined_again_before_anything_is_sent_into_them() -> None:
    async def cut_off(server: Conversation) -> None:
        await server.welcome()
        joins = await server.hear(sessions.SessionJoin)
        await server.say(Ok(joins.id, frames.Time(1)))
        await server.hear(MessageSend)
        server.abort()

    async def again(server: Conversation) -> None:
        await server.welcome()
        joins = await server.hear(sessions.SessionJoin)
        assert joins.session == "s1"
        await server.say(Ping(1))
        await server.hear(Pong)  # nothing else was sent while the reply is due
        await server.say(Ok(joins.id, frames.Time(1)))
        message = await server.hear(MessageSend)
        await server.say(Ok(message.id, Sent(1, 1, 5)))
        await server.idle()

    async with stage(cut_off, again) as on:
        await on.client.join("s1")
        _, sent = await on.client.send_message("r1", b"x", session="s1")
        assert sent["offset"] == 1


async def test_a_session_that_is_over_is_not_joined_a_third_time() -> None:
    returned = asyncio.Event()

    async def cut_off(server: Conversation) -> None:
        await server.welcome()
        joins = await server.hear(sessions.SessionJoin)
        await server.say(Ok(joins.id, frames.Time(1)))
        server.abort()

    async def over(server: Conversation) -> None:
        await server.welcome()
        joins = await server.hear(sessions.SessionJoin)
        await server.say(_error(errors.SESSION_OVER, joins.id), Ping(1))
        await server.hear(Pong)
        server.abort()

    async def not_again(server: Conversation) -> None:
        await server.welcome()
        returned.set()
        request = await server.hear(frames.TimeGet)
        await server.say(Ok(request.id, frames.Time(1)))
        await server.idle()

    async with stage(cut_off, over, not_again) as on:
        await on.client.join("s1")
        await returned.wait()
        assert await on.client.request("time.get")


async def test_a_temporary_refusal_of_a_message_is_waited_out() -> None:
    async def script(server: Conversation) -> None:
        await server.welcome()
        first = await server.hear(MessageSend)
        await server.say(_error(errors.STORE_FULL, first.id, retry_after_ms=1))
        second = await server.hear(MessageSend)
        assert second.mid == first.mid
        await server.say(Ok(second.id, Sent(1, 1, 5)))
        await server.idle()

    async with stage(script) as on:
        _, sent = await on.client.send_message("r1", b"x")
        assert sent["offset"] == 1


async def test_other_requests_fail_at_a_cut_and_the_next_one_waits_for_the_connection() -> None:
    async def cut_off(server: Conversation) -> None:
        await server.welcome()
        await server.hear(sessions.SessionJoin)
        server.abort()

    async def answers(server: Conversation) -> None:
        await server.welcome()
        request = await server.hear(frames.TimeGet)
        await server.say(Ok(request.id, frames.Time(1)))
        await server.idle()

    async with stage(cut_off, answers) as on:
        with pytest.raises(Disconnected):
            await on.client.request("session.join", session="s1")
        assert await on.client.request("time.get")


async def test_an_error_is_raised_with_its_stable_name() -> None:
    async def script(server: Conversation) -> None:
        await server.welcome()
        request = await server.hear(sessions.SessionJoin)
        await server.say(_error(errors.SESSION_NOT_OPEN, request.id, retry_after_ms=9_000))
        await server.idle()

    async with stage(script) as on:
        with pytest.raises(Refused) as refusal:
            await on.client.request("session.join", session="s1")
        raised = refusal.value
        assert (raised.name, raised.code, raised.temporary) == ("session_not_open", 1302, True)
        assert raised.retry_after_ms == 9_000


async def test_a_reply_that_does_not_come_is_a_time_out() -> None:
    async def script(server: Conversation) -> None:
        await server.welcome()
        await server.idle()

    async with stage(script, pace=replace(QUICK, reply=0.05)) as on:
        with pytest.raises(TimedOut, match=r"time\.get"):
            await on.client.request("time.get")
        with pytest.raises(TimedOut, match=r"message\.send"):
            await on.client.send_message("r1", b"")


async def test_pings_are_answered_with_their_own_time() -> None:
    async def script(server: Conversation) -> None:
        await server.welcome()
        await server.say(Ping(77))
        assert await server.hear(Pong) == Pong(77)

    async with stage(script) as on:
        await on.server.finished


async def test_a_head_that_stays_out_of_reach_makes_the_client_resume() -> None:
    async def silent(server: Conversation) -> None:
        await server.welcome(head(0))
        for _ in range(2):
            await server.say(Ping(1, {"r1": 4}))
            await server.hear(Pong)
        await server.idle()

    async def resumed(server: Conversation) -> None:
        hello = await server.welcome(head(4))
        assert hello.rooms == {"r1": Position(1, 0)}

    async with stage(silent, resumed) as on:
        await on.server.finished


async def test_a_server_that_falls_silent_is_left() -> None:
    async def silent(server: Conversation) -> None:
        await server.welcome(limits=msgspec.structs.replace(LIMITS, ping_ms=10))
        await server.idle()

    async with stage(silent, _lives) as on:
        await on.server.finished
        assert on.client.tally.connections == 2


@pytest.mark.parametrize("code", [4000, 4001, 4004, 4006, 4499, 1001, 1011])
async def test_codes_below_4500_bring_the_client_back(code: int) -> None:
    async def closes(server: Conversation) -> None:
        await server.welcome()
        await server.close(code)

    async with stage(closes, _lives) as on:
        await on.server.finished
        assert on.client.tally.connections == 2


@pytest.mark.parametrize("code", [4500, 4501, 4503, 4509])
async def test_codes_from_4500_on_end_the_conversation(code: int) -> None:
    async def closes(server: Conversation) -> None:
        await server.welcome()
        await server.hear(frames.TimeGet)
        await server.close(code)

    async with stage(closes) as on:
        for _ in range(2):
            with pytest.raises(Closed) as closed:
                await on.client.request("time.get")
            assert (closed.value.code, closed.value.name) == (code, f"closed_{code}")
        assert on.client.tally.connections == 1


async def test_a_refused_hello_raises_the_servers_reason() -> None:
    async def refuses(server: Conversation) -> None:
        await server.hear(frames.Hello)
        await server.say(_error(errors.TOKEN_SIGNATURE, None))
        await server.close(4500)

    with pytest.raises(Refused) as refusal:
        async with stage(refuses):
            pass
    assert refusal.value.name == "token_signature"


async def test_a_goodbye_says_when_to_come_back() -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def says_goodbye(server: Conversation) -> None:
        await server.welcome()
        await server.say(Goodbye("drain", 300))
        await server.close(4000)
        times.append(loop.time())

    async def again(server: Conversation) -> None:
        await server.welcome()
        times.append(loop.time())

    async with stage(says_goodbye, again) as on:
        await on.server.finished
        # The bound is the one asked for; the pause of the back-off alone would be at most 0.01 s.
        assert times[1] - times[0] > 0.2


async def test_nobody_there_is_unreachable() -> None:
    async with fake_server() as server:
        url = server.url
    client = Client(url, "d1", lambda: "token", Recorder(), pace=replace(QUICK, connect=0.2))
    with pytest.raises(Unreachable):
        await client.connect()


@pytest.mark.parametrize(
    "fault",
    [
        "text",
        b"\xc1",
        b"\x01",
        b"\x80",
        b"\x81\xa2op\xa7unknown",
        b"\x81\xa2op\xa5event",
        b"\x81\xa2op\xa7removed\x00",
    ],
)
async def test_what_is_no_frame_is_counted_and_the_connection_left(fault: bytes | str) -> None:
    async def faulty(server: Conversation) -> None:
        await server.welcome()
        await server.say(fault)
        await server.idle()

    async with stage(faulty, _lives) as on:
        await on.server.finished
        assert on.client.tally.faults == 1


async def test_signals_are_handed_over() -> None:
    async def script(server: Conversation) -> None:
        await server.welcome()
        await server.say(frames.Signal("r1", Typing(active=True), "ben"), Ping(1))
        await server.hear(Pong)

    async with stage(script) as on:
        await on.server.finished
        assert on.app.signals[0]["body"] == {"kind": "typing", "active": True}


async def test_what_the_app_raises_ends_the_conversation_and_is_raised_by_close() -> None:
    class Broken(Recorder):
        def on_event(self, one: Map) -> None:
            raise KeyError("app")

    connected = asyncio.Event()

    async def script(server: Conversation) -> None:
        await server.welcome(head(0))
        await connected.wait()
        await server.say(event(1))
        await server.idle()

    async with fake_server(script) as server, asyncio.timeout(60):
        client = Client(server.url, "d1", lambda: "token", Broken(), pace=QUICK)
        await client.connect()
        connected.set()
        with pytest.raises(Closed):
            await client.request("time.get")
        with pytest.raises(KeyError):
            await client.close()


def _error(kind: errors.ErrorKind, request_id: int | None, **more: Any) -> Error:
    return Error(kind.code, kind.name, kind.temporary, kind.meaning, kind.hint, request_id, **more)
