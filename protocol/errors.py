"""Every error that Rapport tells anyone, with its stable name and code.

    ProtocolError            raised wherever something asked for is refused
      .kind: ErrorKind       a row of the table below: code, name, meaning, hint

A client acts on ``code`` or ``name`` and on ``temporary``; ``detail`` is for people. Codes and names are
never reused. Neither ``detail`` nor ``hint`` ever carries message content, tokens or personal data.
The same rows serve the WebSocket (``error`` frames) and HTTP (RFC 9457 problem documents).
"""

from __future__ import annotations

from protocol.blob_errors import *  # noqa: F403 - the rows of a part of the table
from protocol.error_table import CLOSES, KINDS
from protocol.error_table import CloseCode as CloseCode
from protocol.error_table import ErrorKind as ErrorKind
from protocol.error_table import close as _close
from protocol.error_table import kind as _kind
from protocol.key_errors import *  # noqa: F403 - the rows of a part of the table
from protocol.keys import Mismatch
from protocol.push_errors import *  # noqa: F403 - likewise
from protocol.retention_errors import *  # noqa: F403 - likewise


class ProtocolError(Exception):
    """A refusal with a stable code, to be told to whoever asked.

    ``request_id`` is the ``id`` of the request that is refused where the bytes gave one, so that
    the reply can repeat it; ``retry_after_ms`` goes with temporary kinds, ``mismatch`` with
    ``device_mismatch``.
    """

    def __init__(
        self,
        kind: ErrorKind,
        detail: str = "",
        *,
        retry_after_ms: int | None = None,
        request_id: int | None = None,
        mismatch: Mismatch | None = None,
    ) -> None:
        super().__init__(f"{kind.name}: {detail or kind.meaning}")
        self.kind = kind
        self.detail = detail or kind.meaning
        self.retry_after_ms = retry_after_ms
        self.request_id = request_id
        self.mismatch = mismatch


# Frames and requests.
MALFORMED = _kind(
    1001,
    "malformed",
    400,
    "the bytes are not a frame",
    "send one MessagePack or JSON map per WebSocket message, with an `op` this side may send",
)
TOO_LARGE = _kind(
    1002,
    "too_large",
    413,
    "a frame or a field is larger than the limit announced in `welcome`",
    "read the limits in `welcome`; send large content as a blob",
)
TOO_DEEP = _kind(
    1003, "too_deep", 400, "values are nested deeper than any frame is", "send the frame as documented"
)
UNKNOWN_OP = _kind(
    1004,
    "unknown_op",
    400,
    "there is no such `op` in this protocol version",
    "compare with the wire reference; the server may be older than the client",
)
INVALID_FIELD = _kind(
    1005,
    "invalid_field",
    400,
    "a field is missing, has the wrong type, or is out of bounds",
    "`detail` names the field; compare with the wire reference",
)
OUT_OF_ORDER = _kind(
    1006,
    "out_of_order",
    409,
    "this frame is not allowed at this point of the conversation",
    "send `hello` first and only once, and requests after `welcome`",
)
UNSUPPORTED_VERSION = _kind(
    1007,
    "unsupported_version",
    400,
    "no protocol version in `hello` is spoken here",
    "offer version 1, or update the client",
)
ID_IN_USE = _kind(
    1008,
    "id_in_use",
    409,
    "a request with this `id` is still being answered on this connection",
    "count the ids up",
)

