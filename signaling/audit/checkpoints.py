"""Checkpoints as text: one JSON object to a line, in the witness and wherever else they are kept."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from relay.audit_trail import AuditCheckpoint

MAX_LINE_BYTES = 1024


class CheckpointLine(Struct, frozen=True, forbid_unknown_fields=True):
    """A checkpoint as it is written; digest and signature are hexadecimal."""

    sequence: int
    digest: str
    at_ms: int
    key: str
    signature: str


def line_of(checkpoint: AuditCheckpoint) -> CheckpointLine:
    """A checkpoint as it is written."""
    digest, signature = checkpoint.digest.hex(), checkpoint.signature.hex()
    return CheckpointLine(checkpoint.sequence, digest, checkpoint.at_ms, checkpoint.key, signature)


def encode(checkpoint: AuditCheckpoint) -> bytes:
    """The line of a checkpoint."""
    return msgspec.json.encode(line_of(checkpoint)) + b"\n"


def decode(line: bytes) -> AuditCheckpoint:
    """The checkpoint of a line. :exc:`ValueError` if it is none."""
    try:
        read = msgspec.json.decode(line, type=CheckpointLine)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("not a checkpoint") from error
    digest, signature = bytes.fromhex(read.digest), bytes.fromhex(read.signature)
    return AuditCheckpoint(read.sequence, digest, read.at_ms, read.key, signature)
