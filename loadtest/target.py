"""Which server, and with which key: addresses, and the tokens a platform's back end would mint."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from protocol import tokens
from protocol.fields import Role
from protocol.tokens import Claims

TOKEN_SECONDS: Final = 3_600.0
"""How long a token is good; a longer session goes on with a fresh one."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server to test, and an API key of it.

    ``url`` is its address as browsers have it, with nothing after the host and port. :exc:`ValueError` says
    what is wrong with the address or the secret.
    """

    url: str
    key: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("the address of a server begins with http:// or https:// and a host")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("the address of a server ends after its host and port")
        tokens.api_key(self.secret)

    @property
    def http(self) -> str:
        """The address that paths of the HTTP API are appended to."""
        return self.url.rstrip("/")

    @property
    def connect(self) -> str:
        """The address of the WebSocket."""
        return f"ws{self.http.removeprefix('http')}/v1/connect"

    def participant_token(self, account: str, role: Role) -> str:
        """A token for a participant."""
        return self._mint(Claims(self.key, account, role, exp=time.time() + TOKEN_SECONDS))

    def back_end_token(self) -> str:
        """A token for the HTTP API."""
        expires = time.time() + TOKEN_SECONDS
        return self._mint(Claims(self.key, "loadtest", "operator", exp=expires, scope="rooms sessions"))

    def _mint(self, claims: Claims) -> str:
        return tokens.mint(claims, self.secret)