# Who is speaking.
TOKEN_MISSING = _kind(
    1101, "token_missing", 401, "no token was given", "send it in `hello` or as `Authorization: Bearer`"
)
TOKEN_MALFORMED = _kind(
    1102, "token_malformed", 401, "the token is not a JWT with the claims required", "see the token reference"
)
TOKEN_SIGNATURE = _kind(
    1103, "token_signature", 401, "the token's signature is not right", "check which secret or key signed it"
)
TOKEN_EXPIRED = _kind(
    1104, "token_expired", 401, "the token is past its `exp`", "fetch a fresh token from the back end"
)
TOKEN_NOT_YET_VALID = _kind(
    1105,
    "token_not_yet_valid",
    401,
    "the token's `nbf` is in the future",
    "check the clock of the machine that mints tokens",
)
TOKEN_UNKNOWN_KEY = _kind(
    1106,
    "token_unknown_key",
    401,
    "no key of this issuer is known here",
    "check `iss`, `kid` and the server's keys",
)
TOKEN_ALGORITHM = _kind(
    1107,
    "token_algorithm",
    401,
    "the token's algorithm is not the one its key is for",
    "sign with HS256, EdDSA, ES256 or RS256, as the key says",
)
TOKEN_LIFETIME = _kind(
    1108,
    "token_lifetime",
    401,
    "the token is valid for longer than this server allows",
    "mint shorter tokens and refresh them",
)
TOKEN_SCOPE = _kind(
    1109,
    "token_scope",
    403,
    "the token is good, but not for this room, session, device or action",
    "mint a token with the claims needed",
)
REVOKED = _kind(1110, "revoked", 403, "this account or device has been revoked", "register the device again")
FORBIDDEN = _kind(
    1111, "forbidden", 403, "this role may not do that", "see the table of roles in the user guide"
)

# Rooms and messages.
NO_SUCH_ROOM = _kind(
    1201,
    "no_such_room",
    404,
    "there is no such room, or this account is not a member of it",
    "check the room's id and its members",
)
MID_DIFFERS = _kind(
    1202,
    "mid_differs",
    409,
    "this `mid` was already used for a message with other content or in another room",
    "make a new UUIDv7 for every message",
)
BEYOND_HEAD = _kind(
    1203,
    "beyond_head",
    400,
    "the offset lies beyond what was sent to this connection",
    "acknowledge only what was received and persisted",
)
ALREADY_EXISTS = _kind(
    1204,
    "already_exists",
    409,
    "something with this id already exists",
    "use another id, or leave it out and let the server choose",
)
NO_SUCH_MEMBER = _kind(
    1205, "no_such_member", 404, "this account is not a member of the room", "list the members first"
)
EPOCH_CHANGED = _kind(
    1206,
    "epoch_changed",
    409,
    "the room's log has another epoch than the one given",
    "start again from the head the server announces",
)

NOT_URGENT = _kind(
    1210,
    "not_urgent",
    404,
    "there is no urgent message at this place of the log",
    "take the offset from `urgent` of the inbox",
)

# Around sessions.
HOURS_INVALID = _kind(
    1380,
    "hours_invalid",
    400,
    "these office or quiet hours cannot be",
    "`detail` names what is wrong with them",
)

# Sessions.
NO_SUCH_SESSION = _kind(
    1301,
    "no_such_session",
    404,
    "there is no such session, or this account is not invited to it",
    "check the session's id",
)
SESSION_NOT_OPEN = _kind(
    1302,
    "session_not_open",
    409,
    "the session's join window has not opened yet",
    "`retry_after_ms` tells when it opens",
    temporary=True,
)
SESSION_OVER = _kind(
    1303, "session_over", 409, "the session has ended or was cancelled", "schedule a new one"
)
SESSION_CHANGED = _kind(
    1304,
    "session_changed",
    409,
    "the session was changed by someone else at the same moment",
    "read it again and repeat the change",
    temporary=True,
)
NOT_JOINED = _kind(
    1305, "not_joined", 409, "this connection has not joined the session", "send `session.join` first"
)
SESSION_TIMES = _kind(
    1306,
    "session_times",
    400,
    "the start or the length is not possible",
    "`detail` names what is wrong with it",
)
SESSION_FULL = _kind(
    1307,
    "session_full",
    409,
    "as many people as allowed are in the session already",
    "raise `media.max_participants`, up to 8",
)
NOT_ADMITTED = _kind(
    1310,
    "not_admitted",
    409,
    "this account waits to be admitted to a session; until then the session and its room stand still for it",
    "wait for the `admission` signal, or leave the waiting room",
    temporary=True,
)
NOT_WAITING = _kind(
    1311,
    "not_waiting",
    409,
    "this account is not where the request takes it to be: in the waiting room, or in the session",
    "somebody else may have acted first: read the session again",
)
CONSENT_REQUIRED = _kind(
    1312,
    "consent_required",
    403,
    "the session can be joined only with consents that this account has not given",
    "`detail` names them by kind and version; send `session.consent` for each",
)
NO_SUCH_CONSENT = _kind(
    1313,
    "no_such_consent",
    404,
    "the session does not ask for a consent of this kind and version",
    "take kind and version from the session's `consents`",
)
NOT_OBSERVABLE = _kind(
    1314,
    "not_observable",
    409,
    "not everyone in the session has consented to being observed",
    "join again once everyone has",
    temporary=True,
)
NO_SUCH_PROPOSAL = _kind(
    1315,
    "no_such_proposal",
    409,
    "this modality is not what someone else has proposed",
    "read the session again; a newer proposal takes the place of an older one",
)
SESSION_BEGUN = _kind(
    1316,
    "session_begun",
    409,
    "a session that has begun cannot be moved",
    "extend it or end it, or schedule another one",
)
TOO_MANY_CHANGES = _kind(
    1317,
    "too_many_changes",
    409,
    "people have come, gone or changed things in this session as often as is kept of one session",
    "stay as it is until the session ends",
)

