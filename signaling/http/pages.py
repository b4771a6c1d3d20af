"""The web pages and the JavaScript client, as they are in the package ``web``; read once, at the start."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from aiohttp import web

from protocol import errors
from protocol.errors import ProtocolError

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}

_HEADERS = {
    # Nothing but what this server sends: no inline script, no frame around it, no form to elsewhere.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; font-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # kept, and asked for again each time: the next visit has an update
}


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    etag: str


class Pages:
    """The files below ``folder``, at ``/app/``."""

    def __init__(self, folder: Traversable) -> None:
        self._files = dict(_read(folder, ""))

    def routes(self) -> list[web.RouteDef]:
        """The route of the files."""
        return [web.get("/app/{name:.+}", self._serve)]

    def first_page(self) -> web.RouteDef:
        """The route that serves ``index.html`` at the root."""

        async def serve(request: web.Request) -> web.Response:
            return self._response(request, "index.html")

        return web.get("/", serve)

    async def _serve(self, request: web.Request) -> web.Response:
        return self._response(request, request.match_info["name"])

    def _response(self, request: web.Request, name: str) -> web.Response:
        file = self._files.get(name)
        if file is None:
            raise ProtocolError(errors.NOT_FOUND)
        headers = {**_HEADERS, "ETag": f'"{file.etag}"', "Content-Type": file.content_type}
        if any(known.value == file.etag for known in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, headers=headers)


def _read(folder: Traversable, prefix: str) -> Iterator[tuple[str, _File]]:
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            yield from _read(entry, f"{name}/")
        elif content_type := _TYPES.get(name[name.rfind(".") :]):
            body = entry.read_bytes()
            yield name, _File(body, content_type, hashlib.sha256(body).hexdigest()[:32])
