"""How an endpoint of the API is declared: one value that its route and its description are both made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from protocol.errors import ErrorKind
from relay.store import Store
from relay.writes import Write
from signaling.around import Around
from signaling.blobs.service import BlobService
from signaling.caller import Caller
from signaling.erasure import Erasure
from signaling.export.service import Export
from signaling.http.pagination import PageRequest
from signaling.keys.service import KeysService
from signaling.ratings.service import Ratings
from signaling.retention.service import Retention
from signaling.rooms import Rooms
from signaling.schedule.feeds import Feeds
from signaling.schedule.service import Schedule
from signaling.services import Recorder
from signaling.sessions.service import Sessions
from signaling.timebase import Timebase
from signaling.usage.service import Usage
from signaling.webhooks.service import Webhooks

BodyT = TypeVar("BodyT")


JSON = "application/json"
CSV = "text/csv"
JSON_LINES = "application/x-ndjson"


@dataclass(frozen=True, slots=True)
class Download:
    """An answer of any length, which is sent while it is made."""

    media_type: str
    file_name: str
    chunks: AsyncIterator[bytes]
    """What it raises before the first of them is answered as a refusal; after that the connection breaks."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint answers."""

    status: int
    value: Struct | None = None
    location: str | None = None
    """The address of what was created."""
    download: Download | None = None
    """Instead of a value."""


@dataclass(frozen=True, slots=True)
class Call(Generic[BodyT]):
    """One request to an endpoint, checked as far as the declaration goes."""

    caller: Caller
    path: Mapping[str, str]
    """The ids in the address, each of the form that ids of back ends have."""
    body: BodyT
    """What is asked: the body, or for a GET the parameters of its query."""
    page: PageRequest
    keep: Callable[[Reply], tuple[Write, ...]]
    """What to commit together with the effect of a POST, so that its repetition gets the same reply."""
    accepts: str = JSON
    """The media type to answer in: one of those that the endpoint declares."""


@dataclass(frozen=True, slots=True)
class Services:
    """What endpoints work with."""

    store: Store
    rooms: Rooms
    sessions: Sessions
    schedule: Schedule
    feeds: Feeds
    around: Around
    keys: KeysService
    retention: Retention
    export: Export
    erasure: Erasure
    usage: Usage
    ratings: Ratings
    timebase: Timebase
    recorder: Recorder
    webhooks: Webhooks
    blobs: BlobService
    break_glass_minutes: int
    """How long access may be broken open at most."""


Handler = Callable[[Services, Call[BodyT]], Awaitable[Reply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[BodyT]):
    """One operation of the API."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    name: str
    """Its ``operationId``."""
    summary: str
    scope: str
    """The scope that the token needs."""
    handle: Handler[BodyT]
    status: int
    """The status of success."""
    result: type[Struct] | None
    body: type[BodyT] | None = None
    query: type[BodyT] | None = None
    """The parameters of a GET, besides those of pages: a struct with a plain type for each."""
    paged: bool = False
    media_types: tuple[str, ...] = (JSON,)
    """What it can answer in; the first is what callers get who accept anything."""
    errors: tuple[ErrorKind, ...] = ()
    """What it refuses, besides what every endpoint does."""


AnyEndpoint = Endpoint[Any]
