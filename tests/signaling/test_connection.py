"""The rules of one connection: whatever comes in whatever order, only its own effects come out."""

from __future__ import annotations

import dataclasses
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from config.settings import LimitSettings
from protocol import errors
from protocol.base import Frame, Request
from protocol.codec import Subprotocol, client_decoder, encode
from protocol.errors import ProtocolError
from protocol.frames import Ack, Hello, MessageSend, Pong, SignalSend, TimeGet
from protocol.signals import Opaque
from relay.token_bucket import TokenBucket
from signaling.door.connection import (
    PING_JITTER,
    Acknowledge,
    Close,
    Connection,
    Perform,
    Probe,
    Refuse,
    State,
    Verify,
)
from tests.strategies import client_frames

LIMITS = LimitSettings()
HELLO = Hello(device="d", token="t")
NEVER = 1e12


def connection(**limits: Any) -> Connection:
    """One that was just opened, at 0.0."""
    given_limits = dataclasses.replace(LIMITS, **limits)
    decoder = client_decoder(Subprotocol.MSGPACK, given_limits.frame_bytes)
    return Connection(decoder, given_limits, 0.0)


def opened(**limits: Any) -> Connection:
    """One that was welcomed at 0.0, and whose token never runs out."""
    core = connection(**limits)
    assert isinstance(core.receive(wire(HELLO), 0.0), Verify)
    core.welcome(NEVER, TokenBucket(1e6, 1e6, 0.0), 0.0, 0.5)
    return core


def wire(frame: Frame) -> bytes:
    return encode(frame, Subprotocol.MSGPACK)


def refusal(effect: object) -> tuple[int, str]:
    assert isinstance(effect, Refuse)
    return effect.request_id, effect.error.kind.name


def ending(effect: object) -> tuple[int, str | None]:
    assert isinstance(effect, Close)
    return effect.code.code, effect.error.kind.name if effect.error else None


# --- Hello ---


def test_a_hello_is_verified_and_then_requests_are_taken() -> None:
    core = connection()
    assert core.receive(wire(HELLO), 1.0) == Verify(HELLO)
    assert core.state is State.VERIFYING
    core.welcome(NEVER, TokenBucket(1, 1, 1.0), 1.0, 0.5)
    assert core.receive(wire(TimeGet(7)), 1.0) == Perform(TimeGet(7))


@pytest.mark.parametrize("frame", [TimeGet(1), Pong(1), Ack("r", 1, 1)])
def test_anything_else_first_ends_it(frame: Frame) -> None:
    assert ending(connection().receive(wire(frame), 0.0)) == (4502, "out_of_order")


def test_anything_while_the_hello_is_verified_ends_it() -> None:
    core = connection()
    core.receive(wire(HELLO), 0.0)
    assert ending(core.receive(wire(HELLO), 0.0)) == (4502, "out_of_order")


def test_a_second_hello_ends_it() -> None:
    assert ending(opened().receive(wire(HELLO), 0.0)) == (4501, "out_of_order")


def test_no_hello_in_time_ends_it() -> None:
    core = connection()
    assert core.deadline == LIMITS.hello_seconds
    assert core.timeout(LIMITS.hello_seconds - 0.001, 0.5) is None
    assert ending(core.timeout(LIMITS.hello_seconds, 0.5)) == (4502, "out_of_order")
    assert core.deadline == float("inf")


# --- What is not right ---


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "malformed"),
        (b"\xc1", "malformed"),
        (b"hello", "malformed"),
        ("{}", "malformed"),
        (bytes(LIMITS.frame_bytes + 1), "too_large"),
        (b"\x91" * 5000 + b"\x90", "malformed"),
        (wire(TimeGet(1))[:-2], "malformed"),
        (b"\x81\xa2op\xa4nope", "unknown_op"),
        (b"\x81\xa2op\xa7welcome", "unknown_op"),
    ],
)
def test_what_is_not_a_frame_ends_it(data: bytes | str, name: str) -> None:
    assert ending(opened().receive(data, 0.0)) == (4501, name)


def test_a_request_that_is_not_valid_is_refused_by_its_id_and_the_connection_lives() -> None:
    core = opened()
    assert refusal(core.receive(b"\x82\xa2op\xa4nope\xa2id\x05", 0.0)) == (5, "unknown_op")
    assert refusal(core.receive(b"\x82\xa2op\xa8room.get\xa2id\x06", 0.0)) == (6, "invalid_field")
    assert core.receive(wire(TimeGet(5)), 0.0) == Perform(TimeGet(5))