# Scheduling.
NO_SUCH_ZONE = _kind(
    1350,
    "no_such_zone",
    400,
    "there is no time zone of this name",
    "take a name of the IANA database, such as `Europe/Berlin`",
)
RECURRENCE_INVALID = _kind(
    1351,
    "recurrence_invalid",
    400,
    "the recurrence rule is not one of those that are taken, or does not fit its first time",
    "`detail` names what is wrong; see the scheduling guide for what a rule may contain",
)
NO_SUCH_SERIES = _kind(1352, "no_such_series", 404, "there is no such series", "check the series' id")
NO_SUCH_OCCURRENCE = _kind(
    1353,
    "no_such_occurrence",
    404,
    "the series has no session at that time",
    "name a session by the local time that its series gave it, as in `20260329T0900`",
)
SERIES_CHANGED = _kind(
    1354,
    "series_changed",
    409,
    "the series was changed by someone else at the same moment",
    "read it again and repeat the change",
    temporary=True,
)
TOO_MANY_SERIES = _kind(
    1355,
    "too_many_series",
    409,
    "the room has as many series as allowed that are not over",
    "end one of them, or raise `schedule.max_series_per_room`",
)

# Media.
SDP_MALFORMED = _kind(
    1401,
    "sdp_malformed",
    400,
    "the offer is not a session description",
    "send `RTCPeerConnection.localDescription.sdp` unchanged",
)
SDP_TOO_LARGE = _kind(
    1402, "sdp_too_large", 413, "the offer is larger than any real one", "offer fewer media sections"
)
SDP_WITHOUT_ICE = _kind(
    1403,
    "sdp_without_ice",
    400,
    "the offer has no ICE user name or password",
    "send the description after `setLocalDescription`",
)
SDP_WITHOUT_FINGERPRINT = _kind(
    1404,
    "sdp_without_fingerprint",
    400,
    "the offer has no certificate fingerprint",
    "media is only taken over DTLS-SRTP",
)
SDP_UNSUPPORTED = _kind(
    1405,
    "sdp_unsupported",
    400,
    "the offer asks for what is not served: other codecs, no BUNDLE, no rtcp-mux, too many sections",
    "offer Opus, and VP8 or H.264, bundled and with rtcp-mux",
)
MEDIA_UNAVAILABLE = _kind(
    1406,
    "media_unavailable",
    503,
    "no media worker can take the call at this moment",
    "offer again after `retry_after_ms`",
    temporary=True,
)
MODALITY_EXCLUDES = _kind(
    1407, "modality_excludes", 409, "a chat session carries no media", "change the session's modality first"
)

