"""Random histories under a virtual clock: joins, drops, restarts, clock steps, and everything people can do.

A plain bookkeeping of who was there when is kept beside the core and compared with it after every step: one
end, each cue once, segments that add up to the wall time, nothing early, nothing stuck, nothing shown to who
waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from protocol.errors import ProtocolError
from protocol.fields import Modality, SessionRole
from protocol.sessions import ConsentTerm
from signaling.sessions.commands import (
    Admit,
    Agreed,
    Answer,
    ChangeModality,
    Command,
    Consent,
    Decision,
    Deny,
    Drop,
    End,
    Extend,
    GiveCue,
    Happened,
    Join,
    Leave,
    Mark,
    Move,
    Policy,
    Propose,
    Rehost,
    SayLate,
    SendBack,
    Stop,
)
from signaling.sessions.core import advance, decide, lost, schedule
from signaling.sessions.hours import deadlines
from signaling.sessions.session import Attendee, GivenCue, from_row, to_row
from signaling.sessions.terms import WaitingRoomFor
from signaling.sessions.views import place_of, view
from tests.signaling.sessions_core_kit import LIMITS, MINUTE, OPENS, START, TERMS

HOUR = 60 * MINUTE
ROLES: dict[str, SessionRole] = {
    "anna": "therapist",
    "eve": "therapist",
    "ben": "client",
    "dan": "client",
    "cleo": "guest",
    "omar": "observer",
}
OBSERVED = ConsentTerm("observer", "1")
ENDS = {"ended", "cancelled", "no_show"}

accounts = st.sampled_from(sorted(ROLES))
therapists = st.sampled_from(["anna", "eve", "ben"])
modalities: st.SearchStrategy[Modality] = st.sampled_from(["video", "audio", "chat"])
devices = st.integers(0, 1)
connections = st.builds(lambda account, device: f"{account}{device}", accounts, devices)


@dataclass
class Stay:
    """Someone's presence, as a bystander would note it."""

    since: int
    connections: set[str]
    absent: int | None = None


