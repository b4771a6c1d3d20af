"""Which payload types carry the same bytes."""

import pytest

from rtc.codecs import Codec, Format, answer_parameters, format_of, map_payload_types


def h264(payload_type: int, profile: str = "42e01f", mode: str = "1") -> Codec:
    return Codec(
        payload_type, "H264", 90_000, parameters={"profile-level-id": profile, "packetization-mode": mode}
    )


OPUS = Codec(111, "opus", 48_000, 2)
VP8 = Codec(96, "VP8", 90_000)


@pytest.mark.parametrize(
    ("codec", "form"),
    [
        (OPUS, Format.OPUS),
        (Codec(111, "OPUS", 48_000, 2), Format.OPUS),
        (Codec(111, "opus", 48_000, 1), None),
        (VP8, Format.VP8),
        (Codec(98, "VP9", 90_000), None),
        (Codec(97, "rtx", 90_000), None),
        (h264(102), Format.H264_BASELINE),
        (h264(102, "42001F"), Format.H264_BASELINE),
        (h264(102, mode="0"), None),
        (h264(102, "640c1f"), None),
        (h264(102, "42e01f\tx"), None),
        (Codec(102, "H264", 90_000), None),
    ],
)
def test_formats(codec: Codec, form: Format | None) -> None:
    assert format_of(codec) is form


def test_payload_types_are_translated_by_format() -> None:
    publisher = (VP8, h264(102), h264(108, "42001f"))
    subscriber = (h264(125, "42001f"), h264(126), Codec(120, "VP8", 90_000))
    assert map_payload_types(publisher, subscriber) == {96: 120, 102: 125, 108: 125}


def test_what_the_subscriber_does_not_know_is_left_out() -> None:
    assert map_payload_types((VP8, h264(102)), (VP8,)) == {96: 96}


def test_answers_say_what_they_accept() -> None:
    assert "profile-level-id=42e01f" in answer_parameters(h264(102))
    assert "useinbandfec=1" in answer_parameters(OPUS)
    assert answer_parameters(VP8) == ""
