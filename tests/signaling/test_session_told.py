"""What happens to a session is told: in its room's log, in the audit trail, to webhooks. All of the table."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import get_args
from uuid import UUID

import pytest

from config.settings import AuditSettings, WebhookSettings
from config.webhooks import WebhookType
from protocol.fields import SessionState
from protocol.sessions import (
    ConsentTerm,
    SessionAccept,
    SessionAdmit,
    SessionConsent,
    SessionDecline,
    SessionDeny,
    SessionExtend,
    SessionLate,
    SessionModality,
    SessionPropose,
    SessionSendBack,
    SessionUrgent,
)
from relay.audit_chain import AuditEntry
from relay.audit_trail import AuditFilter
from signaling.audit.actions import ACTIONS
from signaling.audit.auditor import Auditor
from signaling.sessions.commands import Unlogged
from signaling.sessions.states import TRANSITIONS, Trigger
from signaling.sessions.terms import Wishes
from signaling.webhooks.notices import SESSION_TYPES
from signaling.webhooks.service import Webhooks
from tests.signaling.sessions_kit import MINUTE, Kit, person

ANNA, BEN = person("anna", "therapist"), person("ben", "client")
HOOKS = WebhookSettings(endpoints={"all": "https://all.example"}, secrets={"all": "s" * 32})
OVERRUN = Wishes(overrun_ms=15 * MINUTE)


class Witnessed(Kit):
    """Sessions with all who are told of them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        auditor = Auditor(AuditSettings(), self.store, f"sqlite:///{path}", self.timebase, "1")
        webhooks = Webhooks(HOOKS, self.store, self.timebase, lambda *_: None)
        self.rooms._companions = self.changes_made._companions = (webhooks, auditor)

    async def audited(self) -> list[AuditEntry]:
        """The entries about sessions."""
        records = await self.store.audit(after=0, limit=1000, matching=AuditFilter(object_kind="session"))
        return [record.entry for record in records]

    async def hooks(self) -> list[str]:
        """The types of deliveries about sessions."""
        waiting = await self.store.deliveries("waiting", endpoint="all", limit=1000)
        return [kind for kind in (json.loads(one.body)["type"] for one in waiting) if kind[:4] == "sess"]

    async def pass_ms(self, milliseconds: int) -> None:
        """Time passes, and the clock does what is due."""
        self.clock.wait_ms(milliseconds)
        await self.fire_due()

    async def both_leave(self) -> None:
        await self.sessions.leave(ANNA, "s")
        await self.sessions.leave(BEN, "s")


@pytest.fixture
async def kit(tmp_path: Path) -> AsyncIterator[Witnessed]:
    async with Witnessed(tmp_path / "store.db") as kit:
        await kit.room()
        yield kit


Act = Callable[[Witnessed], Awaitable[object]]


async def reach(kit: Witnessed, state: SessionState, wishes: Wishes = OVERRUN) -> None:
    """Bring a session of ten minutes, overrun included or not, into a state that is not final."""
    await kit.scheduled(
        in_ms=20 * MINUTE if state == "scheduled" else 0, length_ms=10 * MINUTE, wishes=wishes
    )
    if state in {"live", "overrun"}:
        await kit.live()
    if state == "overrun":
        await kit.pass_ms(10 * MINUTE)


async def empty_to_its_end(kit: Witnessed) -> None:
    await kit.both_leave()
    await kit.pass_ms(10 * MINUTE)


ACTS: dict[Trigger, Act] = {
    "moved": lambda kit: kit.sessions.move("s", kit.clock.ms + 60 * MINUTE, 10 * MINUTE),
    "window_opened": lambda kit: kit.pass_ms(10 * MINUTE),
    "both_present": lambda kit: kit.live(),
    "agreed_end": lambda kit: kit.pass_ms(10 * MINUTE),
    "agreed_end_empty": empty_to_its_end,
    "cap": lambda kit: kit.pass_ms(15 * MINUTE),
    "emptied": lambda kit: kit.both_leave(),
    "extended": lambda kit: kit.sessions.perform(ANNA, SessionExtend(1, "s", 5, UUID(int=1))),
    "ended_by_therapist": lambda kit: kit.end(ANNA),
    "stopped_by_operator": lambda kit: kit.sessions.stop("s"),
}
ROWS = [(state, trigger) for state, steps in TRANSITIONS.items() for trigger in steps]


