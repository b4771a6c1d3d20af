"""Calls over several nodes: whatever is lost, late or repeated between them, and whichever of them dies.

When all is quiet again, nobody has media who is out of the session, nothing is forwarded that its modality
excludes, no node keeps what another has; whoever was answered last by the host has media there, and whoever
was not has been told to offer again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import ValidationError
from msgspec.structs import replace

from protocol import errors
from protocol.errors import ProtocolError
from protocol.fields import Role
from protocol.frames import Answer
from protocol.signals import Reoffer
from rtc.errors import RequestTimeout
from signaling.caller import Caller
from signaling.media import cut as cut_module
from signaling.media import hosting as hosting_module
from signaling.media import pool as pool_module
from signaling.media.messages import Unknown, decode_reply
from signaling.media.placement import Place, Seat
from signaling.sessions.commands import ChangeModality, Drop, End, Join, Leave
from signaling.sessions.session import Session
from tests.signaling.media_world import Fate, MediaNode, World, world
from tests.signaling.sessions_core_kit import OPENS, START, after, live, scheduled
from tests.signaling.sessions_kit import person
from tests.signaling.waiting import until

S = "s1"
ROLES: dict[str, Role] = {"anna": "therapist", "ben": "client", "cleo": "guest"}


@pytest.fixture(autouse=True, scope="module")
def _no_pauses() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module, names in (
            (cut_module, ["FIRST_PAUSE_SECONDS"]),
            (hosting_module, ["MOVE_PAUSE_SECONDS"]),
            (pool_module, ["FIRST_PAUSE_SECONDS", "LONGEST_PAUSE_SECONDS"]),
        ):
            for name in names:
                patch.setattr(module, name, 0.0)
        yield


def caller(account: str, node: str) -> Caller:
    return person(account, ROLES[account], f"{account} at {node}")


def joined() -> Session:
    """A session with two people, of whom one is connected to ``a`` and the other to ``b``."""
    joins = (Join("anna", "therapist", "anna at a"), OPENS), (Join("ben", "client", "ben at b"), START)
    return after(scheduled(), *joins)


async def settled(made: World, asked: Coroutine[Any, Any, Any]) -> Any:
    """What comes of a request when all that is under way arrives."""
    task = made.begin(asked)
    await made.settle()
    return await task


async def refused(made: World, asked: Coroutine[Any, Any, Any]) -> ProtocolError:
    with pytest.raises(ProtocolError) as refusal:
        await settled(made, asked)
    return refusal.value


async def test_people_at_two_nodes_meet_at_a_third() -> None:
    async with world(joined(), nodes="") as made:
        a, b, c = [await made.add(name) for name in "abc"]
        a.draining = b.draining = True
        anna = await settled(made, a.media.offer(caller("anna", "a"), S, "from a"))
        ben = await settled(made, b.media.offer(caller("ben", "b"), S, "from b"))
        assert (anna, ben) == (Answer("answer to from a", 1), Answer("answer to from b", 1))
        assert c.workers[0].serves == {S: (1, {"anna": "from a", "ben": "from b"})}
        made.change(b, ChangeModality("ben", "audio"))
        await made.settle()
        assert c.workers[0].forwards == {S: "audio"}
        await settled(made, b.media.leave(caller("ben", "b"), S))
        assert c.workers[0].serves == {S: (1, {"anna": "from a"})}
        made.change(b, End("anna"))
        await made.settle()
        assert c.workers[0].serves == {}


async def test_who_leaves_at_one_node_is_cut_at_another_though_what_tells_it_is_lost() -> None:
    async with world(joined(), nodes="ab") as made:
        a, b = made.nodes.values()
        b.draining = True
        await settled(made, b.media.offer(caller("ben", "b"), S, "from b"))
        made.change(b, Leave("ben", None))
        await until(lambda: made.wire.under_way)
        made.wire.meet(0, "lost")
        await made.settle()  # it is told again
        assert a.workers[0].serves == {S: (1, {})}
        made.change(b, Join("ben", "client", "ben at b"))
        await settled(made, b.media.offer(caller("ben", "b"), S, "from b"))
        made.store.change(S, Leave("ben", None))  # by a node that died at once
        await a.hosting.sweep()
        assert a.workers[0].serves == {S: (1, {})}


async def test_a_request_that_gets_lost_can_be_repeated() -> None:
    async with world(joined(), nodes="ab") as made:
        a, b = made.nodes.values()
        b.draining = True
        asked = made.begin(b.media.offer(caller("ben", "b"), S, "from b"))
        await until(lambda: made.wire.under_way)
        made.wire.meet(0, "late")  # it arrives after its asker has lost patience
        with pytest.raises(ProtocolError) as refusal:
            await asked
        assert refusal.value.kind is errors.MEDIA_UNAVAILABLE
        assert refusal.value.retry_after_ms == 1000
        again = made.begin(b.media.offer(caller("ben", "b"), S, "again"))
        await until(lambda: len(made.wire.under_way) == 2)
        made.wire.meet(1, "arrive")
        await until(lambda: len(made.wire.under_way) == 2)
        made.wire.meet(1, "arrive")
        assert (await again).generation == 1
        await made.settle()
        assert a.workers[0].serves == {S: (1, {"ben": "again"})}  # not what came too late


async def test_the_sessions_of_a_dead_node_go_to_the_living_and_all_are_told() -> None:
    # https://github.com/livekit/livekit/issues/3766: 1,600 of 2,100 rooms belonged to nobody any more.
    async with world(joined()) as made:
        for name in "ab":
            made.nodes[name].draining = True
        await settled(made, made.nodes["a"].media.offer(caller("anna", "a"), S, "from a"))
        assert made.session().host == "c"
        for name in "ab":
            made.nodes[name].draining = False
        await made.kill("c")
        refusal = await refused(made, made.nodes["b"].media.offer(caller("ben", "b"), S, "b"))
        assert refusal.kind is errors.MEDIA_UNAVAILABLE
        made.ghosts.clear()
        await asyncio.gather(*(node.moving.take_over("c", "") for node in made.nodes.values()))
        session = made.session()
        assert (session.host in {"a", "b"}, session.generation) == (True, 2)
        assert set(made.told) == {(f"{who}", Reoffer(S, 2, "worker")) for who in ("anna at a", "ben at b")}
        await asyncio.gather(*(node.moving.take_over("c", "") for node in made.nodes.values()))
        assert made.session() == session  # to be repeated as often as one likes
        answer = await settled(made, made.nodes["b"].media.offer(caller("ben", "b"), S, "b"))
        assert answer.generation == 2


async def test_a_node_that_stops_hands_over_and_one_without_others_keeps_what_it_has() -> None:
    async with world(joined(), nodes="ab") as made:
        a, b = made.nodes.values()
        b.draining = True
        await settled(made, a.media.offer(caller("anna", "a"), S, "from a"))
        a.draining = True
        await a.moving.hand_over()
        assert a.workers[0].serves == {S: (1, {"anna": "from a"})}
        b.draining = False
        await a.moving.hand_over()
        assert a.workers[0].serves == {}
        assert (made.session().host, made.session().generation) == ("b", 2)
        assert ("anna at a", Reoffer(S, 2, "worker")) in made.told
        assert (await settled(made, a.media.offer(caller("anna", "a"), S, "again"))).generation == 2
        assert b.workers[0].serves == {S: (2, {"anna": "again"})}


async def test_a_full_node_passes_a_new_session_on_and_keeps_its_own_growing() -> None:
    async with world(joined(), nodes="", capacity=1) as made:
        near = await made.add("a", "north")
        far = await made.add("b", "south")
        near.hosting._placement.take("t", Seat(0, 1))
        near.hosting._placement.enter("t", "someone", Place("elsewhere", 1))
        answer = await settled(made, near.media.offer(caller("anna", "a"), S, "from a"))
        assert answer.generation == 2
        await settled(made, far.media.offer(caller("ben", "b"), S, "from b"))
        assert far.workers[0].serves == {S: (2, {"anna": "from a", "ben": "from b"})}


async def test_a_node_that_the_others_do_not_count_on_answers_nobody_but_still_cuts() -> None:
    async with world(joined(), nodes="a") as made:
        (a,) = made.nodes.values()
        await settled(made, a.media.offer(caller("anna", "a"), S, "from a"))
        a.view.acting = False
        refusal = await refused(made, a.media.offer(caller("anna", "a"), S, "again"))
        assert (refusal.kind, refusal.retry_after_ms) == (errors.MEDIA_UNAVAILABLE, 1000)
        made.change(a, End("anna"))
        await made.settle()
        assert a.workers[0].serves == {}


async def test_what_another_version_asks_is_answered_and_what_it_answers_is_worth_another_try() -> None:
    async with world(joined(), nodes="ab") as made:
        a = made.nodes["a"]
        assert decode_reply(await made.wire.handlers["a"]("b", b"\x81\xa4kind\xa3new")) == Unknown()

        async def new(asker: str, data: bytes) -> bytes:
            return b"\x81\xa4kind\xa3new"

        made.wire.handlers["b"] = new
        a.draining = True
        refusal = await refused(made, a.media.offer(caller("anna", "a"), S, "from a"))
        assert (refusal.kind, refusal.retry_after_ms) == (errors.MEDIA_UNAVAILABLE, 1000)


async def test_a_session_that_cannot_be_read_keeps_no_other_from_being_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with world(joined(), replace(joined(), id="s2"), nodes="a") as made:
        a = made.nodes["a"]
        for session in (S, "s2"):
            await settled(made, a.media.offer(caller("anna", "a"), session, "from a"))

        async def find(session_id: str) -> Session:
            if session_id == S:
                raise ValidationError
            return made.store.sessions[session_id]

        monkeypatch.setattr(a.sessions, "find", find)
        made.store.change("s2", End("anna"))
        await a.hosting.sweep()
        assert set(a.workers[0].serves) == {S}


async def test_a_worker_that_does_not_answer_is_asked_until_it_has_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with world(joined(), nodes="a") as made:
        a = made.nodes["a"]
        await settled(made, a.media.offer(caller("anna", "a"), S, "from a"))
        remove, asked = a.workers[0].remove, list[str]()

        async def at_the_third_time(session: str, generation: int, participant: str) -> None:
            await asyncio.sleep(0)
            asked.append(participant)
            if len(asked) < 3:
                raise RequestTimeout
            await remove(session, generation, participant)

        monkeypatch.setattr(a.workers[0], "remove", at_the_third_time)
        made.store.change(S, Leave("anna", None))
        await a.hosting.look(S)
        assert asked == ["anna"] * 3
        assert a.workers[0].serves == {S: (1, {})}


async def test_an_offer_that_a_worker_may_have_taken_though_it_did_not_say_so_is_cut_like_any_other() -> None:
    async with world(joined(), nodes="a") as made:
        a = made.nodes["a"]
        await settled(made, a.media.offer(caller("ben", "b"), S, "from b"))
        a.workers[0].hold = asyncio.Event()
        asked = made.begin(a.media.offer(caller("anna", "a"), S, "from a"))
        await until(lambda: "anna" in a.workers[0].serves[S][1])
        a.workers[0].refuses = RequestTimeout()
        a.workers[0].hold.set()
        with pytest.raises(ProtocolError) as refusal:
            await asked
        assert refusal.value.kind is errors.MEDIA_UNAVAILABLE
        a.workers[0].refuses = None
        made.change(a, Leave("anna", None))
        await made.settle()
        assert a.workers[0].serves == {S: (1, {"ben": "from b"})}


async def turns(count: int) -> None:
    """Let whoever can go on go on for so many turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


