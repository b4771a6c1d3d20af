"""What the media plane refuses, as exceptions with stable names.

`name` travels over the control channel and may be shown to clients; `detail` is for developers and never
holds SDP, addresses or other data of a person.
"""


class RtcError(Exception):
    """A request that cannot be fulfilled. Nothing has changed, and nobody else is affected."""

    name: str = "rtc_error"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.name)
        self.detail = detail


class SdpError(RtcError):
    """The offer is not acceptable."""

    name = "sdp_unacceptable"


class SdpMalformed(SdpError):
    """The text is not SDP (RFC 8866), or an attribute that is needed cannot be read."""

    name = "sdp_malformed"


class SdpTooLarge(SdpError):
    """The text is longer than `rtc.sdp.MAX_BYTES`, or has more lines or media sections than are allowed."""

    name = "sdp_too_large"


class SdpWithoutMedia(SdpError):
    """There is no audio or video section."""

    name = "sdp_without_media"


class SdpWithoutIce(SdpError):
    """No usable ICE user fragment and password (RFC 8839), or the offerer is itself ICE-lite."""

    name = "sdp_without_ice"


class SdpWithoutFingerprint(SdpError):
    """No certificate fingerprint with SHA-256 or stronger (RFC 8122)."""

    name = "sdp_without_fingerprint"


class SdpWithoutBundle(SdpError):
    """Media sections that do not share one transport (RFC 9143), or one without rtcp-mux (RFC 5761)."""

    name = "sdp_without_bundle"


class SdpWrongRole(SdpError):
    """The offer does not let the server be the passive side of DTLS (RFC 5763)."""

    name = "sdp_wrong_role"


class SdpNoCommonCodec(SdpError):
    """No media section has a codec that the server forwards."""

    name = "sdp_no_common_codec"


class SdpOrderChanged(SdpError):
    """A new offer of the same connection dropped, reordered or retyped media sections (RFC 8829, 5.2.2)."""

    name = "sdp_order_changed"


class StaleGeneration(RtcError):
    """The message belongs to an older placement of the session than the one that this worker serves."""

    name = "stale_generation"


class BadName(RtcError):
    """The name of a participant cannot stand in SDP (RFC 8830: 1 to 64 token characters)."""

    name = "bad_name"


class NoSuchSession(RtcError):
    """The worker does not hold this session."""

    name = "no_such_session"


class NoSuchParticipant(RtcError):
    """The session does not hold this participant."""

    name = "no_such_participant"


class SessionFull(RtcError):
    """The session has as many participants as the options allow."""

    name = "session_full"


class WorkerGone(RtcError):
    """The worker process has ended; its sessions are to be placed anew."""

    name = "worker_gone"


class RequestTimeout(RtcError):
    """The worker did not answer in time; whether it acted is unknown."""

    name = "worker_timeout"


class ControlError(RtcError):
    """Bytes on the control channel that are not a message. The channel is of no more use."""

    name = "control_malformed"
