"""Sends answers of any length: no more of them is in memory than one chunk and what the socket holds."""

from __future__ import annotations

import structlog
from aiohttp import web

from signaling.http.endpoint import Download
from signaling.http.problems import route_of
from signaling.observe.logs import failure

_log = structlog.get_logger("rapport.http")


async def download(request: web.Request, what: Download) -> web.StreamResponse:
    """Send a download. What it refuses before its first chunk is raised, for a problem document."""
    first = await anext(what.chunks, b"")
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{what.media_type}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{what.file_name}"',
        }
    )
    await response.prepare(request)
    try:
        await response.write(first)
        async for chunk in what.chunks:
            await response.write(chunk)
    except ConnectionError:
        return response  # who asked has gone
    except Exception as error:  # noqa: BLE001 - whatever it is, the status is sent:
        # only a broken connection can still say that something is missing.
        _log.error("download_broken_off", path=route_of(request), error=failure(error))
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response