def test_messages_and_signals_larger_than_announced_are_refused() -> None:
    core = opened(message_bytes=1024, signal_bytes=256)
    mid = UUID(int=1)
    assert refusal(core.receive(wire(MessageSend(1, "r", mid, bytes(1025))), 0.0)) == (1, "too_large")
    assert refusal(core.receive(wire(SignalSend(2, "r", Opaque(bytes(257)))), 0.0)) == (2, "too_large")
    assert isinstance(core.receive(wire(MessageSend(3, "r", mid, bytes(1024))), 0.0), Perform)
    assert isinstance(core.receive(wire(SignalSend(4, "r", Opaque(bytes(256)))), 0.0), Perform)


# --- Requests in flight ---


def test_an_id_is_free_again_once_its_reply_is_sent() -> None:
    core = opened()
    core.receive(wire(TimeGet(1)), 0.0)
    assert refusal(core.receive(wire(TimeGet(1)), 0.0)) == (1, "id_in_use")
    core.finish(1)
    assert core.receive(wire(TimeGet(1)), 0.0) == Perform(TimeGet(1))


def test_no_more_requests_are_in_flight_than_announced() -> None:
    core = opened(requests_in_flight=3)
    for number in range(3):
        assert isinstance(core.receive(wire(TimeGet(number)), 0.0), Perform)
    assert refusal(core.receive(wire(TimeGet(3)), 0.0)) == (3, "too_many_in_flight")
    core.finish(0)
    assert isinstance(core.receive(wire(TimeGet(4)), 0.0), Perform)


# --- Rates ---


def flood(core: Connection, frame: Frame, now: float) -> list[object]:
    """What comes of sending the same until the connection ends or nothing changes for long."""
    effects: list[object] = []
    for _ in range(10_000):
        effect = core.receive(wire(frame), now)
        if isinstance(effect, Perform):
            core.finish(effect.request.id)
        effects.append(effect)
        if isinstance(effect, Close):
            break
    return effects


def test_beyond_the_rate_requests_are_refused_and_in_the_end_the_connection_is_closed() -> None:
    effects = flood(opened(requests_per_second=10.0, requests_burst=20), TimeGet(1), 0.0)
    assert [type(effect) for effect in effects] == [Perform] * 20 + [Refuse] * 20 + [Close]
    first = effects[20]
    assert isinstance(first, Refuse)
    assert first.error.kind is errors.RATE_LIMITED
    assert first.error.retry_after_ms == 101
    assert ending(effects[-1]) == (4006, "rate_limited")


def test_twice_the_rate_is_borne_for_as_long_as_it_lasts() -> None:
    core = opened(requests_per_second=10.0, requests_burst=20)
    taken = 0
    for step in range(2_000):
        effect = core.receive(wire(TimeGet(step)), step / 20)
        assert not isinstance(effect, Close)
        taken += isinstance(effect, Perform)
        core.finish(step)
    assert taken == pytest.approx(2_000 / 2 + 20, abs=5)


def test_all_connections_of_an_account_share_its_rate() -> None:
    account = TokenBucket(1.0, 5, 0.0)
    cores = [connection(), connection()]
    taken = 0
    for core in cores:
        core.receive(wire(HELLO), 0.0)
        core.welcome(NEVER, account, 0.0, 0.5)
    for number in range(8):
        effect = cores[number % 2].receive(wire(TimeGet(number)), 0.0)
        taken += isinstance(effect, Perform)
    assert taken == 5


def test_acknowledgements_are_cheap_but_not_free() -> None:
    effects = flood(opened(requests_per_second=1.0, requests_burst=10), Ack("r", 1, 1), 0.0)
    assert isinstance(effects[0], Acknowledge)
    assert 10 * 32 < len(effects) <= 2 * 10 * 32 + 1
    assert ending(effects[-1]) == (4006, "rate_limited")


def test_refused_frames_count_too() -> None:
    core = opened(requests_per_second=1.0, requests_burst=2)
    invalid = b"\x82\xa2op\xa4nope\xa2id\x05"
    names = [refusal(core.receive(invalid, 0.0))[1] for _ in range(4)]
    assert names == ["unknown_op", "unknown_op", "rate_limited", "rate_limited"]
    assert ending(core.receive(invalid, 0.0)) == (4006, "rate_limited")


