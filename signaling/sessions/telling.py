"""Carries out what a decision about a session asks for, once it is durable: tells people, cuts media.

What is told here may be lost with the process; whoever comes back reads the truth from the store.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import assert_never

from protocol.signals import Admission, Consents, Late, WaitingRoom
from relay.store import Store
from relay.writes import Appended, Outcome
from signaling.sessions import views
from signaling.sessions.commands import (
    Announce,
    CutMedia,
    Decision,
    GiveCue,
    ShowConsents,
    ShowWaiting,
    Tell,
    TellLate,
)
from signaling.sessions.countdowns import Countdowns
from signaling.sessions.ports import MediaPlane, Signals
from signaling.sessions.session import Session
from signaling.timebase import Timebase

COUNTDOWN_MS = 60_000
"""How often those in a session are told where its clock stands when nothing happens."""


class Telling:
    """The effects of decisions, on this node."""

    def __init__(self, store: Store, signals: Signals, media: MediaPlane, timebase: Timebase) -> None:
        self._store = store
        self._signals = signals
        self._media = media
        self._timebase = timebase
        self.countdowns = Countdowns(COUNTDOWN_MS)

    async def carry_out(
        self, before: Session | None, decision: Decision, outcomes: Sequence[Outcome]
    ) -> None:
        """Do what the decision asks for. ``outcomes`` are those of the commit that made it durable."""
        session = decision.session
        for effect in dict.fromkeys(decision.effects):
            match effect:
                case Announce():
                    self.announce(session, {*session.present, *(before.present if before else ())})
                case ShowWaiting():
                    await self._show(session, views.waiting_room(session))
                case ShowConsents():
                    await self._show(session, views.withdrawals(session))
                case Tell():
                    self._tell(session, effect)
                case GiveCue(cue):
                    body = views.cue(session, cue, self._timebase.now_ms())
                    self._signals.signal(session.room, _cued(session), body, None)
                case TellLate():
                    self._tell_late(session, effect, outcomes)
                case CutMedia():
                    self._media.cut(session)
                case _:
                    assert_never(effect)

    def announce(self, session: Session, accounts: Collection[str]) -> None:
        """Tell these accounts how the session stands."""
        now_ms = self._timebase.now_ms()
        if session.over or not session.present:
            self.countdowns.forget(session.id)
        else:
            self.countdowns.told(session.id, now_ms)
        self._signals.signal(session.room, accounts, views.countdown(session, now_ms), None)

    def _tell(self, session: Session, tell: Tell) -> None:
        if tell.status is not None:  # first, because who is outside hears nothing of the session any more
            body = Admission(session=session.id, status=tell.status)
            self._signals.signal(session.room, [tell.account], body, None)
        self._signals.placed(tell.account, tell.connections, session.id, session.room, tell.place)

    async def _show(self, session: Session, body: WaitingRoom | Consents) -> None:
        """Show something to the therapists of a session, inside or not."""
        members = await self._store.members(session.room)
        therapists = [
            one.account for one in members if one.role == "therapist" and session.invites(one.account)
        ]
        self._signals.signal(session.room, therapists, body, None)

    def _tell_late(self, session: Session, late: TellLate, outcomes: Sequence[Outcome]) -> None:
        told = [outcome.audience for outcome in outcomes if isinstance(outcome, Appended)]
        invited = {account for account in told[-1] if session.invites(account)} if told else set()
        there = {one.account for one in (*session.participants, *session.waiting)}
        body = Late(session=session.id, role=late.role, minutes=late.minutes)
        self._signals.signal(session.room, invited | there, body, None)


def _cued(session: Session) -> tuple[str, ...]:
    everyone = session.terms.cues_to == "everyone"
    return tuple(one.account for one in session.participants if everyone or one.role == "therapist")
