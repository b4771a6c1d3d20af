"""What people ask of sessions on a real store: waiting room, signals, extension, attendees, policies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from protocol import errors
from protocol.errors import ErrorKind, ProtocolError
from protocol.events import SessionBody
from protocol.sessions import (
    ConsentTerm,
    SessionAccept,
    SessionAdmit,
    SessionConsent,
    SessionDecline,
    SessionDeny,
    SessionEnd,
    SessionExtend,
    SessionExtended,
    SessionLate,
    SessionModality,
    SessionPropose,
    SessionRequest,
    SessionSendBack,
    SessionUrgent,
    SessionView,
    Waiter,
    Withdrawal,
)
from protocol.signals import Admission, Consents, Cue, Late, SignalBody, WaitingRoom
from signaling.caller import Caller
from signaling.sessions.session import Attendee
from signaling.sessions.terms import Wishes, encode_wishes
from tests.signaling.sessions_kit import MINUTE, Kit, person

ANNA, BEN, CLEO = person("anna", "therapist"), person("ben", "client"), person("cleo", "guest")
INES, OMAR = person("ines", "guest"), person("omar", "guest")
EVERYONE = Wishes(waiting_room="everyone")
MID = UUID(int=1)


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Kit]:
    async with Kit(tmp_path / "store.db") as kit:
        await kit.room()
        yield kit


async def ask(kit: Kit, caller: Caller, request: SessionRequest) -> SessionView:
    view = await kit.sessions.perform(caller, request)
    assert isinstance(view, SessionView)
    return view


async def refused(asked: object) -> ErrorKind:
    with pytest.raises(ProtocolError) as refusal:
        await asked  # type: ignore[misc]
    return refusal.value.kind


def signals(kit: Kit, kind: type[SignalBody]) -> list[tuple[list[str], SignalBody]]:
    """Those of a kind that were sent since they were last looked at."""
    found = [(sorted(who), body) for who, body in kit.told.signals if isinstance(body, kind)]
    kit.told.signals.clear()
    return found


async def waiting(kit: Kit) -> None:
    """A session in which anna is and before which ben waits."""
    await kit.scheduled(wishes=EVERYONE)
    await kit.sessions.join(ANNA, "s")
    await kit.sessions.join(BEN, "s")


async def test_a_knock_reaches_the_therapists_and_nobody_else(kit: Kit) -> None:
    await kit.rooms.add_member("r", "eve", "therapist")
    await waiting(kit)
    ((who, told),) = signals(kit, WaitingRoom)
    assert who == ["anna", "eve"]
    assert told == WaitingRoom("s", (Waiter("ben", "client", kit.clock.ms),))


async def test_who_waits_is_told_of_the_admission_alone(kit: Kit) -> None:
    await waiting(kit)
    kit.told.signals.clear()
    view = await ask(kit, ANNA, SessionAdmit(1, "s", ("ben",)))
    assert (view.state, view.present, view.waiting) == ("live", ("anna", "ben"), ())
    for_ben = [body for who, body in kit.told.signals if who == {"ben"}]
    assert for_ben == [Admission("s", "admitted")]
    assert kit.told.places[-1] == ("ben", "inside")
    assert (await kit.sessions.get(BEN, "s")).place == "inside"


async def test_media_is_refused_before_the_admission(kit: Kit) -> None:
    await waiting(kit)
    assert await refused(kit.sessions.joined(BEN, "s")) is errors.NOT_ADMITTED
    await ask(kit, ANNA, SessionAdmit(1, "s", ("ben",)))
    assert (await kit.sessions.joined(BEN, "s")).id == "s"
    await ask(kit, ANNA, SessionSendBack(1, "s", "ben"))
    assert await refused(kit.sessions.joined(BEN, "s")) is errors.NOT_ADMITTED
    assert kit.told.media_cut == ["s"]
    assert signals(kit, Admission)[-1] == (["ben"], Admission("s", "sent_back"))


async def test_nothing_about_the_waiting_stands_in_the_rooms_log(kit: Kit) -> None:
    await waiting(kit)
    await ask(kit, ANNA, SessionDeny(1, "s", "ben"))
    await kit.sessions.join(BEN, "s")
    await kit.sessions.leave(BEN, "s")
    assert await kit.changes() == ["scheduled", "opened"]
    assert signals(kit, Admission) == [(["ben"], Admission("s", "denied")), (["ben"], Admission("s", "out"))]


async def test_only_therapists_ask_what_is_theirs(kit: Kit) -> None:
    await waiting(kit)
    for request in (
        SessionAdmit(1, "s", ("ben",)),
        SessionDeny(1, "s", "ben"),
        SessionSendBack(1, "s", "anna"),
        SessionExtend(1, "s", 5, MID),
        SessionEnd(1, "s"),
    ):
        assert await refused(kit.sessions.perform(BEN, request)) is errors.FORBIDDEN
        weaker = person("anna", "client")
        assert await refused(kit.sessions.perform(weaker, request)) is errors.FORBIDDEN


async def test_a_therapists_token_for_a_client_admits_nobody(kit: Kit) -> None:
    await waiting(kit)
    assert await refused(ask(kit, person("ben", "therapist"), SessionAdmit(1, "s", ("ben",)))) is (
        errors.FORBIDDEN
    )


async def test_a_therapist_with_a_weaker_token_waits_like_a_guest(kit: Kit) -> None:
    await kit.scheduled(wishes=EVERYONE)
    assert (await kit.sessions.join(person("anna", "client"), "s")).place == "waiting"


async def test_at_the_end_who_waits_is_told_that_it_is_over(kit: Kit) -> None:
    await waiting(kit)
    kit.clock.wait_ms(45 * MINUTE)
    await kit.fire_due()
    assert (["ben"], Admission("s", "over")) in signals(kit, Admission)


async def test_who_waits_is_known_by_room(kit: Kit) -> None:
    await waiting(kit)
    await kit.room("q")
    assert await kit.sessions.waiting("ben", ["q", "r"]) == {"s": "r"}
    assert await kit.sessions.waiting("anna", ["q", "r"]) == {}


async def test_an_extension_is_made_once_and_warns_of_the_next_session(kit: Kit) -> None:
    await kit.room("q", {"anna": "therapist", "dan": "client"})
    await kit.scheduled()
    await kit.scheduled("far", room="q", in_ms=56 * MINUTE)
    await kit.scheduled("over", room="q", in_ms=46 * MINUTE)
    await kit.sessions.stop("over")
    await kit.live()
    first = await kit.sessions.perform(ANNA, SessionExtend(1, "s", 10, MID))
    assert isinstance(first, SessionExtended)
    assert (first.overlaps_ms, first.duplicate) == (None, False)
    again = await kit.sessions.perform(ANNA, SessionExtend(2, "s", 10, MID))
    assert isinstance(again, SessionExtended)
    assert again.duplicate
    assert again.view.agreed_end_ms == first.view.agreed_end_ms
    second = await kit.sessions.perform(ANNA, SessionExtend(3, "s", 5, UUID(int=2)))
    assert isinstance(second, SessionExtended)
    assert second.overlaps_ms == (await kit.sessions.find("far")).starts_ms
    assert [body.minutes for body in await kit.log() if body.change == "extended"] == [10, 5]
    assert await refused(kit.sessions.perform(ANNA, SessionExtend(4, "s", 5, MID))) is errors.MID_DIFFERS


async def test_a_cue_reaches_those_of_the_terms(kit: Kit) -> None:
    for to, expected in (("therapists", ["anna"]), ("everyone", ["anna", "ben"])):
        wishes = Wishes(cues_to=to, cues_ms=(5 * MINUTE,))  # type: ignore[arg-type]
        await kit.scheduled(to, length_ms=20 * MINUTE, wishes=wishes)
        await kit.live(to)
        kit.clock.wait_ms(15 * MINUTE)
        await kit.fire_due()
        await kit.fire_due()
        ((who, cue),) = signals(kit, Cue)
        assert who == expected
        assert isinstance(cue, Cue)
        assert (cue.until, cue.left_ms, cue.due_ms) == ("agreed_end", 5 * MINUTE, kit.clock.ms)


async def test_a_change_of_modality_is_enforced_and_told(kit: Kit) -> None:
    await kit.scheduled()
    await kit.live()
    assert (await ask(kit, BEN, SessionModality(1, "s", "audio"))).modality == "audio"
    assert kit.told.media_cut == ["s"]
    assert (await ask(kit, BEN, SessionPropose(1, "s", "chat"))).proposal is not None
    await ask(kit, ANNA, SessionDecline(1, "s", "chat"))
    await ask(kit, ANNA, SessionPropose(1, "s", "video"))
    assert (await ask(kit, BEN, SessionAccept(1, "s", "video"))).modality == "video"
    changes = [(body.account, body.modality) for body in await kit.log() if body.change == "modality"]
    assert changes == [("ben", "audio"), ("ben", "video")]


async def test_being_late_is_told_to_all_who_are_invited_without_a_name(kit: Kit) -> None:
    await waiting(kit)
    kit.told.signals.clear()
    await ask(kit, ANNA, SessionLate(1, "s", 10))
    assert signals(kit, Late) == [(["anna", "ben", "cleo"], Late("s", "therapist", 10))]
    assert (await kit.log())[-1].minutes == 10


async def test_an_urgent_session_is_marked_and_cleared(kit: Kit) -> None:
    await kit.scheduled(length_ms=MINUTE)
    await kit.live()
    assert (await ask(kit, BEN, SessionUrgent(1, "s", active=True))).urgent
    kit.clock.wait_ms(5 * MINUTE)
    await kit.fire_due()
    assert await refused(ask(kit, BEN, SessionUrgent(1, "s", active=False))) is errors.FORBIDDEN
    view = await ask(kit, ANNA, SessionUrgent(1, "s", active=False))
    assert (view.state, view.reason) == ("ended", "completed")
    end: SessionBody = (await kit.log())[-1]
    assert end.due_ms == kit.clock.ms - 4 * MINUTE
    assert view.ended_ms == kit.clock.ms


async def test_an_interpreter_sees_the_session_and_an_observer_needs_consent(kit: Kit) -> None:
    await kit.scheduled(attendees=(Attendee("ines", "interpreter"), Attendee("omar", "observer")))
    await kit.live()
    asked = (await kit.sessions.get(BEN, "s")).consents
    assert asked == (ConsentTerm("observer", "1"),)
    assert await refused(kit.sessions.join(OMAR, "s")) is errors.NOT_OBSERVABLE
    await ask(kit, BEN, SessionConsent(1, "s", "observer", "1", given=True))
    assert (await kit.sessions.join(OMAR, "s")).roles["omar"] == "observer"
    await ask(kit, BEN, SessionConsent(1, "s", "observer", "1", given=False))
    assert "omar" not in (await kit.sessions.find("s")).present
    assert (await kit.sessions.join(INES, "s")).roles["ines"] == "interpreter"
    assert await refused(kit.sessions.get(person("zoe", "guest"), "s")) is errors.NO_SUCH_SESSION


async def test_therapists_are_told_who_withdraws_a_consent(kit: Kit) -> None:
    terms = (ConsentTerm("recording", "2"), ConsentTerm("study", "1"))
    await kit.scheduled(wishes=Wishes(consents=terms))
    for term in terms:
        await ask(kit, BEN, SessionConsent(1, "s", term.kind, term.version, given=True))
    assert signals(kit, Consents) == [], "that somebody consents is no news"
    withdrawn = [Withdrawal("ben", term.kind, term.version) for term in terms]
    for term in terms:
        for _ in range(2):
            await ask(kit, BEN, SessionConsent(1, "s", term.kind, term.version, given=False))
    assert signals(kit, Consents) == [
        (["anna"], Consents("s", tuple(withdrawn[:1]))),
        (["anna"], Consents("s", tuple(withdrawn))),
    ]
    assert (await kit.sessions.get(ANNA, "s")).withdrawn == tuple(withdrawn)
    assert (await kit.sessions.get(BEN, "s")).withdrawn == ()
    await ask(kit, BEN, SessionConsent(1, "s", "study", "1", given=True))
    assert signals(kit, Consents)[-1] == (["anna"], Consents("s", tuple(withdrawn[:1])))


async def test_who_is_invited_twice_or_as_two_is_refused(kit: Kit) -> None:
    twice = (Attendee("ines", "guest"), Attendee("ines", "observer"))
    assert await refused(kit.scheduled(attendees=twice)) is errors.INVALID_FIELD
    assert await refused(kit.scheduled(invited=("anna",), attendees=(Attendee("anna", "guest"),))) is (
        errors.INVALID_FIELD
    )


async def test_the_nearest_policy_wins(kit: Kit) -> None:
    room = Wishes(grace_ms=1000, overrun_ms=5 * MINUTE, waiting_room="guests")
    await kit.rooms.change("r", encode_wishes(room))
    assert (await kit.scheduled("plain")).terms.overrun_ms == 5 * MINUTE
    near = await kit.scheduled("near", wishes=Wishes(hard_end=True, waiting_room="nobody"))
    assert (near.terms.overrun_ms, near.terms.grace_ms, near.terms.waiting_room) == (0, 1000, "nobody")
    assert near.terms.join_window_ms == 10 * MINUTE
    await kit.rooms.change("r", encode_wishes(Wishes()))
    assert (await kit.sessions.find("plain")).terms.overrun_ms == 5 * MINUTE
    assert (await kit.scheduled("later")).terms.grace_ms == 90_000


async def test_a_moved_session_is_told_and_its_old_deadline_does_nothing(kit: Kit) -> None:
    before = await kit.scheduled(in_ms=20 * MINUTE)
    stale = await kit.store.deadlines(due_before_ms=1 << 52, limit=10)
    moved = await kit.sessions.move("s", before.starts_ms + 30 * MINUTE, 60 * MINUTE, by="anna")
    assert moved.agreed_end_ms == before.starts_ms + 90 * MINUTE
    kit.clock.wait_ms(10 * MINUTE)
    assert await kit.sessions.fire(stale) == (None,)
    assert await kit.changes() == ["scheduled", "moved"]
    assert await refused(kit.sessions.move("s", 0, MINUTE)) is errors.SESSION_TIMES
