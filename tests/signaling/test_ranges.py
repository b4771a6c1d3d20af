"""Ranges say which bytes are meant, whatever the numbers are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ProtocolError
from signaling.http.ranges import asked

sizes = st.integers(1, 1000)
numbers = st.integers(0, 1200)


@given(size=sizes, first=numbers, last=numbers)
def test_from_here_to_there(size: int, first: int, last: int) -> None:
    header = f"bytes={first}-{last}"
    if last < first:
        assert asked(header, size) is None
    elif first >= size:
        with pytest.raises(ProtocolError):
            asked(header, size)
    else:
        assert asked(header, size) == (first, min(last + 1, size) - first)


@given(size=sizes, first=numbers)
def test_from_here_on(size: int, first: int) -> None:
    if first < size:
        assert asked(f"bytes={first}-", size) == (first, size - first)
    else:
        with pytest.raises(ProtocolError):
            asked(f"bytes={first}-", size)


@given(size=sizes, count=st.integers(1, 1200))
def test_the_end(size: int, count: int) -> None:
    count_there = min(count, size)
    assert asked(f"bytes=-{count}", size) == (size - count_there, count_there)


@given(size=sizes, header=st.none() | st.text(max_size=30))
def test_anything_else_is_everything_or_refused(size: int, header: str | None) -> None:
    try:
        part = asked(header, size)
    except ProtocolError:
        return
    assert part is None or 0 <= part[0] < part[0] + part[1] <= size
