"""Sends answers of any length: no more of them is in memory than one chunk and what the socket holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog
from aiohttp import web

from signaling.http.endpoint import Download
from signaling.http.problems import route_of
from signaling.observe.logs import failure

_log = structlog.get_logger("rapport.http")


async def download(request: web.Request, what: Download) -> web.StreamResponse:
    """Send a download. What it refuses before its first chunk is raised, for a problem document."""
    headers = {
        "Content-Type": f"{what.media_type}; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{what.file_name}"',
    }
    return await send(request, web.StreamResponse(headers=headers), what.chunks)


async def send(
    request: web.Request,
    response: web.StreamResponse,
    chunks: AsyncIterator[bytes],
    *,
    stall_seconds: float | None = None,
) -> web.StreamResponse:
    """Send chunks as the body of a response. What is raised before the first one is the caller's matter.

    The connection is cut when a chunk cannot be had any more, or waits longer than ``stall_seconds`` for the
    socket to take it.
    """
    chunk = await anext(chunks, b"")
    await response.prepare(request)
    try:
        while chunk:
            async with asyncio.timeout(stall_seconds):
                await response.write(chunk)
            chunk = await anext(chunks, b"")
    except ConnectionError:
        return response  # who asked has gone
    except TimeoutError:
        return _cut(request, response)
    except Exception as error:  # noqa: BLE001 - whatever it is, the status is sent:
        # only a broken connection can still say that something is missing.
        _log.error("download_broken_off", path=route_of(request), error=failure(error))
        return _cut(request, response)
    await response.write_eof()
    return response


def _cut(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return response