# Limits and the server's own condition.
RATE_LIMITED = _kind(
    1501,
    "rate_limited",
    429,
    "too many requests in too short a time",
    "wait `retry_after_ms`, then go on",
    temporary=True,
)
TOO_MANY_IN_FLIGHT = _kind(
    1502,
    "too_many_in_flight",
    429,
    "more requests are waiting for their replies than allowed",
    "wait for replies before sending more",
    temporary=True,
)
OVERLOADED = _kind(
    1503,
    "overloaded",
    503,
    "the server has more to do than it can hold",
    "repeat after `retry_after_ms`; nothing was stored",
    temporary=True,
)
STORE_FULL = _kind(
    1504,
    "store_full",
    507,
    "the server's disk is full; nothing was stored",
    "keep the message and repeat it later",
    temporary=True,
)
INTERNAL = _kind(
    1505,
    "internal",
    500,
    "the server failed; nothing can be said about the request",
    "repeat it with the same `mid` or `Idempotency-Key`",
    temporary=True,
)
GOING_AWAY = _kind(
    1506,
    "going_away",
    503,
    "this server is shutting down",
    "connect again, to this or another server",
    temporary=True,
)

# HTTP only.
NOT_FOUND = _kind(1601, "not_found", 404, "there is nothing at this address", "see /v1/openapi.json")
METHOD_NOT_ALLOWED = _kind(
    1602,
    "method_not_allowed",
    405,
    "the address does not take this method",
    "the `Allow` header lists those it takes",
)
IDEMPOTENCY_DIFFERS = _kind(
    1603,
    "idempotency_differs",
    409,
    "this `Idempotency-Key` was already used for another request",
    "use a fresh key for every different request",
)
IDEMPOTENCY_MISSING = _kind(
    1604,
    "idempotency_missing",
    400,
    "a POST needs an `Idempotency-Key` header",
    "send any unique text of up to 128 characters",
)
UNSUPPORTED_MEDIA_TYPE = _kind(
    1605, "unsupported_media_type", 415, "the body is not JSON", "send `Content-Type: application/json`"
)
CURSOR_INVALID = _kind(
    1606,
    "cursor_invalid",
    400,
    "the pagination cursor is not one of ours",
    "use `next` of the previous page unchanged",
)

# The audit trail.
NO_SUCH_HOLD = _kind(1710, "no_such_hold", 404, "there is no such legal hold", "list the holds first")

# Webhooks.
NO_SUCH_DELIVERY = _kind(
    1730,
    "no_such_delivery",
    404,
    "there is no such delivery to a webhook, or not any more",
    "`GET /v1/webhooks/{state}` lists those there are",
)

# Ratings.
SESSION_NOT_OVER = _kind(
    1750,
    "session_not_over",
    409,
    "a session can be rated once it is over",
    "rate it after its end",
    temporary=True,
)
NOT_A_PARTICIPANT = _kind(
    1751,
    "not_a_participant",
    403,
    "a session is rated by those who were in it",
    "whoever waited outside, or did not come, has no rating to give",
)
ALREADY_RATED = _kind(
    1752,
    "already_rated",
    409,
    "this account has rated the session before",
    "the first rating stands; after a lost reply this one may be it",
)

# Why a WebSocket was closed (RFC 6455, 7.4.2: 4000-4999 are for applications).
DRAIN = _close(4000, "drain", "planned: the server is being stopped or moved")
FAILED = _close(4001, "internal", "the server failed on this connection")
STALLED = _close(4002, "stalled", "the client read nothing for too long")
NO_PONG = _close(4004, "no_pong", "the client did not answer pings")
EXPIRED = _close(4005, "token_expired", "the token ran out and was not refreshed")
RATE = _close(4006, "rate", "the client went on sending far beyond its rate")
NOT_AUTHORISED = _close(4500, "not_authorised", "the token does not allow this connection")
NOT_A_FRAME = _close(4501, "malformed", "the client sent what is not a frame")
NO_HELLO = _close(4502, "no_hello", "no `hello` came in time, or something else came first")
DEVICE_REVOKED = _close(4503, "device_revoked", "the account or device was revoked")
VERSION = _close(4504, "version", "no protocol version in common")
REPLACED = _close(4509, "replaced", "the same device opened a newer connection")


def error_kinds() -> tuple[ErrorKind, ...]:
    """All kinds of errors, by code."""
    return tuple(sorted(KINDS.values(), key=lambda kind: kind.code))


def close_codes() -> tuple[CloseCode, ...]:
    """All close codes, ascending."""
    return tuple(CLOSES[code] for code in sorted(CLOSES))


def kind_named(name: str) -> ErrorKind:
    """The kind with this stable name; :exc:`KeyError` if there is none."""
    return KINDS[name]