@dataclass
class Someone:
    """A person with one connection at a time, and what the last answer was worth."""

    account: str
    role: Role
    connection: str = ""
    node: str = ""
    """The one that it is connected to."""
    since: int = 0
    """The generation when this connection came."""
    asked: int = 0
    answered: int | None = None
    """The generation of the answer to the last thing asked for, if that was an offer and was answered."""

    async def offer(self, node: MediaNode) -> None:
        number = self._ask()
        try:
            answer = await node.media.offer(self._caller(), S, f"{self.connection} {number}")
        except ProtocolError:
            return
        if number == self.asked:
            self.answered = answer.generation

    async def hang_up(self, node: MediaNode) -> None:
        self._ask()
        try:
            await node.media.leave(self._caller(), S)
        except ProtocolError:
            return

    def gone(self) -> None:
        self._ask()

    def _ask(self) -> int:
        self.asked += 1
        self.answered = None
        return self.asked

    def _caller(self) -> Any:
        return person(self.account, self.role, self.connection)


@dataclass
class Story:
    """What happens in a world, one thing after the other."""

    world: World
    people: list[Someone] = field(default_factory=lambda: [Someone(*one) for one in ROLES.items()])
    connections: int = 0

    def node(self, number: int) -> MediaNode:
        nodes = list(self.world.nodes.values())
        return nodes[number % len(nodes)]

    def join(self, who: int, where: int) -> None:
        one, node = self.people[who % 3], self.node(where)
        if one.connection:
            self.world.change(node, Drop(frozenset({one.connection})))
        self.connections += 1
        one.connection, one.node = f"{one.account}-{self.connections}", node.name
        one.since = self.world.session().generation
        self.world.change(node, Join(one.account, one.role, one.connection))  # type: ignore[arg-type]  # no operator

    def offer(self, who: int, where: int) -> None:
        one = self.people[who % 3]
        if one.node in self.world.nodes:
            self.world.begin(one.offer(self.world.nodes[one.node]))

    def hang_up(self, who: int, where: int) -> None:
        one = self.people[who % 3]
        if one.node in self.world.nodes:
            self.world.begin(one.hang_up(self.world.nodes[one.node]))

    def leave(self, who: int, where: int) -> None:
        one = self.people[who % 3]
        one.gone()
        self.world.change(self.node(where), Leave(one.account, None))

    def switch(self, who: int, where: int) -> None:
        modality = ("video", "audio", "chat", "video")[who % 4]
        self.world.change(self.node(where), ChangeModality("anna", modality))  # type: ignore[arg-type]  # one of them

    def end(self, who: int, where: int) -> None:
        if who == 7:
            self.world.change(self.node(where), End("anna"))

    def crash(self, who: int, where: int) -> None:
        worker = self.node(where).workers[0]
        if worker.running:
            worker.die()

    async def kill(self, who: int, where: int) -> None:
        if len(self.world.nodes) > 1:
            await self.world.kill(self.node(where).name)

    def notice(self, who: int, where: int) -> None:
        for name in sorted(self.world.ghosts):
            self.world.ghosts.discard(name)
            self.world.begin(self.node(where).moving.take_over(name, ""))

    def suspect(self, who: int, where: int) -> None:
        """A node has stood still for so long that another takes over."""
        node = self.node(where)
        self.world.suspected.add(node.name)
        node.view.acting = who % 2 == 0  # it may not know yet
        if (other := self.node(where + 1)) is not node:
            self.world.begin(other.moving.take_over(node.name, ""))

    def trust(self, who: int, where: int) -> None:
        self.world.suspected.clear()
        for node in self.world.nodes.values():
            node.view.acting = True

    def drain(self, who: int, where: int) -> None:
        node = self.node(where)
        if sum(not one.draining for one in self.world.nodes.values()) > 1:
            node.draining = True
            self.world.begin(node.moving.hand_over())

    def sweep(self, who: int, where: int) -> None:
        self.world.begin(self.node(where).hosting.sweep())

    def meet(self, who: int, where: int) -> None:
        if under_way := self.world.wire.under_way:
            fates: tuple[Fate, ...] = get_args(Fate)
            self.world.wire.meet(where % len(under_way), fates[who % len(fates)])

    async def wait(self, who: int, where: int) -> None:
        await turns(who)

    async def quiet(self) -> None:
        self.trust(0, 0)
        self.notice(0, 0)
        for _ in range(2):  # what is told late may have to be looked at once more
            await self.world.settle()
            for node in self.world.nodes.values():
                await node.hosting.sweep()

    def check(self) -> None:
        self.world.check()
        session = self.world.session()
        for node in self.world.nodes.values():
            for worker in node.workers.values():
                for generation, people in worker.serves.values():
                    assert not session.over
                    assert (session.host, session.generation) == (node.name, generation)
                    assert set(people) <= set(session.present)
                    assert worker.forwards[S] == session.modality
        for one in self.people:
            if one.answered is not None and session.participant(one.account) and not session.over:
                self._check_served(one)

    def _check_served(self, one: Someone) -> None:
        session = self.world.session()
        if one.answered == session.generation:
            host = self.world.nodes.get(session.host)
            served = (
                [people for worker in host.workers.values() for _, people in worker.serves.values()]
                if host
                else []
            )
            assert host is None or any(one.account in people for people in served)
        elif one.since <= (one.answered or 0):
            told = [body for connection, body in self.world.told if connection == one.connection]
            assert any(isinstance(body, Reoffer) and body.generation > (one.answered or 0) for body in told)


HAPPENINGS = (
    *("join", "offer", "offer", "offer", "hang_up", "leave", "switch", "end", "sweep"),
    *("crash", "kill", "notice", "suspect", "trust", "drain"),
    *("meet", "meet", "meet", "meet", "wait", "wait"),
)
steps = st.lists(
    st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 7), st.integers(0, 5)), min_size=15, max_size=60
)


@settings(max_examples=max(300, settings().max_examples))
@given(steps)
def test_whatever_happens_between_nodes_all_is_right_when_it_is_quiet(
    steps: list[tuple[str, int, int]],
) -> None:
    asyncio.run(_lived(steps))


async def _lived(steps: list[tuple[str, int, int]]) -> None:
    async with asyncio.timeout(60), world(live()) as made:
        story = Story(made)
        for who in range(3):
            story.join(who, who)
            story.offer(who, who)
        for what, who, where in steps:
            waited_for = getattr(story, what)(who, where)
            if waited_for is not None:
                await waited_for
        await story.quiet()
        story.check()
