"""Lets pages of other origins, those that the settings trust, ask for blobs (CORS, in the Fetch standard).

Requests carry their token in a header that no other page has, so nothing is open to a page that is not
trusted here; its browser only would not let it read the answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web

from signaling.http.member_endpoint import DEVICE_HEADER, MemberEndpoint
from signaling.http.problems import route_of

PREFLIGHT_SECONDS = 600
"""How long a browser may remember what it was told."""

_ALWAYS_SENT = ("Authorization", "Content-Type", DEVICE_HEADER, "If-None-Match")
_ALWAYS_READ = ("Retry-After", "Upload-Offset", "Content-Range")


class Origins:
    """What pages of other origins are told about operations."""

    def __init__(self, trusted: Iterable[str], endpoints: Iterable[MemberEndpoint]) -> None:
        self._trusted = frozenset(trusted)
        self._at: dict[str, list[MemberEndpoint]] = {}
        for endpoint in endpoints:
            self._at.setdefault(endpoint.path, []).append(endpoint)

    def routes(self) -> list[web.RouteDef]:
        """What a browser asks beforehand, for every address."""
        return [web.options(path, self._preflight) for path in self._at]

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Say who may read the answer, whatever it is."""
        endpoints = self._at.get(route_of(request))
        if endpoints is None:
            return
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("Origin")
        if origin in self._trusted:
            read = {name for endpoint in endpoints for name in endpoint.answered}
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = ", ".join(sorted(read.union(_ALWAYS_READ)))

    async def _preflight(self, request: web.Request) -> web.Response:
        endpoints = self._at[route_of(request)]
        sent = {name for endpoint in endpoints for name in endpoint.headers}
        headers = {
            "Access-Control-Allow-Methods": ", ".join(endpoint.method for endpoint in endpoints),
            "Access-Control-Allow-Headers": ", ".join(sorted(sent.union(_ALWAYS_SENT))),
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
        return web.Response(status=204, headers=headers)