@pytest.mark.parametrize(("state", "trigger"), ROWS)
async def test_every_transition_is_an_event_an_audit_entry_and_a_webhook_that_is_promised(
    kit: Witnessed, state: SessionState, trigger: Trigger
) -> None:
    step = TRANSITIONS[state][trigger]
    await reach(kit, state, Wishes(hard_end=True) if (state, trigger) == ("live", "cap") else OVERRUN)
    before = await kit.sessions.find("s")
    assert before.state == state
    told, audited, hooks = len(await kit.log()), len(await kit.audited()), len(await kit.hooks())
    await ACTS[trigger](kit)

    session, events = await kit.sessions.find("s"), (await kit.log())[told:]
    assert (session.state, session.reason) == (step.to, step.reason)
    assert [(one.session, one.change, one.state, one.reason) for one in events] == [
        ("s", step.change, step.to, step.reason)
    ]
    actions = [(one.object_id, one.action) for one in (await kit.audited())[audited:]]
    assert actions.count(("s", f"session.{step.change}")) == 1
    assert (await kit.hooks())[hooks:] == [
        SESSION_TYPES[one] for one in [step.change] if one in SESSION_TYPES
    ]


async def test_who_comes_and_goes_is_audited_and_not_in_the_log(kit: Witnessed) -> None:
    text = ConsentTerm("recording", "2")
    await kit.scheduled(wishes=Wishes(waiting_room="everyone", consents=(text,)))
    logged = len(await kit.log())
    ask = kit.sessions.perform
    await ask(BEN, SessionConsent(1, "s", text.kind, text.version, True))
    await kit.sessions.join(ANNA, "s")
    await kit.sessions.join(BEN, "s")
    await ask(ANNA, SessionDeny(1, "s", "ben"))
    await kit.sessions.join(BEN, "s")
    await kit.sessions.leave(BEN, "s")
    await kit.sessions.join(BEN, "s")
    await ask(ANNA, SessionAdmit(1, "s", ("ben",)))
    await ask(ANNA, SessionSendBack(1, "s", "ben"))
    await ask(ANNA, SessionAdmit(1, "s", ("ben",)))
    await ask(BEN, SessionPropose(1, "s", "audio"))
    await ask(ANNA, SessionDecline(1, "s", "audio"))
    await ask(BEN, SessionConsent(1, "s", text.kind, text.version, False))
    await kit.sessions.leave(BEN, "s")
    assert [one.change for one in (await kit.log())[logged:]] == ["live"]

    entries = [one for one in await kit.audited() if one.action != "session.live"][2:]
    actions = [one.action.removeprefix("session.") for one in entries]
    assert set(actions) == set(get_args(Unlogged))
    assert actions == [
        *("consented", "joined", "waiting", "denied", "waiting", "gave_up", "waiting"),
        *("admitted", "sent_back", "admitted", "proposed", "declined", "consent_withdrawn", "left"),
    ]
    assert {one.reason for one in entries if "consent" in one.action} == {"recording 2"}
    assert {one.action for one in entries} <= set(ACTIONS)


async def test_every_webhook_about_sessions_that_is_promised_is_sent(kit: Witnessed) -> None:
    text = ConsentTerm("recording", "2")
    wishes = Wishes(waiting_room="everyone", overrun_ms=15 * MINUTE, consents=(text,))
    await kit.scheduled(length_ms=10 * MINUTE, wishes=wishes)
    ask = kit.sessions.perform
    for given in (True, False, True):
        await ask(BEN, SessionConsent(1, "s", text.kind, text.version, given))
    await ask(BEN, SessionLate(1, "s", 5))
    await kit.sessions.join(BEN, "s")
    await kit.sessions.join(ANNA, "s")
    await ask(ANNA, SessionAdmit(1, "s", ("ben",)))
    await ask(ANNA, SessionSendBack(1, "s", "ben"))
    await ask(ANNA, SessionAdmit(1, "s", ("ben",)))
    await ask(BEN, SessionModality(1, "s", "audio"))
    await ask(ANNA, SessionPropose(1, "s", "chat"))
    await ask(BEN, SessionAccept(1, "s", "chat"))
    await ask(ANNA, SessionExtend(1, "s", 5, UUID(int=1)))
    await ask(BEN, SessionUrgent(1, "s", True))
    await ask(ANNA, SessionUrgent(1, "s", False))
    await kit.pass_ms(15 * MINUTE)
    await kit.pass_ms(15 * MINUTE)
    assert await kit.hooks() == [
        *("session.opened", "session.consent_withdrawn", "session.late"),
        *("session.waiting", "session.started", "session.waiting"),
        *("session.modality_changed", "session.modality_changed", "session.extended"),
        *("session.overrun", "session.ended"),
    ]
    promised = {kind for kind in get_args(WebhookType) if kind.startswith("session.")}
    assert promised - set(await kit.hooks()) == {"session.rated", "session.rated_low"}
