"""What stands inside messages: padding, contents, questionnaires, attachments."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.e2ee import attachments, errors
from protocol.e2ee.attachments import CHUNK_BYTES, Decryptor, Encryptor, encrypted_size
from protocol.e2ee.contents import Text, decode_content, encode_content
from protocol.e2ee.forms import GAD_7, PHQ_9, SHIPPED, score
from protocol.e2ee.padding import pad, unpad
from tests.vectors.values import drawn

KEY = drawn("attachment")


@given(st.binary(max_size=3000))
def test_padding_is_undone_and_hides_the_size(content: bytes) -> None:
    padded = pad(content)
    assert unpad(padded) == content
    assert len(padded) in (256, 512) or len(padded) % 1024 == 0


@given(st.binary(max_size=600))
def test_what_is_not_padded_is_found(data: bytes) -> None:
    with contextlib.suppress(errors.ContentError):
        assert pad(unpad(data)) == data


@given(st.text(max_size=200))
def test_texts_survive(text: str) -> None:
    assert decode_content(encode_content(Text(text))) == Text(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_content_or_our_error(data: bytes) -> None:
    with contextlib.suppress(errors.ContentError):
        decode_content(data)


def test_contents_do_not_show() -> None:
    assert "secret" not in repr(Text("secret"))


def test_phq_9_is_urgent_by_its_ninth_item_alone() -> None:
    assert score(PHQ_9, (0,) * 8 + (1,)).urgent
    assert not score(PHQ_9, (3,) * 8 + (0,)).urgent


@pytest.mark.parametrize(
    ("answers", "total", "band"),
    [
        ((0,) * 9, 0, "minimal"),
        ((1,) * 4 + (0,) * 5, 4, "minimal"),
        ((1,) * 5 + (0,) * 4, 5, "mild"),
        ((1,) * 9, 9, "mild"),
        ((2,) * 5 + (0,) * 4, 10, "moderate"),
        ((2,) * 7 + (0,) * 2, 14, "moderate"),
        ((3,) * 5 + (0,) * 4, 15, "moderately severe"),
        ((3,) * 6 + (2, 0, 0), 20, "severe"),
        ((3,) * 9, 27, "severe"),
    ],
)
def test_phq_9(answers: tuple[int, ...], total: int, band: str) -> None:
    found = score(PHQ_9, answers)
    assert (found.total, found.band) == (total, band)


def test_gad_7() -> None:
    bands = [score(GAD_7, (1,) * ones + (0,) * (7 - ones)).band for ones in (4, 5)]
    assert bands == ["minimal", "mild"]
    assert score(GAD_7, (3,) * 5 + (0, 0)).band == "severe"
    assert not score(GAD_7, (3,) * 7).urgent
    assert set(SHIPPED) == {"phq-9", "gad-7"}


@pytest.mark.parametrize("answers", [(0,) * 8, (0,) * 10, (0,) * 8 + (4,), (0,) * 8 + (-1,)])
def test_bad_answers(answers: tuple[int, ...]) -> None:
    with pytest.raises(errors.ContentError):
        score(PHQ_9, answers)


SIZES = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1000, CHUNK_BYTES, 1 << 20])
def test_attachments_stream_in_any_steps(size: int, step: int) -> None:
    data = bytes(size)
    encryptor = Encryptor(KEY)
    ciphertext = b"".join(encryptor.feed(data[at : at + step]) for at in range(0, size, step))
    ciphertext += encryptor.finish()
    assert (len(ciphertext), (ciphertext, encryptor.digest)) == (
        encrypted_size(size),
        attachments.encrypt(KEY, data),
    )
    decryptor = Decryptor(KEY, size)
    back = b"".join(decryptor.feed(ciphertext[at : at + step]) for at in range(0, len(ciphertext), step))
    assert back + decryptor.finish() == data


SIZE = 2 * CHUNK_BYTES + 5
CIPHERTEXT = attachments.encrypt(KEY, bytes(SIZE))[0]
CHUNK = CHUNK_BYTES + 16


@pytest.mark.parametrize("cut", [1, 21, CHUNK, 2 * CHUNK])
def test_a_truncated_attachment(cut: int) -> None:
    with pytest.raises(errors.AttachmentTruncated):
        attachments.decrypt(KEY, SIZE, CIPHERTEXT[:-cut])


def test_an_attachment_cut_at_a_chunk_does_not_pass_for_a_shorter_one() -> None:
    """Even if whoever cuts it could change the size that the message tells."""
    with pytest.raises(errors.AttachmentTampered):
        attachments.decrypt(KEY, 2 * CHUNK_BYTES, CIPHERTEXT[: 2 * CHUNK])


@pytest.mark.parametrize(
    "changed",
    [
        CIPHERTEXT[:9] + bytes([CIPHERTEXT[9] ^ 1]) + CIPHERTEXT[10:],
        CIPHERTEXT[CHUNK : 2 * CHUNK] + CIPHERTEXT[:CHUNK] + CIPHERTEXT[2 * CHUNK :],
        CIPHERTEXT[:CHUNK] * 2 + CIPHERTEXT[2 * CHUNK :],
        CIPHERTEXT + b"\0",
        attachments.encrypt(drawn("another"), bytes(SIZE))[0],
    ],
)
def test_a_changed_attachment(changed: bytes) -> None:
    with pytest.raises(errors.AttachmentTampered):
        attachments.decrypt(KEY, SIZE, changed)