# --- Time ---


def test_pings_come_with_jitter_and_an_answer_keeps_the_connection() -> None:
    core, now = opened(), 0.0
    for jitter in (0.0, 0.999, 0.5, 0.1):
        now = core.deadline
        assert core.timeout(now, jitter) == Probe()
        core.receive(wire(Pong(1)), now + 1)
        wait = core.deadline - now
        assert (1 - PING_JITTER) * 25 - 1e-6 <= wait <= (1 + PING_JITTER) * 25 + 1e-6
        assert wait == pytest.approx(25 * (1 - PING_JITTER + 2 * PING_JITTER * jitter))


def test_no_answer_to_a_ping_ends_it() -> None:
    core = opened()
    pinged = core.deadline
    assert core.timeout(pinged, 0.9) == Probe()
    assert core.deadline == pinged + LIMITS.pong_seconds
    assert ending(core.timeout(core.deadline, 0.5)) == (4004, None)


def test_a_token_that_runs_out_ends_it_unless_it_is_refreshed() -> None:
    core = connection()
    core.receive(wire(HELLO), 0.0)
    core.welcome(15.0, TokenBucket(1, 1, 0.0), 0.0, 0.5)
    core.refresh(18.0)
    assert core.timeout(15.0, 0.5) is None
    assert ending(core.timeout(18.0, 0.5)) == (4005, "token_expired")


# --- Anything ---


@settings(max_examples=300)
@given(st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=60), client_frames.map(wire)), max_size=8))
def test_before_hello_nothing_follows_but_verify_or_close(
    frames: list[bytes | str],
) -> None:
    core = connection()
    for data in frames:
        effect = core.receive(data, 0.0)
        if core.state is State.VERIFYING:
            assert isinstance(effect, Verify)
        else:
            assert core.state is State.CLOSED
            assert effect is None or isinstance(effect, Close)


class AnyConversation(RuleBasedStateMachine):
    """Any frames, replies and waits: one reply belongs to each request, and time always moves on."""

    def __init__(self) -> None:
        super().__init__()
        self.core = opened(requests_in_flight=4, requests_per_second=5.0, requests_burst=10)
        self.now = 0.0
        self.waiting: set[int] = set()
        self.closed = False

    def take(self, effect: object) -> None:
        assert not self.closed or effect is None, "nothing follows a close"
        match effect:
            case None | Probe() | Acknowledge():
                pass
            case Perform(request):
                assert request.id not in self.waiting
                self.waiting.add(request.id)
            case Refuse(request_id, error):
                assert isinstance(error, ProtocolError)
                assert request_id not in self.waiting or error.kind in {
                    errors.ID_IN_USE,
                    errors.RATE_LIMITED,
                    errors.TOO_MANY_IN_FLIGHT,
                    errors.INVALID_FIELD,
                    errors.UNKNOWN_OP,
                }
            case Close():
                self.closed = True
            case _:
                raise AssertionError(effect)

    @rule(data=st.one_of(st.binary(max_size=80), st.text(max_size=20)))
    def bytes_come(self, data: bytes | str) -> None:
        self.take(self.core.receive(data, self.now))

    @rule(frame=client_frames)
    def a_frame_comes(self, frame: Frame) -> None:
        effect = self.core.receive(wire(frame), self.now)
        if isinstance(frame, Request) and not self.closed:
            assert isinstance(effect, Perform | Refuse | Close), "no request is left without an answer"
        self.take(effect)

    @rule()
    def a_websocket_ping_comes(self) -> None:
        self.take(self.core.control(self.now))

    @precondition(lambda self: self.waiting)
    @rule(choice=st.randoms(use_true_random=False))
    def a_reply_goes(self, choice: Any) -> None:
        done = choice.choice(sorted(self.waiting))
        self.waiting.discard(done)
        self.core.finish(done)

    @rule(seconds=st.floats(0, 60), jitter=st.floats(0, 0.999))
    def time_passes(self, seconds: float, jitter: float) -> None:
        self.now += seconds
        for _ in range(10):
            if self.core.deadline > self.now:
                return
            self.take(self.core.timeout(self.now, jitter))
        raise AssertionError("the deadline does not move on")

    @invariant()
    def no_more_in_flight_than_allowed(self) -> None:
        assert self.core.in_flight == len(self.waiting) <= 4
        assert (self.core.state is State.CLOSED) == self.closed


TestAnyConversation = AnyConversation.TestCase
