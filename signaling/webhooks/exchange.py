"""A request and its response over one HTTP/1.1 connection (RFC 9112), as far as a delivery needs it: no I/O.

Of a response only the status counts. Whatever else a server sends is bounded here, in bytes and in work:
a general client would read the interim responses of a hostile one for as long as they come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

import h11

MAX_HEAD_BYTES = 16 * 1024
"""The largest head of a response, with all interim responses before it."""

MAX_INTERIM = 8
"""How many interim responses (RFC 9110, 15.2) are read before the final one."""

MAX_WAIT_MS = 24 * 3_600_000
"""The longest pause that is understood."""


class Unanswered(Exception):
    """There is no response. ``failure`` is a stable name for why."""

    failure: ClassVar[str]


class Disconnected(Unanswered):
    """The connection ended before anything of a response came."""

    failure = "disconnected"


class NotHttp(Unanswered):
    """What came is no response, or more than one needs."""

    failure = "not_http"


@dataclass(frozen=True, slots=True)
class Address:
    """An address that deliveries are posted to."""

    host: str
    port: int
    encrypted: bool
    target: str
    """The path, and the query if there is one, in the request line."""
    authority: str
    """The value of ``Host`` (RFC 9110, 7.2)."""


def address_of(url: str) -> Address:
    """The address in a URL that was found good."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    encrypted = parts.scheme == "https"
    port = parts.port or (443 if encrypted else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(parts.hostname, port, encrypted, target, parts.netloc)


@dataclass(frozen=True, slots=True)
class Head:
    """What counts of a response."""

    status: int
    wait_ms: int
    """The pause that is asked for by ``Retry-After``; 0 if none is."""


class Exchange:
    """The client's side of one connection, for one request after another.

    For each: send :meth:`request`, give :meth:`receive` what comes until there is a :class:`Head`, then give
    :meth:`finish` the rest until it says that the response is complete; after that the next may follow.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._received = 0
        self._interim = 0

    def request(self, headers: dict[str, str], body: bytes) -> bytes:
        """The bytes of a POST."""
        self._received = self._interim = 0
        fields = {"Host": self._address.authority, **headers, "Content-Length": str(len(body))}
        request = h11.Request(method="POST", target=self._address.target, headers=list(fields.items()))
        events: tuple[h11.Event, ...] = (request, h11.Data(data=body), h11.EndOfMessage())
        return b"".join(self._http.send(event) or b"" for event in events)

    def receive(self, data: bytes) -> Head | None:
        """Take what came, or once, as the last, nothing at its end; None if the head is not complete.

        Raises :exc:`Disconnected` or :exc:`NotHttp`.
        """
        if not data and not self._received:
            raise Disconnected
        self._received += len(data)
        try:
            self._http.receive_data(data)
            return self._head()
        except h11.RemoteProtocolError:
            raise NotHttp from None

    def finish(self, data: bytes | None = None) -> bool:
        """Take more of the body, or with None look at what has come with the head; whether it was all.

        True only if the connection can be used again.
        """
        try:
            if data is not None:
                self._http.receive_data(data)
            event = self._http.next_event()
            while isinstance(event, h11.Data | h11.EndOfMessage):
                event = self._http.next_event()
        except h11.RemoteProtocolError:
            return False
        done = self._http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
        if not done or self._http.trailing_data[0]:  # which would be taken for the next response
            return False
        self._http.start_next_cycle()
        return True

    def _head(self) -> Head | None:
        while True:
            event = self._http.next_event()
            match event:
                case h11.InformationalResponse():
                    self._interim += 1
                    if self._interim > MAX_INTERIM:
                        raise NotHttp
                case h11.Response():
                    return Head(event.status_code, _wait_ms(dict(event.headers).get(b"retry-after", b"")))
                case h11.NEED_DATA if self._received <= MAX_HEAD_BYTES:
                    return None
                case _:
                    raise NotHttp


def _wait_ms(seconds: bytes) -> int:
    """The pause in ``Retry-After``, where it is a number of seconds; a date is taken for none."""
    return min(int(seconds) * 1000, MAX_WAIT_MS) if seconds.isdigit() and len(seconds) < 10 else 0
