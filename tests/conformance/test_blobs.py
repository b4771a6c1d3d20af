"""What every place for the bytes of blobs does, whatever it is made of."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.blobs import Blobs, BytesMissing
from relay.blobs.folder import PIECE_BYTES, BlobFolder
from relay.errors import StoreClosed

Make = Callable[[Path], Blobs]
PLACES: list[Make] = [lambda path: BlobFolder(path / "deep" / "blobs")]
ONE, TWO = "1" * 32, "2" * 32


@pytest.fixture(params=PLACES)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Blobs]:
    return lambda: request.param(tmp_path)


@pytest.fixture
async def blobs(make: Callable[[], Blobs]) -> AsyncIterator[Blobs]:
    blobs = make()
    await blobs.open()
    yield blobs
    await blobs.close()


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


async def put(blobs: Blobs, name: str, data: bytes) -> None:
    await blobs.append(name, 0, data)
    assert await blobs.seal(name, digest(data))


async def read(blobs: Blobs, name: str, start: int, length: int) -> bytes:
    return b"".join([piece async for piece in blobs.read(name, start, length)])


async def test_bytes_are_appended_sealed_and_read(blobs: Blobs) -> None:
    assert await blobs.size(ONE) is None
    await blobs.append(ONE, 0, b"abc")
    await blobs.append(ONE, 3, b"def")
    await blobs.flush(ONE)
    assert await blobs.size(ONE) == 6
    assert await blobs.seal(ONE, digest(b"abcdef"))
    assert await blobs.size(ONE) == 6
    assert await read(blobs, ONE, 0, 6) == b"abcdef"
    assert await read(blobs, ONE, 2, 3) == b"cde"
    assert await read(blobs, ONE, 6, 0) == b""


async def test_bytes_with_another_hash_are_not_sealed(blobs: Blobs) -> None:
    await blobs.append(ONE, 0, b"abc")
    assert not await blobs.seal(ONE, digest(b"abx"))
    with pytest.raises(BytesMissing):
        await read(blobs, ONE, 0, 3)
    assert await blobs.seal(ONE, digest(b"abc"))


async def test_sealing_twice_compares(blobs: Blobs) -> None:
    await put(blobs, ONE, b"abc")
    assert await blobs.seal(ONE, digest(b"abc"))
    assert not await blobs.seal(ONE, digest(b"abx"))
    assert await read(blobs, ONE, 0, 3) == b"abc"


@pytest.mark.parametrize("offset", [1, 2, 4])
async def test_nothing_is_put_but_at_the_end(blobs: Blobs, offset: int) -> None:
    with pytest.raises(BytesMissing):
        await blobs.append(ONE, offset, b"x")
    await blobs.append(ONE, 0, b"abc")
    with pytest.raises(BytesMissing):
        await blobs.append(ONE, offset, b"x")
    with pytest.raises(BytesMissing):
        await blobs.append(ONE, 0, b"x")
    assert await blobs.size(ONE) == 3


async def test_what_is_not_there_is_neither_sealed_nor_read_and_may_be_deleted(blobs: Blobs) -> None:
    with pytest.raises(BytesMissing):
        await blobs.seal(ONE, digest(b""))
    with pytest.raises(BytesMissing):
        await read(blobs, ONE, 0, 1)
    await blobs.flush(ONE)
    await blobs.delete(ONE)


async def test_reading_beyond_the_end_tells_that_bytes_are_missing(blobs: Blobs) -> None:
    await put(blobs, ONE, b"abc")
    with pytest.raises(BytesMissing):
        await read(blobs, ONE, 1, 3)


async def test_names_are_listed_sealed_or_not_until_they_are_deleted(blobs: Blobs) -> None:
    await put(blobs, ONE, b"abc")
    await blobs.append(TWO, 0, b"x")
    assert await blobs.names() == (ONE, TWO)
    await blobs.delete(ONE)
    await blobs.delete(TWO)
    assert await blobs.names() == ()
    assert await blobs.size(ONE) is await blobs.size(TWO) is None


async def test_a_reader_goes_on_when_the_name_is_deleted(blobs: Blobs) -> None:
    data = bytes(3 * PIECE_BYTES)
    await put(blobs, ONE, data)
    reader = blobs.read(ONE, 0, len(data))
    pieces = [await anext(reader)]
    await blobs.delete(ONE)
    pieces += [piece async for piece in reader]
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= PIECE_BYTES


@pytest.mark.parametrize("name", ["", "x", "../" + "1" * 29, "A" * 32, "1" * 32 + "\n", "1" * 33])
async def test_names_are_hexadecimal(blobs: Blobs, name: str) -> None:
    with pytest.raises(ValueError, match="hexadecimal"):
        await blobs.append(name, 0, b"x")


async def test_bytes_are_kept(make: Callable[[], Blobs]) -> None:
    before = make()
    await before.open()
    await put(before, ONE, b"whole")
    await before.append(TWO, 0, b"half")
    await before.flush(TWO)
    await before.close()
    await before.close()
    with pytest.raises(StoreClosed):
        await before.size(ONE)
    after = make()
    await after.open()
    assert await after.names() == (ONE, TWO)
    assert await read(after, ONE, 0, 5) == b"whole"
    await after.append(TWO, 4, b" more")
    assert await after.seal(TWO, digest(b"half more"))
    await after.close()


async def test_some_space_is_free(blobs: Blobs) -> None:
    assert await blobs.free_bytes() > 0


@given(pieces=st.lists(st.binary(max_size=40), max_size=8), data=st.data())
@settings(max_examples=30, deadline=None)
async def test_any_part_reads_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], data: st.DataObject
) -> None:
    for make in PLACES:
        blobs = make(tmp_path_factory.mktemp("blobs"))
        await blobs.open()
        written = b""
        for piece in pieces:
            await blobs.append(ONE, len(written), piece)
            written += piece
        if pieces:
            assert await blobs.seal(ONE, digest(written))
            start = data.draw(st.integers(0, len(written)))
            length = data.draw(st.integers(0, len(written) - start))
            assert await read(blobs, ONE, start, length) == written[start : start + length]
        await blobs.close()
