"""Several people act on one session at the same moment: what each of them is told, and what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from protocol import errors
from protocol.errors import ErrorKind, ProtocolError
from protocol.fields import Role
from protocol.sessions import (
    SessionAdmit,
    SessionDeny,
    SessionEnd,
    SessionExtend,
    SessionExtended,
    SessionRequest,
    SessionUrgent,
    SessionView,
)
from signaling.caller import Caller
from signaling.sessions.commands import Policy
from signaling.sessions.session import Attendee
from signaling.sessions.terms import Wishes
from tests.signaling.sessions_kit import MINUTE, POLICY, Kit, person

ANNA, EVE = person("anna", "therapist"), person("eve", "therapist")
BEN, DORA = person("ben", "client"), person("dora", "client")

GROUPS = Policy(msgspec.structs.replace(POLICY.terms, capacity=8), POLICY.limits)

Outcome = SessionView | SessionExtended | ErrorKind


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with Kit(tmp_path / "store.db", policy=GROUPS) as kit:
        await kit.room(members={"anna": "therapist", "eve": "therapist", "ben": "client", "dora": "client"})
        await kit.scheduled(wishes=Wishes(waiting_room="everyone"))
        await kit.sessions.join(ANNA, "s")
        await kit.sessions.join(EVE, "s")
        await kit.sessions.join(BEN, "s")
        yield kit


async def at_once(kit: Kit, *asked: tuple[Caller, SessionRequest]) -> list[Outcome]:
    """What each is told, all having asked at the same moment."""

    async def ask(caller: Caller, request: SessionRequest) -> Outcome:
        try:
            return await kit.sessions.perform(caller, request)
        except ProtocolError as error:
            return error.kind

    return list(await asyncio.gather(*(ask(*one) for one in asked)))


async def test_one_admits_and_one_denies(kit: Kit) -> None:
    first, second = await at_once(
        kit, (ANNA, SessionAdmit(1, "s", ("ben",))), (EVE, SessionDeny(1, "s", "ben"))
    )
    session = await kit.sessions.find("s")
    if session.participant("ben"):
        assert isinstance(first, SessionView)
        assert second is errors.NOT_WAITING
    else:
        assert first is errors.NOT_WAITING
        assert isinstance(second, SessionView)
    assert session.waiting == ()


async def test_both_admit(kit: Kit) -> None:
    both = await at_once(kit, (ANNA, SessionAdmit(1, "s", ("ben",))), (EVE, SessionAdmit(1, "s", ("ben",))))
    assert [one.state for one in both if isinstance(one, SessionView)] == ["live", "live"]
    assert (await kit.changes()).count("live") == 1


async def test_each_extends_and_both_extensions_hold(kit: Kit) -> None:
    before = (await kit.sessions.find("s")).agreed_end_ms
    await at_once(
        kit,
        (ANNA, SessionExtend(1, "s", 5, UUID(int=1))),
        (EVE, SessionExtend(1, "s", 10, UUID(int=2))),
    )
    session = await kit.sessions.find("s")
    assert session.agreed_end_ms - before == 15 * MINUTE
    assert [(one.account, one.span_ms) for one in session.extensions] in (
        [("anna", 5 * MINUTE), ("eve", 10 * MINUTE)],
        [("eve", 10 * MINUTE), ("anna", 5 * MINUTE)],
    )
    (row,) = [
        row for row in await kit.store.deadlines(due_before_ms=1 << 52, limit=10) if row.kind == "agreed_end"
    ]
    assert row.due_ms == session.agreed_end_ms


async def test_the_same_extension_sent_twice_at_once_is_one(kit: Kit) -> None:
    before = (await kit.sessions.find("s")).agreed_end_ms
    extension = SessionExtend(1, "s", 5, UUID(int=1))
    both = await at_once(kit, (ANNA, extension), (ANNA, extension))
    assert all(isinstance(one, SessionExtended) for one in both)
    assert (await kit.sessions.find("s")).agreed_end_ms - before == 5 * MINUTE
    assert (await kit.changes()).count("extended") == 1


async def test_the_key_of_another_s_extension_is_refused(kit: Kit) -> None:
    first, second = await at_once(
        kit,
        (ANNA, SessionExtend(1, "s", 5, UUID(int=1))),
        (EVE, SessionExtend(1, "s", 5, UUID(int=1))),
    )
    assert errors.MID_DIFFERS in (first, second)
    assert len((await kit.sessions.find("s")).extensions) == 1


async def test_both_end_it_and_one_is_told_that_it_is_over(kit: Kit) -> None:
    await at_once(kit, (ANNA, SessionAdmit(1, "s", ("ben",))))
    outcomes = await at_once(kit, (ANNA, SessionEnd(1, "s")), (EVE, SessionEnd(1, "s")))
    assert [one for one in outcomes if not isinstance(one, SessionView)] == [errors.SESSION_OVER]
    assert (await kit.changes()).count("ended") == 1


async def test_one_ends_it_while_the_other_extends(kit: Kit) -> None:
    await at_once(kit, (ANNA, SessionAdmit(1, "s", ("ben",))))
    ended, extended = await at_once(
        kit, (ANNA, SessionEnd(1, "s")), (EVE, SessionExtend(1, "s", 5, UUID(int=1)))
    )
    assert isinstance(ended, SessionView)
    assert isinstance(extended, SessionExtended) or extended is errors.SESSION_OVER
    session = await kit.sessions.find("s")
    assert session.over
    assert len(session.extensions) == isinstance(extended, SessionExtended)


async def test_a_deadline_and_a_command_at_the_same_moment(kit: Kit) -> None:
    """Whatever is due has come first: a therapist who clears the hold late ends it as of its time."""
    await at_once(kit, (ANNA, SessionAdmit(1, "s", ("ben",))), (EVE, SessionUrgent(1, "s", True)))
    kit.clock.wait_ms(60 * MINUTE)
    await asyncio.gather(kit.fire_due(), at_once(kit, (ANNA, SessionUrgent(1, "s", False))), kit.fire_due())
    assert (await kit.log())[-1].due_ms == (await kit.sessions.find("s")).cap_ms
    assert (await kit.changes()).count("ended") == 1


async def test_a_couple_with_an_interpreter_is_admitted_at_once(kit: Kit) -> None:
    await kit.scheduled(
        "t", attendees=(Attendee("ines", "interpreter"),), wishes=Wishes(waiting_room="everyone")
    )
    await kit.sessions.join(ANNA, "t")
    for caller in (BEN, DORA, person("ines", "guest")):
        assert (await kit.sessions.join(caller, "t")).place == "waiting"
    (view,) = await at_once(kit, (ANNA, SessionAdmit(1, "t", ("ben", "dora", "ines"))))
    assert isinstance(view, SessionView)
    assert view.roles == {"anna": "therapist", "ben": "client", "dora": "client", "ines": "interpreter"}
    assert await kit.changes() == [*["scheduled", "opened"] * 2, "live"]


async def test_the_ninth_of_a_group_is_refused_whether_it_waits_or_comes_in(tmp_path: Path) -> None:
    async with Kit(tmp_path / "group.db", policy=GROUPS) as kit:
        clients = [person(f"c{number}", "client") for number in range(8)]
        members: dict[str, Role] = {"anna": "therapist", **{one.account: "client" for one in clients}}
        await kit.room(members=members)
        await kit.scheduled(wishes=Wishes(waiting_room="everyone"))
        for caller in (ANNA, *clients):
            await kit.sessions.join(caller, "s")
        everyone = tuple(one.account for one in clients)
        (refused,) = await at_once(kit, (ANNA, SessionAdmit(1, "s", everyone)))
        assert refused is errors.SESSION_FULL
        assert (await kit.sessions.find("s")).present == ("anna",)
        await at_once(kit, (ANNA, SessionAdmit(1, "s", everyone[:7])))
        assert len((await kit.sessions.find("s")).present) == 8
        (refused,) = await at_once(kit, (ANNA, SessionAdmit(1, "s", everyone[7:])))
        assert refused is errors.SESSION_FULL
        await kit.sessions.leave(clients[7], "s")
        with pytest.raises(ProtocolError) as knocking:
            await kit.sessions.join(clients[7], "s")
        assert knocking.value.kind is errors.SESSION_FULL
        await kit.sessions.leave(clients[0], "s")
        assert (await kit.sessions.join(clients[7], "s")).place == "waiting"
