"""First bytes of datagrams."""

import pytest

from rtc.demux import KIND_BY_FIRST_BYTE, RTCP_TYPES, Kind


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (0, Kind.STUN),
        (3, Kind.STUN),
        (4, Kind.UNKNOWN),
        (19, Kind.UNKNOWN),
        (20, Kind.DTLS),
        (63, Kind.DTLS),
        (64, Kind.UNKNOWN),
        (127, Kind.UNKNOWN),
        (128, Kind.MEDIA),
        (191, Kind.MEDIA),
        (192, Kind.UNKNOWN),
        (255, Kind.UNKNOWN),
    ],
)
def test_ranges_end_where_rfc_7983_says(first: int, kind: Kind) -> None:
    assert KIND_BY_FIRST_BYTE[first] is kind


def test_every_rtcp_type_in_use_is_told_from_rtp() -> None:
    assert {200, 201, 202, 203, 204, 205, 206, 207} <= RTCP_TYPES
    # A payload type below 64 or above 95 can have the marker bit set without being taken for RTCP.
    assert not RTCP_TYPES & {0x80 | payload_type for payload_type in (*range(64), *range(96, 128))}
