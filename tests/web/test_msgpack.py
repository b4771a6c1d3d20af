"""The browser's MessagePack against the ``msgpack`` package and against the server's own codec, both ways."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.chromium import Page

pytestmark = pytest.mark.asyncio(loop_scope="package")  # where the shared browser lives

SAFE = (1 << 53) - 1
EDGES = [2**bits + step for bits in (5, 7, 8, 15, 16, 31, 32, 52) for step in (-1, 0, 1)]

# JavaScript has one type of number: a float without a fraction is the same value as the integer.
fractions = st.floats(allow_nan=False, allow_infinity=False).filter(lambda value: not value.is_integer())
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | fractions
    | st.text(max_size=40)
    | st.binary(max_size=40)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=8), inner, max_size=20),
    max_leaves=40,
)

# In the page: values arrive as base64 and go back as base64.
HARNESS = """
globalThis.ready = (async () => {
  const { encode, decode, MsgpackError } = await import("/app/msgpack.js");
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const text = (bytes) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(""));
  globalThis.echo = (all) => all.map((one) => text(encode(decode(bytes(one)))));
  globalThis.refusal = (one) => {
    try { decode(bytes(one)); return null; } catch (error) {
      return error instanceof MsgpackError ? "refused" : `${error.name}: ${error.message}`;
    }
  };
})()
"""


async def prepared(page: Page) -> Page:
    await page.evaluate(HARNESS)
    return page


async def echo(page: Page, items: list[Any]) -> list[bytes]:
    """The bytes of each value after it was read and written by the browser."""
    packed = [base64.b64encode(msgpack.packb(item)).decode() for item in items]
    return [base64.b64decode(one) for one in await page.evaluate(f"echo({json.dumps(packed)})")]


async def refusal(page: Page, data: bytes) -> Any:
    return await page.evaluate(f"refusal('{base64.b64encode(data).decode()}')")


async def test_numbers_keep_their_value_and_take_the_shortest_form(page: Page) -> None:
    await prepared(page)
    numbers = [0, SAFE, -SAFE, *EDGES, *(-edge for edge in EDGES), 0.5, -1.25, math.pi, 5e-324, 1.7e308]
    assert await echo(page, numbers) == [msgpack.packb(number) for number in numbers]


async def test_lengths_at_the_edges_of_their_forms(page: Page) -> None:
    await prepared(page)
    sizes = [0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536]
    items: list[Any] = [*("é" * size for size in sizes), *(bytes(size) for size in sizes)]
    items += [*([1] * size for size in sizes), *({str(n): n for n in range(size)} for size in sizes)]
    assert await echo(page, items) == [msgpack.packb(item) for item in items]


async def test_whatever_frames_can_hold_comes_back_as_the_same_bytes(page: Page) -> None:
    await prepared(page)
    batch: list[Any] = []

    @settings(max_examples=300, database=None)
    @given(values)
    def collect(value: Any) -> None:
        batch.append(value)

    collect()
    # The order of a map's keys is kept, except that JavaScript puts keys that look like indices first.
    returned = [msgpack.unpackb(one) for one in await echo(page, batch)]
    assert returned == batch


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",  # never used
        b"\x01\x02",  # two values
        b"\xa5abc",  # text that ends early
        b"\xc6\xff\xff\xff\xff",  # bytes that claim 4 GiB
        b"\xdd\xff\xff\xff\xff",  # a list that claims 4 billion items
        b"\xdf\xff\xff\xff\xff\x01",  # a map that claims 4 billion, with a number as key
        b"\x81\x01\x02",  # a key that is not text
        b"\xa2\xff\xfe",  # text that is not UTF-8
        b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",  # not exact as a JavaScript number
        b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
        b"\xd4\x01\x00",  # an extension
        b"\x91" * 100 + b"\x01",  # too deep
        b"\x91" * 100_000 + b"\x01",
    ],
    ids=lambda data: data[:8].hex() or "empty",
)
async def test_what_is_no_value_is_refused(page: Page, data: bytes) -> None:
    await prepared(page)
    assert await refusal(page, data) == "refused"


async def test_any_bytes_give_a_value_or_our_error(page: Page) -> None:
    await prepared(page)
    batch: list[bytes] = []

    @settings(max_examples=500, database=None)
    @given(st.binary(max_size=64))
    def collect(data: bytes) -> None:
        batch.append(data)

    collect()
    encoded = json.dumps([base64.b64encode(data).decode() for data in batch])
    outcomes = await page.evaluate(f"{encoded}.map(refusal)")
    assert set(outcomes) <= {None, "refused"}


async def test_a_key_named_like_the_prototype_is_a_key(page: Page) -> None:
    await prepared(page)
    item = {"__proto__": {"polluted": True}, "constructor": 1}
    assert await echo(page, [item]) == [msgpack.packb(item)]
    assert await page.evaluate("({}).polluted === undefined")
