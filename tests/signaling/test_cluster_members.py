"""Who takes whom for dead, and who takes itself for an owner: every history of beats, pauses and deaths."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from relay.cluster import NodeRow, Nodes
from signaling.cluster.members import BEAT_SECONDS, BLIND_SECONDS, LEASE_SECONDS, Members, chosen

NAMES = ("ann", "ben", "cat")
KEYS = tuple(f"key{number}" for number in range(30))


def row(name: str, beat: int = 1, *, draining: bool = False) -> NodeRow:
    return NodeRow(name, beat, 0, "1.0", "", "", 0, 0, draining)


def nodes(*rows: NodeRow) -> Nodes:
    return Nodes(tuple(sorted(rows, key=lambda one: one.name)), ())


def watch(members: Members, seconds: float, *rows: NodeRow, start: float = 0.0) -> float:
    """Look at nodes that do not beat, for so long, as often as nodes do."""
    now = start
    while now <= start + seconds:
        members.look(nodes(*rows), now)
        now += BEAT_SECONDS
    return now - BEAT_SECONDS


def alive(members: Members) -> list[str]:
    return [one.name for one in members.alive()]


def test_a_node_that_is_silent_for_a_lease_is_dead() -> None:
    ann = Members("ann", LEASE_SECONDS)
    now = watch(ann, LEASE_SECONDS - BEAT_SECONDS, row("ann"), row("ben"))
    assert (alive(ann), ann.dead()) == (["ann", "ben"], ())
    ann.look(nodes(row("ann"), row("ben")), now + BEAT_SECONDS)
    assert (alive(ann), ann.dead()) == (["ann"], (row("ben"),))
    ann.look(nodes(row("ann"), row("ben", 2)), now + 2 * BEAT_SECONDS)
    assert (alive(ann), ann.dead()) == (["ann", "ben"], ())


def test_nobody_is_dead_for_who_has_not_looked() -> None:
    """A store that was away for long, or a pause of the one who looks, takes nobody's life."""
    ann = Members("ann", LEASE_SECONDS)
    now = watch(ann, LEASE_SECONDS - BEAT_SECONDS, row("ann"), row("ben")) + BLIND_SECONDS + 0.1
    ann.look(nodes(row("ann"), row("ben")), now)
    assert ann.dead() == ()
    watch(ann, LEASE_SECONDS, row("ann"), row("ben"), start=now)
    assert ann.dead() == (row("ben"),)


def test_a_node_acts_for_as_long_as_its_beat_lasts() -> None:
    ann = Members("ann", LEASE_SECONDS)
    assert not ann.acts(0.0)
    ann.beaten(10.0)
    assert [ann.acts(10.0 + after) for after in (0.0, LEASE_SECONDS - 0.01, LEASE_SECONDS)] == [
        True,
        True,
        False,
    ]
    ann.beaten(20.0)
    ann.buried()
    assert not ann.acts(20.0)


def test_who_is_alone_for_sure_acts_for_ever_after_its_first_beat() -> None:
    ann = Members("ann", math.inf)
    assert not ann.owns("key", 0.0)
    ann.beaten(0.0)
    ann.look(nodes(row("ann")), 0.0)
    assert ann.owns("key", 1e9)


def test_who_drains_owns_nothing_unless_all_do() -> None:
    ann = Members("ann", LEASE_SECONDS)
    ann.look(nodes(row("ann", draining=True), row("ben")), 0.0)
    assert {ann.owner(key) for key in KEYS} == {"ben"}
    ann.look(nodes(row("ann", draining=True), row("ben", draining=True)), 0.1)
    assert {ann.owner(key) for key in KEYS} == {"ann", "ben"}


@given(st.sets(st.text(min_size=1), min_size=2), st.text())
def test_only_the_keys_of_who_goes_move(names: set[str], key: str) -> None:
    first = chosen(names, key)
    for gone in names - {first}:
        assert chosen(names - {gone}, key) == first
    assert chosen(names - {first}, key) in names - {first}


def test_keys_are_spread() -> None:
    spread = Counter(chosen(NAMES, f"key{number}") for number in range(3000))
    assert min(spread.values()) > 800


class Cluster(RuleBasedStateMachine):
    """Nodes that beat, are paused, die and look whenever they like; a store that tells all of them the same.

    Clocks of nodes differ by what they like, and go at one rate.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.views = {name: Members(name, LEASE_SECONDS) for name in NAMES}
        self.rows = {name: row(name, 0) for name in NAMES}
        self.graves: set[str] = set()
        self.begun: dict[str, float] = {}
        self.written: dict[str, float] = {}

    def clock(self, name: str) -> float:
        return self.now + 1000.0 * NAMES.index(name)

    @rule(seconds=st.sampled_from((0.01, 0.25, 0.5, 1.0, 2.9, 3.0, 3.1, 60.0)))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=st.sampled_from(NAMES))
    def begin(self, name: str) -> None:
        """A beat sets out; it may arrive whenever it likes, or never."""
        self.begun[name] = self.clock(name)

    @rule(name=st.sampled_from(NAMES))
    def arrive(self, name: str) -> None:
        begun = self.begun.pop(name, None)
        if begun is None:
            return
        if name in self.graves:
            self.views[name].buried()
            return
        self.rows[name] = replace(self.rows[name], beat=self.rows[name].beat + 1)
        self.written[name] = self.now
        self.views[name].beaten(begun)

    @rule(name=st.sampled_from(NAMES))
    def look(self, name: str) -> None:
        self.views[name].look(nodes(*self.rows.values()), self.clock(name))

    @rule(name=st.sampled_from(NAMES))
    def bury(self, name: str) -> None:
        """Whoever looks buries those that it takes for dead, if they have not beaten since."""
        for dead in self.views[name].dead():
            if dead == self.rows.get(dead.name):
                assert not self.views[dead.name].acts(self.clock(dead.name)), "it would act after its burial"
                del self.rows[dead.name]
                self.graves.add(dead.name)

    @invariant()
    def nobody_is_dead_who_has_beaten_within_a_lease(self) -> None:
        for view in self.views.values():
            for dead in view.dead():
                at = self.written.get(dead.name)
                current = self.rows.get(dead.name)
                if at is not None and current == dead:
                    assert self.now - at >= LEASE_SECONDS

    @invariant()
    def a_key_has_one_owner_among_those_who_see_the_same(self) -> None:
        acting = [view for view in self.views.values() if view.acts(self.clock(view.name))]
        for key in KEYS[:5]:
            owners: dict[tuple[NodeRow, ...], set[str]] = {}
            for view in acting:
                if view.owns(key, self.clock(view.name)):
                    owners.setdefault(view.alive(), set()).add(view.name)
            assert all(len(same) == 1 for same in owners.values())

    @rule(alive=st.sets(st.sampled_from(NAMES), min_size=1))
    def settle(self, alive: set[str]) -> None:
        """Whoever lives beats and looks for a while: then every key has exactly one owner among them."""
        for _ in range(round(2 * LEASE_SECONDS / BEAT_SECONDS) + 1):
            for name in sorted(alive):
                self.begin(name)
                self.arrive(name)
            for name in sorted(alive):
                self.look(name)
            self.now += BEAT_SECONDS
        living = alive - self.graves
        for key in KEYS:
            owners = [name for name in living if self.views[name].owns(key, self.clock(name))]
            assert len(owners) == min(1, len(living))


TestCluster = Cluster.TestCase