class Histories(RuleBasedStateMachine):
    """Whatever happens, in whatever order."""

    @initialize(
        length=st.integers(MINUTE, 50 * MINUTE),
        overrun=st.sampled_from([0, MINUTE, 15 * MINUTE]),
        held=st.booleans(),
        grace=st.sampled_from([0, 1, 90_000]),
        waiting=st.sampled_from(["everyone", "guests", "nobody"]),
    )
    def begin(self, length: int, overrun: int, grace: int, waiting: WaitingRoomFor, held: bool) -> None:
        terms = replace(
            TERMS, overrun_ms=overrun, grace_ms=grace, waiting_room=waiting, cues_to="everyone", capacity=4
        )
        self.now = OPENS - 30_000
        agreed = Agreed("s1", "r1", START, length, "video", attendees=(Attendee("omar", "observer"),))
        self.stays: dict[str, Stay] = {}
        self.waiting: dict[str, set[str]] = {}
        self.total: dict[str, int] = {}
        self.events: list[Happened] = []
        self.told_cues: list[GivenCue] = []
        self.cues_from = 0
        self.urgent = False
        self.last_word = 0
        decision = schedule(agreed, Policy(terms, LIMITS), self.now)
        self.take(decision, self.now)
        if held:
            self.now = START
            self.gather()

    # --- The bystander ---

    def take(self, decision: Decision, now: int) -> None:
        """Note what happened until ``now``."""
        self.session = decision.session
        for event in decision.events:
            assert event.due_ms is None or event.due_ms <= now, "early"
            assert event.due_ms is None or event.change not in ENDS or not self.urgent
            self.note(event, now)
            self.last_word = max(self.last_word, now if event.due_ms is None else event.due_ms)
        assert not self.session.over or (self.session.ended_ms or 0) >= self.last_word
        self.events += decision.events
        cues = [effect.cue for effect in decision.effects if isinstance(effect, GiveCue)]
        assert all(cue.due_ms <= now for cue in cues), "early"
        self.told_cues += cues

    def note(self, event: Happened, now: int) -> None:  # noqa: C901 - one row for each
        account = str(event.account)
        match event.change:
            case "waiting":
                self.waiting[account] = set()
            case "gave_up" | "denied":
                del self.waiting[account]
            case "joined":
                self.stays[account] = Stay(now, set())
            case "admitted":
                self.stays[account] = Stay(now, self.waiting.pop(account))
                if not self.stays[account].connections:
                    self.stays[account].absent = now
            case "sent_back":
                self.waiting[account] = self.go(account, now).connections
            case "left":
                self.go(account, now)
            case "live" | "extended":
                self.cues_from = now
            case "urgent" | "urgent_cleared":
                self.cues_from = now
                self.urgent = event.change == "urgent"
            case "moved":
                self.urgent = False
            case "ended" | "cancelled" | "no_show":
                for one in list(self.stays):
                    self.go(one, self.session.ended_ms or 0)
                self.waiting.clear()

    def go(self, account: str, now: int) -> Stay:
        stay = self.stays.pop(account)
        ended = now if stay.absent is None else stay.absent
        self.total[account] = self.total.get(account, 0) + max(0, ended - stay.since)
        return stay

    @property
    def effective(self) -> int:
        """The time as the session takes it: a clock that was set back waits for what has happened."""
        return max(self.now, self.session.changed_ms)

    def command(self, command: Command) -> bool:
        now = self.effective
        self.take(advance(self.session, now), now)
        try:
            decision = decide(self.session, command, self.now)
        except ProtocolError:
            return False
        self.take(decision, now)
        return True

    # --- The clock ---

    @rule(milliseconds=st.one_of(st.integers(0, 1000), st.integers(0, 3 * MINUTE)))
    def wait(self, milliseconds: int) -> None:
        """The clock fires what is due, perhaps late, perhaps in two turns."""
        before, self.now = self.session, self.now + milliseconds
        halfway = advance(before, self.now - milliseconds // 2)
        whole = advance(before, self.now)
        assert halfway.then(advance(halfway.session, self.now)) == whole
        self.take(whole, max(self.now, before.changed_ms))

    @rule(milliseconds=st.integers(0, 20 * MINUTE))
    def sleep_through(self, milliseconds: int) -> None:
        """Time passes and nobody fires anything: the server is stuck."""
        self.now += milliseconds

    @rule(down=st.integers(0, 20 * MINUTE), unnoticed=st.integers(0, 5000))
    def restart(self, down: int, unnoticed: int) -> None:
        """The process is killed; the next one knows when it was last alive, and takes everyone for absent."""
        alive = max(self.session.changed_ms, self.now - unnoticed)
        self.now += down
        everyone = frozenset(f"{account}{device}" for account in ROLES for device in range(2))
        self.session = from_row(to_row(self.session, 1))
        whole = lost(self.session, self.session.connections, alive)
        self.take(advance(self.session, alive), alive)
        self.disconnect(everyone, alive)
        assert lost(self.session, self.session.connections, alive).session == whole.session
        self.take(lost(self.session, self.session.connections, alive), alive)

    @rule(hours=st.sampled_from([-1, 1]))
    def step_clock(self, hours: int) -> None:
        """The machine's clock is corrected between two processes."""
        self.now = max(OPENS - HOUR, self.now + hours * HOUR)

    # --- People ---

    @rule()
    def gather(self) -> None:
        """What a session is for: the two sides come together."""
        self.join("anna", 0)
        self.join("ben", 0)
        self.admit("anna", ["ben"])

    @rule()
    def observe(self) -> None:
        """Everyone consents, and the observer comes."""
        for account in ("ben", "dan", "cleo"):
            self.consent(account, given=True)
        self.join("omar", 0)
        self.admit("anna", ["omar"])

    @rule(late=st.integers(0, 30 * MINUTE), clears=st.booleans())
    def hold(self, late: int, clears: bool) -> None:
        """Something urgent keeps people beyond the end."""
        self.mark("ben", urgent=True)
        self.now = max(self.effective, self.session.cap_ms - 15 * MINUTE + late)
        if clears:
            self.mark("anna", urgent=False)

    @rule(account=accounts, device=devices)
    def join(self, account: str, device: int) -> None:
        connection = f"{account}{device}"
        if self.command(Join(account, ROLES[account], connection)):
            if account in self.stays:
                self.stays[account].connections.add(connection)
                self.stays[account].absent = None
            elif account in self.waiting:
                self.waiting[account].add(connection)

    @rule(account=accounts, device=st.one_of(st.none(), devices))
    def leave(self, account: str, device: int | None) -> None:
        self.command(Leave(account, None if device is None else f"{account}{device}"))
        if account in self.stays:
            self.stays[account].connections.discard(f"{account}{device}")
        if account in self.waiting:
            self.waiting[account].discard(f"{account}{device}")

    @rule(gone=st.frozensets(connections))
    def drop(self, gone: frozenset[str]) -> None:
        now = self.effective
        self.take(advance(self.session, now), now)
        self.disconnect(gone, now)
        self.command(Drop(gone))

    def disconnect(self, gone: frozenset[str], now: int) -> None:
        for stay in self.stays.values():
            if stay.connections & gone:
                stay.connections -= gone
                stay.absent = stay.absent if stay.connections else now
        for held in self.waiting.values():
            held.difference_update(gone)

    @rule(by=therapists, who=st.lists(accounts, min_size=1, max_size=3))
    def admit(self, by: str, who: list[str]) -> None:
        self.command(Admit(by, tuple(who)))

    @rule(by=therapists, who=accounts)
    def deny(self, by: str, who: str) -> None:
        self.command(Deny(by, who))

    @rule(by=therapists, who=accounts)
    def send_back(self, by: str, who: str) -> None:
        self.command(SendBack(by, who))

    @rule(who=accounts, given=st.booleans())
    def consent(self, who: str, given: bool) -> None:
        self.command(Consent(who, ROLES[who], OBSERVED, given))

    @rule(key=st.integers(1, 4), minutes=st.sampled_from([5, 10, 15]))
    def extend(self, key: int, minutes: int) -> None:
        known = {one.key: one for one in self.session.extensions}
        before = self.session.agreed_end_ms
        starts = self.session.starts_ms
        done = self.command(Extend("anna", UUID(int=key), minutes * MINUTE, 60 * MINUTE))
        by = minutes * MINUTE if done and UUID(int=key) not in known else 0
        assert self.session.agreed_end_ms - before == by
        assert self.session.agreed_end_ms - starts <= 60 * MINUTE

    @rule(who=accounts, urgent=st.booleans())
    def mark(self, who: str, urgent: bool) -> None:
        was = self.session.urgent
        done = self.command(Mark(who, ROLES[who], urgent))
        if done and was and not urgent:
            assert ROLES[who] == "therapist"

    @rule(who=accounts, modality=modalities)
    def change_modality(self, who: str, modality: Modality) -> None:
        if self.command(ChangeModality(who, modality)):
            assert self.session.over or self.session.modality == modality

    @rule(who=accounts, modality=modalities)
    def propose(self, who: str, modality: Modality) -> None:
        self.command(Propose(who, modality))

    @rule(who=accounts, modality=modalities, accepted=st.booleans())
    def answer(self, who: str, modality: Modality, accepted: bool) -> None:
        self.command(Answer(who, modality, accepted))

    @rule(who=accounts, minutes=st.integers(0, 2))
    def say_late(self, who: str, minutes: int) -> None:
        self.command(SayLate(who, ROLES[who], minutes))

    @rule(ahead=st.integers(-MINUTE, 30 * MINUTE), length=st.integers(MINUTE, 12 * MINUTE))
    def move(self, ahead: int, length: int) -> None:
        self.command(Move(self.effective + ahead, length, LIMITS))

    @rule(generation=st.integers(0, 3))
    def rehost(self, generation: int) -> None:
        self.command(Rehost("node", generation))

    @precondition(lambda self: self.now > START + 20 * MINUTE)
    @rule(command=st.sampled_from([End("anna"), Stop()]))
    def end(self, command: Command) -> None:
        self.command(command)

    @rule(chance=st.integers(0, 19), command=st.sampled_from([End("anna"), Stop()]))
    def end_early(self, chance: int, command: Command) -> None:
        """Called off, or ended long before its time: now and then, for most histories are to go on."""
        if chance == 7:
            self.command(command)

    # --- What always holds ---

    @invariant()
    def there_is_one_end_and_nothing_after_it(self) -> None:
        ends = [event for event in self.events if event.change in ENDS]
        assert len(ends) == (1 if self.session.over else 0)
        if ends:
            assert self.session.reason == ends[0].reason
            assert self.session.present == ()
            assert self.session.waiting == ()
            assert deadlines(self.session) == {}
            after = self.events[self.events.index(ends[0]) + 1 :]
            assert {event.change for event in after} <= set()

    @invariant()
    def the_end_is_never_early(self) -> None:
        if self.session.reason in {"cap", "completed", "no_show"} and self.events[-1].due_ms is not None:
            assert self.session.ended_ms is not None
            assert self.session.ended_ms >= self.session.agreed_end_ms

    @invariant()
    def a_cue_is_given_once_and_none_is_left_out(self) -> None:
        assert tuple(self.told_cues) == self.session.cues
        assert len({(cue.until, cue.due_ms) for cue in self.told_cues}) == len(self.told_cues)
        session, given = self.session, set(self.told_cues)
        reached = session.ended_ms if session.over else self.effective if session.state == "overrun" else 0
        if session.live_ms is None or not reached or reached < session.agreed_end_ms:
            return
        for left in TERMS.cues_ms:
            cue = GivenCue("agreed_end", left, session.agreed_end_ms - left)
            assert cue.due_ms <= self.cues_from or cue in given
        for left in TERMS.cap_cues_ms if session.reason == "cap" else ():
            cue = GivenCue("cap", left, session.cap_ms - left)
            assert cue.due_ms <= max(self.cues_from, session.agreed_end_ms) or cue in given

    @invariant()
    def the_bystander_saw_the_same_people(self) -> None:
        assert sorted(self.stays) == sorted(self.session.present)
        assert sorted(self.waiting) == sorted(one.account for one in self.session.waiting)
        assert len(self.stays) <= self.session.terms.capacity
        for one in (*self.session.participants, *self.session.waiting):
            stay = self.stays.get(one.account)
            assert set(one.connections) == (stay.connections if stay else self.waiting[one.account])

    @invariant()
    def segments_add_up_to_the_time_people_were_there(self) -> None:
        now = max(self.effective, max((stay.since for stay in self.stays.values()), default=0))
        for account in ROLES:
            stay = self.stays.get(account)
            there = self.total.get(account, 0) + (now - stay.since if stay else 0)
            held = [one for one in self.session.segments if account in one.present]
            assert sum((one.ends_ms or now) - one.starts_ms for one in held) == there
        boundaries = [time for one in self.session.segments for time in (one.starts_ms, one.ends_ms or now)]
        assert boundaries == sorted(boundaries)

    @invariant()
    def nobody_observes_against_anyones_will(self) -> None:
        if "omar" in self.session.present:
            for account in {"ben", "dan", "cleo"} & set(self.session.present):
                records = [one for one in self.session.consents if one.account == account]
                assert records
                assert records[-1].given

    @invariant()
    def there_is_a_way_out_of_every_state(self) -> None:
        session, now = self.session, self.effective
        if session.over:
            return
        assert deadlines(session) or session.urgent
        far = max(now, session.cap_ms) + 24 * HOUR
        if session.urgent and session.state != "scheduled":
            session = decide(session, Mark("anna", "therapist", urgent=False), now).session
        assert advance(session, far).session.over
        assert decide(self.session, Stop(), now).session.over

    @invariant()
    def who_waits_sees_nothing(self) -> None:
        for account in self.waiting:
            assert place_of(self.session, account) == "waiting"
            shown = view(self.session, account, ROLES[account], self.now)
            assert (shown.present, shown.roles, shown.waiting, shown.proposal) == ((), {}, (), None)
            assert (shown.state, shown.modality, shown.both_ms) == ("open", "video", 0)
            assert shown.agreed_end_ms == self.session.starts_ms + self.session.length_ms
            assert (shown.urgent, shown.live_ms) == (False, None)

    @invariant()
    def live_is_once_and_storage_keeps_everything(self) -> None:
        lives = [event for event in self.events if event.change == "live"]
        assert len(lives) == (0 if self.session.live_ms is None else 1)
        assert from_row(to_row(self.session, 7)) == self.session


# `HYPOTHESIS_PROFILE=thorough` makes thousands of it.
Histories.TestCase.settings = settings(max_examples=max(300, settings().max_examples), stateful_step_count=50)
TestHistories = Histories.TestCase
