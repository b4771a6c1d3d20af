"""Runs the application, and answers what is no HTTP at all.

aiohttp would answer that by itself, quoting what came. Here it gets a problem document, like every refusal,
which quotes nothing, and the connection is closed.
"""

from __future__ import annotations

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from protocol import errors
from protocol.errors import ProtocolError
from signaling.http.problems import problem_response
from signaling.observe.logs import failure

_log = structlog.get_logger("rapport.http")


class Runner(web.AppRunner):
    """An application's runner."""

    async def _make_server(self) -> web.Server:
        return _Server(await super()._make_server())


class _Server(web.Server):
    """The same server, with another answer to what cannot be read."""

    def __init__(self, made: web.Server) -> None:
        super().__init__(made.request_handler, request_factory=made.request_factory, **made._kwargs)

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, or to what the application has not answered."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun")
        kind, detail = errors.MALFORMED, "the request is not HTTP/1.1"
        if not isinstance(exc, HttpProcessingError):
            kind, detail = errors.INTERNAL, ""
            _log.error("request_failed", error=failure(exc) if exc is not None else "")
        response = problem_response(ProtocolError(kind, detail))
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Cache-Control"] = "no-store"
        response.headers["Server"] = "Rapport"
        response.force_close()
        return response
