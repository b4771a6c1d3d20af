"""What an operator sees of the nodes, given two looks at the store."""

from __future__ import annotations

from msgspec.structs import replace

from relay.cluster import Grave, NodeRow, Nodes
from signaling.cluster.members import Members
from signaling.cluster.overview import DUTIES, Seen, State, overview

SESSIONS = {f"s{number}": ("ann", "ben", "gone", "")[number % 4] for number in range(40)}


def row(name: str, beat: int = 1) -> NodeRow:
    return NodeRow(name, beat, 0, "1.0", "eu", f"https://{name}", 3, 5, draining=False)


def looked(*rows: NodeRow, buried: tuple[Grave, ...] = ()) -> tuple[Seen, ...]:
    """Two looks, between which all of ``rows`` but those at beat 1 have beaten."""
    before = tuple(replace(one, beat=1) for one in rows)
    return overview(Nodes(before, ()), Nodes(rows, buried), SESSIONS, DUTIES)


def states(seen: tuple[Seen, ...]) -> dict[str, State]:
    return {one.node: one.state for one in seen}


def test_a_node_says_what_it_is() -> None:
    (seen,) = looked(row("ann", 2))
    assert replace(seen, duties=()) == Seen("ann", "up", "1.0", "eu", "https://ann", 5, 3, 10, 40)
    assert seen.duties == DUTIES


def test_who_has_not_beaten_is_silent_and_gets_nothing() -> None:
    seen = looked(row("ann", 2), row("ben"))
    assert states(seen) == {"ann": "up", "ben": "silent"}
    assert [(one.clocks, one.sessions, one.duties) for one in seen] == [(40, 10, DUTIES), (0, 10, ())]


def test_who_drains_gets_nothing_either() -> None:
    for draining in (replace(row("ben", 2), draining=True), replace(row("ben", 2), drain=True)):
        seen = looked(row("ann", 2), draining)
        assert states(seen) == {"ann": "up", "ben": "draining"}
        assert [one.clocks for one in seen] == [40, 0]


def test_the_dead_are_shown_until_they_are_settled() -> None:
    seen = looked(row("ann", 2), buried=(Grave("cat", 5, "us"),))
    assert seen[1] == Seen("cat", "dead", region="us")


def test_nobody_does_anything_where_all_are_silent() -> None:
    assert [(one.state, one.clocks, one.duties) for one in looked(row("ann"))] == [("silent", 0, ())]
    assert overview(Nodes((), ()), Nodes((), ()), {}, DUTIES) == ()


def test_what_falls_to_whom_is_what_the_nodes_themselves_think() -> None:
    rows = (row("ann", 2), row("ben", 2), row("cat", 2))
    ann = Members("ann", 3.0)
    ann.look(Nodes(rows, ()), 0.0)
    for seen in looked(*rows):
        assert seen.duties == tuple(duty for duty in DUTIES if ann.owner(f"duty:{duty}") == seen.node)
        assert seen.clocks == sum(ann.owner(session) == seen.node for session in SESSIONS)
