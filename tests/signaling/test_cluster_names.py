"""Names of nodes and ids of connections."""

from hypothesis import given
from hypothesis import strategies as st

from signaling.cluster.names import CHANCE_BYTES, connection_id, node_name, node_of

chances = st.binary(min_size=CHANCE_BYTES, max_size=CHANCE_BYTES)
numbers = st.integers(0, (1 << 60) - 1)


@given(numbers, chances, chances)
def test_the_node_is_read_from_the_id_of_its_connection(number: int, name: bytes, tail: bytes) -> None:
    node = node_name(name)
    assert len(node) == 16
    assert node_of(connection_id(number, node, tail)) == node


@given(numbers, numbers, chances, chances, chances)
def test_ids_are_in_the_order_of_their_numbers_on_whatever_nodes(
    one: int, other: int, ann: bytes, ben: bytes, tail: bytes
) -> None:
    ids = connection_id(one, node_name(ann), tail), connection_id(other, node_name(ben), tail)
    if one != other:
        assert (ids[0] < ids[1]) == (one < other)


@given(chances, chances)
def test_ids_of_one_instant_and_node_differ_by_their_chance(one: bytes, other: bytes) -> None:
    node = node_name(bytes(CHANCE_BYTES))
    assert (connection_id(7, node, one) == connection_id(7, node, other)) == (one == other)


def test_what_is_no_id_of_a_connection_names_no_node() -> None:
    assert [node_of(text) for text in ("", "x", "0" * 15)] == ["", "", ""]
