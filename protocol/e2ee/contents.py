"""What stands inside a message: ``[type, {fields}]``, declared by its sender and unseen by the server.

A type that is not known here is no error: the app says that a newer one can show it.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

from protocol.e2ee.errors import ContentError
from protocol.e2ee.forms import Definition
from protocol.e2ee.structures import Bytes16, Bytes32, pack
from protocol.fields import Milliseconds

_NAME = Annotated[str, Meta(max_length=255)]


class Text(Struct, frozen=True):
    """Something said."""

    text: str

    def __repr__(self) -> str:
        return "<Text>"


class Attachment(Struct, frozen=True):
    """A file: where its ciphertext lies, and what opens it."""

    blob: Bytes32
    """SHA-256 of the ciphertext, which names it at the server."""
    key: Bytes32
    """For :mod:`protocol.e2ee.attachments`."""
    size: Annotated[int, Meta(ge=0, le=1 << 40)]
    """Bytes of the file itself."""
    name: _NAME
    media_type: _NAME
    """RFC 6838, as in ``application/pdf``. Apps do not trust it."""

    def __repr__(self) -> str:
        return "<Attachment>"


class Form(Struct, frozen=True):
    """A questionnaire to be filled in."""

    definition: Definition
    due_ms: Milliseconds | None = None
    """Until when it should be, if that was agreed."""


class FormResult(Struct, frozen=True):
    """A questionnaire filled in and scored."""

    form: Annotated[str, Meta(max_length=64)]
    version: int
    answers: Annotated[tuple[Annotated[int, Meta(ge=0, le=9)], ...], Meta(max_length=100)]
    """For each item the number of the choice, from 0."""
    total: int
    band: Annotated[str, Meta(max_length=64)]
    answer_to: Bytes16 | None = None
    """The ``mid`` of the message with the form."""

    def __repr__(self) -> str:
        return "<FormResult>"


class Unknown(Struct, frozen=True):
    """A content of a newer app."""

    type: str


Content: TypeAlias = Text | Attachment | Form | FormResult | Unknown

_TYPES: dict[str, type[Text | Attachment | Form | FormResult]] = {
    "text": Text,
    "attachment": Attachment,
    "form": Form,
    "form_result": FormResult,
}
_NAMES = {kind: name for name, kind in _TYPES.items()}


def encode_content(content: Text | Attachment | Form | FormResult) -> bytes:
    """A content to the bytes that are padded and sealed."""
    return pack((_NAMES[type(content)], content))


def decode_content(data: bytes) -> Content:
    """The inverse of :func:`encode_content`; :exc:`ContentError` when the bytes are no content."""
    try:
        name, body = _OUTER.decode(data)
        if name not in _TYPES:
            return Unknown(name)
        return msgspec.msgpack.decode(body, type=_TYPES[name])
    except (msgspec.MsgspecError, UnicodeError, ValueError, RecursionError):
        raise ContentError() from None


_OUTER: msgspec.msgpack.Decoder[tuple[Annotated[str, Meta(max_length=64)], Any]] = msgspec.msgpack.Decoder(
    tuple[Annotated[str, Meta(max_length=64)], msgspec.Raw]
)
