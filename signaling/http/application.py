"""All that is served over HTTP, as one aiohttp application."""

from __future__ import annotations

import time

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from config import Settings
from protocol import errors
from signaling.access import Access
from signaling.door.websocket import Door
from signaling.http import development, member_endpoint, openapi, serving
from signaling.http.api import ENDPOINTS
from signaling.http.blobs_api import BLOBS
from signaling.http.endpoint import Services
from signaling.http.health import Health
from signaling.http.origins import Origins
from signaling.http.pages import Pages
from signaling.http.problems import Handler, problems, route_of
from signaling.http.schedule import feed_route
from signaling.observe.metrics import Metrics
from web import STATIC


def application(
    services: Services,
    access: Access,
    door: Door,
    health: Health,
    metrics: Metrics,
    settings: Settings,
    *,
    development_mode: bool,
) -> web.Application:
    """The application. ``development_mode`` adds the page at ``/`` and ``/dev/session``."""
    pages = Pages(STATIC)
    app = web.Application(
        middlewares=[_counted(metrics), problems], client_max_size=settings.limits.http_body_bytes
    )
    app.add_routes([serving.route(endpoint, services, access) for endpoint in ENDPOINTS])
    app.add_routes([member_endpoint.route(one, services.blobs, access, services.recorder) for one in BLOBS])
    origins = Origins(settings.server.trusted_origins, BLOBS)
    app.add_routes(origins.routes())
    app.add_routes([_document("/v1/openapi.json", openapi.document())])
    app.add_routes([_document("/v1/errors", errors.error_kinds())])
    app.add_routes([*health.routes(), *pages.routes()])
    app.router.add_routes([feed_route(services.feeds)])
    app.router.add_get("/v1/connect", door.handle, allow_head=False)
    if development_mode:
        key, secret = development.key_of(settings.tokens.keys)
        app.add_routes([pages.first_page(), development.route(services, key, secret)])
    app.on_response_prepare.append(_add_headers)
    app.on_response_prepare.append(origins.add_headers)
    return app


def _counted(metrics: Metrics) -> Middleware:
    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.monotonic()
        response = await handler(request)
        if not isinstance(response, web.WebSocketResponse):
            seconds = time.monotonic() - began
            metrics.request_answered(request.method, route_of(request), response.status, seconds)
        return response

    return count


def _document(path: str, value: object) -> web.RouteDef:
    """A document in JSON that is always the same."""
    body = msgspec.json.format(msgspec.json.encode(value), indent=2)

    async def serve(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return web.get(path, serve)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers.pop("Server", None)
