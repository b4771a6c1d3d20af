"""What the store raises, as what people are told. A service that knows better says it itself."""

from __future__ import annotations

from protocol import errors
from protocol.errors import ErrorKind, ProtocolError
from relay.errors import (
    BeyondHead,
    Conflict,
    NodeBuried,
    NotFound,
    Outdated,
    Overloaded,
    StaleEpoch,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreRestored,
    UnknownEpoch,
    Unstorable,
)

RETRY_AFTER_MS = 1000

_KINDS: dict[type[StoreError], ErrorKind] = {
    NotFound: errors.NO_SUCH_ROOM,
    Conflict: errors.ALREADY_EXISTS,
    BeyondHead: errors.BEYOND_HEAD,
    StaleEpoch: errors.EPOCH_CHANGED,
    Outdated: errors.DEVICE_MISMATCH,
    UnknownEpoch: errors.EPOCH_UNKNOWN,
    Unstorable: errors.INVALID_FIELD,  # text that the store cannot even look for
    Overloaded: errors.OVERLOADED,
    StoreFull: errors.STORE_FULL,
    StoreClosed: errors.GOING_AWAY,
    NodeBuried: errors.GOING_AWAY,
    StoreRestored: errors.GOING_AWAY,
}


def refusal(error: StoreError) -> ProtocolError:
    """What to answer when the store has raised ``error``; ``internal`` when it failed by itself."""
    kind = _KINDS.get(type(error), errors.INTERNAL)
    return ProtocolError(kind, retry_after_ms=RETRY_AFTER_MS if kind.temporary else None)
