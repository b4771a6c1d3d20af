"""The control channel between signaling and a worker: its messages, and their framing.

Messages are MessagePack maps with a `type`, each behind its length in four bytes, big-endian. Requests carry
an `id` that their one reply repeats; events come unasked. Whatever is about a session names the generation of
its placement, so that a worker that was replaced cannot be confused with its successor.
"""

from enum import Enum
from typing import Final, TypeAlias

import msgspec

from protocol.fields import Modality
from rtc.errors import ControlError

MAX_MESSAGE_BYTES: Final = 1 << 20
LENGTH_BYTES: Final = 4


class WorkerOptions(msgspec.Struct, frozen=True):
    """How a worker process is started; JSON in its `--options`."""

    host: str = "127.0.0.1"
    "Numeric address to listen on."
    port: int = 0
    "UDP port; 0 takes a free one."
    announce: tuple[str, ...] = ()
    "Numeric addresses that clients are told to reach the port at; `host` when empty."
    ice_consent_seconds: float = 30.0
    "Without a valid connectivity check for so long, a participant counts as disconnected."
    max_participants: int = 8
    "Per session."


class Message(msgspec.Struct, frozen=True, tag_field="type", tag=str.lower):
    """Any message; the tag is the class name in lower case."""


class Request(Message, frozen=True):
    """From signaling; answered by exactly one reply."""

    id: int


class Offer(Request, frozen=True):
    """A participant's offer; opens the session and adds the participant when they are new. -> `Answered`."""

    session: str
    generation: int
    participant: str
    sdp: str


class Remove(Request, frozen=True):
    """A participant leaves. -> `Done`."""

    session: str
    generation: int
    participant: str


class CloseSession(Request, frozen=True):
    """The session is over on this worker. -> `Done`."""

    session: str
    generation: int


class SetModality(Request, frozen=True):
    """What is to be forwarded from now on; opens the session when it is new. -> `Done`."""

    session: str
    generation: int
    modality: Modality


class Stats(Request, frozen=True):
    """-> `WorkerStats`."""


class Ping(Request, frozen=True):
    """-> `Done`."""


class Reply(Message, frozen=True):
    """To signaling; `id` is that of the request."""

    id: int


class Answered(Reply, frozen=True):
    """The answer to an offer."""

    sdp: str


class Done(Reply, frozen=True):
    """The request was fulfilled."""


class Failure(Reply, frozen=True):
    """The request was refused and changed nothing."""

    name: str
    "One of the stable names of `rtc.errors`."
    detail: str
    "For developers; holds no data of a person."


class WorkerStats(Reply, frozen=True):
    """Totals since the worker started, unless said otherwise."""

    sessions: int
    "Now."
    peers: int
    "Connections now, established or not."
    packets_in: int
    bytes_in: int
    packets_out: int
    bytes_out: int
    dropped: dict[str, int]
    "By the values of `rtc.counters.Drop`; causes that did not occur are left out."
    cpu_seconds: float
    "User and system time of the process."


class Reason(Enum):
    """Why a participant's media is disconnected."""

    CONSENT_LOST = "consent_lost"
    "No valid connectivity check came in time. It ends by itself when one comes, or with a new offer."
    DTLS_FAILED = "dtls_failed"
    "The handshake failed. Only an offer of a new connection helps."
    CLOSED = "closed"
    "The client has closed its connection."


class Event(Message, frozen=True):
    """To signaling, unasked."""


class Ready(Event, frozen=True):
    """The worker listens; sent once."""

    port: int
    fingerprint: str
    "SHA-256 of the worker's certificate, as in SDP."


class Connected(Event, frozen=True):
    """Media can flow in both directions."""

    session: str
    generation: int
    participant: str


class Disconnected(Event, frozen=True):
    """Media flows no longer. The participant stays until it is removed."""

    session: str
    generation: int
    participant: str
    reason: Reason


class RosterChanged(Event, frozen=True):
    """What the others publish has changed since the participant's last answer: it should offer again."""

    session: str
    generation: int
    participant: str
    audio: int
    "Sections of this kind that it needs to be willing to receive in, to receive everything."
    video: int


RequestMessage: TypeAlias = Offer | Remove | CloseSession | SetModality | Stats | Ping
ReplyMessage: TypeAlias = Answered | Done | Failure | WorkerStats
EventMessage: TypeAlias = Ready | Connected | Disconnected | RosterChanged

_encoder = msgspec.msgpack.Encoder()
_from_signaling: msgspec.msgpack.Decoder[RequestMessage] = msgspec.msgpack.Decoder(RequestMessage)
_from_worker: msgspec.msgpack.Decoder[ReplyMessage | EventMessage] = msgspec.msgpack.Decoder(
    ReplyMessage | EventMessage
)


def encode(message: Message) -> bytes:
    """A message with its length in front. Raises `ControlError` when it is too long."""
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE_BYTES:
        raise ControlError("message too long")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def decode_request(body: bytes) -> RequestMessage:
    """A message from signaling. Raises `ControlError`."""
    try:
        return _from_signaling.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ControlError(type(error).__name__) from None


def decode_from_worker(body: bytes) -> ReplyMessage | EventMessage:
    """A message from a worker. Raises `ControlError`."""
    try:
        return _from_worker.decode(body)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ControlError(type(error).__name__) from None


class FrameBuffer:
    """Cuts a byte stream into message bodies."""

    def __init__(self) -> None:
        self._data = bytearray()  # never longer than one message and one read

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are complete now. Raises `ControlError` on a length above the limit."""
        self._data += data
        bodies = []
        while len(self._data) >= LENGTH_BYTES:
            length = int.from_bytes(self._data[:LENGTH_BYTES], "big")
            if length > MAX_MESSAGE_BYTES:
                raise ControlError("length above the limit")
            end = LENGTH_BYTES + length
            if len(self._data) < end:
                break
            bodies.append(bytes(self._data[LENGTH_BYTES:end]))
            del self._data[:end]
        return bodies
