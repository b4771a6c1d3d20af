"""What stands inside messages: padding, contents, scores; and the streams of attachments."""

from __future__ import annotations

import hashlib

from msgspec import to_builtins

from protocol.e2ee import attachments as streams
from protocol.e2ee.contents import Attachment, Form, FormResult, Text, encode_content
from protocol.e2ee.forms import GAD_7, PHQ_9, Definition, score
from protocol.e2ee.padding import pad
from tests.vectors.values import CREATED_MS, Vector, drawn

SIZES = (0, 1, 65_535, 65_536, 65_537, 131_072, 200_000)
ANSWERS: tuple[tuple[Definition, tuple[int, ...]], ...] = (
    (PHQ_9, (0,) * 9),
    (PHQ_9, (1, 1, 1, 1, 1, 0, 0, 0, 0)),
    (PHQ_9, (3, 3, 3, 3, 3, 3, 3, 3, 0)),
    (PHQ_9, (0, 0, 0, 0, 0, 0, 0, 0, 1)),
    (PHQ_9, (3,) * 9),
    (GAD_7, (2, 2, 2, 2, 1, 0, 0)),
    (GAD_7, (2, 2, 2, 2, 2, 2, 3)),
)


def contents() -> Vector:
    """Contents as bytes before they are padded; sizes before and after padding; forms and their scores."""
    cases: dict[str, Text | Attachment | Form | FormResult] = {
        "text": Text("Grüße 👋"),
        "attachment": Attachment(drawn("blob"), drawn("attachment key"), 5, "Übung.pdf", "application/pdf"),
        "form": Form(PHQ_9, CREATED_MS),
        "form_result": FormResult("phq-9", 1, (1,) * 9, 9, "mild", drawn("mid of the form", 16)),
    }
    return {
        "contents": [
            {"type": name, "encoded": encode_content(content).hex()} for name, content in cases.items()
        ],
        "unknown": {"type": "whiteboard", "encoded": b"\x92\xaawhiteboard\x80".hex()},
        "padding": [
            {"size": size, "padded": len(pad(bytes(size)))}
            for size in (0, 1, 254, 255, 256, 511, 512, 1023, 1024, 2047, 2048, 5000)
        ],
        "definitions": [to_builtins(definition) for definition in (PHQ_9, GAD_7)],
        "scores": [
            {"form": definition.form, "answers": list(answers), **to_builtins(score(definition, answers))}
            for definition, answers in ANSWERS
        ],
    }


def attachments() -> Vector:
    """A file of size n is the first n bytes of SHAKE256 over the UTF-8 of ``file``."""
    key = drawn("attachment key")
    return {
        "key": key.hex(),
        "file": "rapport attachment",
        "streams": [_stream(key, size) for size in SIZES],
    }


def plain(size: int) -> bytes:
    return hashlib.shake_256(b"rapport attachment").digest(size)


def _stream(key: bytes, size: int) -> Vector:
    ciphertext, digest = streams.encrypt(key, plain(size))
    return {
        "size": size,
        "encrypted_size": len(ciphertext),
        "digest": digest.hex(),
        "first": ciphertext[:32].hex(),
        "last": ciphertext[-32:].hex(),
    }
