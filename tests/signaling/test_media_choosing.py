"""Which node gets a session: near, then idle; never one that takes nothing."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from signaling.cluster.names import connection_id
from signaling.media.choosing import ALIKE, choose, home, region_of
from signaling.sessions.commands import Join
from tests.signaling.media_kit import Seen
from tests.signaling.sessions_core_kit import OPENS, after, scheduled

nodes = st.lists(
    st.builds(
        Seen,
        name=st.sampled_from("abcdef"),
        region=st.sampled_from(["north", "south"]),
        participants=st.integers(0, 100),
        draining=st.booleans(),
    ),
    unique_by=lambda node: node.name,
)


@given(nodes, st.frozensets(st.sampled_from("abcdef")))
def test_a_node_nearby_then_the_least_busy_of_those_that_take_something(
    nodes: list[Seen], avoid: frozenset[str]
) -> None:
    chosen = choose("s", nodes, "north", avoid=avoid, planned={})
    fit = [node for node in nodes if not node.draining and node.name not in avoid]
    near = [node for node in fit if node.region == "north"] or fit
    assert (chosen is None) == (not fit)
    for node in near:
        if node.name == chosen:
            assert node.participants < min(one.participants for one in near) + ALIKE
            break
    else:
        assert not near


def test_sessions_that_begin_together_are_spread_over_nodes_that_are_alike() -> None:
    alike = [Seen(name, participants=load) for name, load in (("a", 0), ("b", ALIKE - 1), ("c", 3))]
    chosen = Counter(choose(str(number), alike, "", planned={}) for number in range(300))
    assert set(chosen) == {"a", "b", "c"}
    assert min(chosen.values()) > 60


def test_what_is_planned_already_counts() -> None:
    idle = [Seen("a"), Seen("b", participants=2 * ALIKE)]
    assert choose("s", idle, "", planned={}) == "a"
    assert choose("s", idle, "", planned={"a": 3 * ALIKE}) == "b"


def test_the_region_of_a_node_that_is_not_known_is_no_region() -> None:
    assert region_of("a", [Seen("a", "north")]) == "north"
    assert region_of("b", [Seen("a", "north")]) == ""


def test_a_session_is_at_home_where_most_of_its_connections_are() -> None:
    def joined(account: str, node: str) -> Join:
        return Join(account, "client", connection_id(1, node, b"chance"))

    north, south, gone = "1" * 16, "2" * 16, "3" * 16
    nodes = [Seen(north, "north"), Seen(south, "south")]
    session = after(scheduled(), (joined("ben", south), OPENS), (joined("cleo", gone), OPENS))
    assert home(session, nodes) == "south"
    session = after(session, (joined("ben", north), OPENS), (joined("anna", north), OPENS))
    assert home(session, nodes) == "north"
    assert home(scheduled(), nodes) == ""
