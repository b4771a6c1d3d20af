"""Blobs over HTTP: PATCH and HEAD as in the core of tus 1.0.0, GET with ranges (RFC 9110, 14)."""

from __future__ import annotations

import re
from contextlib import aclosing

import aiohttp
import msgspec
from aiohttp import web

from protocol import errors
from protocol.errors import ProtocolError
from relay.blob_rows import BlobRow
from signaling.blobs.service import BlobService, Upload, UploadMoved
from signaling.caller import Caller
from signaling.http import ranges
from signaling.http.blob_schemas import BlobSpec, UploadItem
from signaling.http.downloading import send
from signaling.http.endpoint import Call, Reply, Services
from signaling.http.problems import problem_response
from signaling.http.serving import json_body

_DIGEST = re.compile(r"[0-9a-f]{64}")
_OFFSET = re.compile(r"\d{1,18}", re.ASCII)
_decode = msgspec.json.Decoder(BlobSpec).decode


class _Incoming:
    """The body of a request as :class:`signaling.blobs.turns.Incoming`."""

    def __init__(self, request: web.Request) -> None:
        self._content = request.content

    async def read(self, limit: int) -> bytes:
        try:
            return await self._content.read(limit)
        except (aiohttp.ClientError, web.RequestPayloadError, OSError) as error:
            raise ConnectionResetError("the body ends before its end") from error


async def begin(blobs: BlobService, caller: Caller, request: web.Request) -> web.StreamResponse:
    """Begin an upload, or find what there is of it."""
    spec: BlobSpec = await json_body(request, _decode)
    upload = await blobs.begin(caller, spec.room, spec.size, bytes.fromhex(spec.sha256))
    row = upload.row
    item = UploadItem(
        sha256=spec.sha256,
        size=row.size,
        offset=upload.offset,
        whole=row.whole,
        expires_ms=row.expires_ms,
        patch_bytes=blobs.settings.patch_bytes,
        upload=None if row.whole else row.id,
    )
    response = web.Response(
        status=201 if upload.new else 200, body=msgspec.json.encode(item), content_type="application/json"
    )
    if not row.whole:
        response.headers["Location"] = f"/v1/blobs/uploads/{row.id}"
    return response


async def show_upload(blobs: BlobService, caller: Caller, request: web.Request) -> web.StreamResponse:
    """Where an upload stands."""
    return _standing(await blobs.upload(caller, request.match_info["upload"]))


async def send_bytes(blobs: BlobService, caller: Caller, request: web.Request) -> web.StreamResponse:
    """More bytes of an upload."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise ProtocolError(errors.INVALID_FIELD, "`Content-Encoding`: the bytes are taken as they are")
    begins = request.headers.get("Upload-Offset", "")
    if not _OFFSET.fullmatch(begins):
        raise ProtocolError(errors.INVALID_FIELD, "`Upload-Offset` says where the bytes begin")
    try:
        offset = await blobs.receive(
            caller,
            request.match_info["upload"],
            int(begins),
            request.content_length,
            _Incoming(request),
        )
    except UploadMoved as moved:
        response = problem_response(moved)
        response.headers["Upload-Offset"] = str(moved.offset)
        return response
    return web.Response(status=204, headers={"Upload-Offset": str(offset)})


async def abandon(blobs: BlobService, caller: Caller, request: web.Request) -> web.StreamResponse:
    """Delete an unfinished upload."""
    await blobs.abandon(caller, request.match_info["upload"])
    return web.Response(status=204)


async def show_blob(blobs: BlobService, caller: Caller, request: web.Request) -> web.StreamResponse:
    """What a GET would say."""
    row = await blobs.find(caller, _digest(request.match_info["blob"]))
    return web.Response(status=200, headers=_headers(row) | {"Content-Length": str(row.size)})


async def get_blob(blobs: BlobService, caller: Caller, request: web.Request) -> web.StreamResponse:
    """A blob, or a part of it."""
    row = await blobs.find(caller, _digest(request.match_info["blob"]))
    etag, headers = _etag(row), _headers(row)
    if any(known.value in {row.digest.hex(), "*"} for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    fits = request.headers.get("If-Range", etag) == etag
    try:
        part = ranges.asked(request.headers.get("Range") if fits else None, row.size)
    except ProtocolError as refused:
        refusal = problem_response(refused)
        refusal.headers["Content-Range"] = f"bytes */{row.size}"
        return refusal
    start, length = part or (0, row.size)
    if part is not None:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{row.size}"
    response = web.StreamResponse(status=206 if part else 200, headers=headers)
    response.content_length = length
    async with aclosing(blobs.read(caller, row, start, length)) as pieces:
        return await send(request, response, pieces, stall_seconds=blobs.settings.stall_seconds)


async def delete_blob(services: Services, call: Call[None]) -> Reply:
    """Delete a blob of a room, for back ends."""
    room = call.path["room"]
    call.caller.check_room(room)
    if await services.store.room(room) is None:
        raise ProtocolError(errors.NO_SUCH_ROOM)
    await services.blobs.delete(room, _digest(call.path["blob"]))
    return Reply(204)


def _standing(upload: Upload) -> web.Response:
    headers = {"Upload-Offset": str(upload.offset), "Upload-Length": str(upload.row.size)}
    return web.Response(status=200, headers=headers)


def _digest(text: str) -> bytes:
    if not _DIGEST.fullmatch(text):
        raise ProtocolError(errors.NO_SUCH_BLOB)
    return bytes.fromhex(text)


def _etag(row: BlobRow) -> str:
    return f'"{row.digest.hex()}"'


def _headers(row: BlobRow) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": "attachment",
        "Accept-Ranges": "bytes",
        "ETag": _etag(row),
    }
