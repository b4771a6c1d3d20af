"""Files of participants: sealed, uploaded in parts, fetched and opened again, over HTTP."""

from __future__ import annotations

import secrets
from typing import Any

import aiohttp

from loadtest.backend import json_of, refusal_of
from loadtest.errors import NotHeld, ServerFault, Unreachable
from loadtest.wire import Map, check
from protocol.e2ee import attachments
from protocol.e2ee.contents import Attachment
from protocol.e2ee.errors import AttachmentTampered, AttachmentTruncated


class Files:
    """The files of one participant, at the server with this address. The ``http`` session is the caller's.

    Raises :exc:`loadtest.errors.LoadTestError`.
    """

    def __init__(self, url: str, http: aiohttp.ClientSession, token: str) -> None:
        self._url = url
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}

    async def put(self, room: str, name: str, data: bytes) -> Attachment:
        """Encrypt a file and upload it; what a message says of it, once it is durable."""
        key = secrets.token_bytes(attachments.KEY_BYTES)
        ciphertext, digest = attachments.encrypt(key, data)
        spec = {"room": room, "size": len(ciphertext), "sha256": digest.hex()}
        begun, _ = await self._ask("POST", "/v1/blobs", json=spec)
        check(begun, {"offset": int, "whole": bool, "patch_bytes": int}, "blobs")
        at = begun["offset"]
        while not begun["whole"] and at < len(ciphertext):
            part = ciphertext[at : at + begun["patch_bytes"]]
            address = f"/v1/blobs/uploads/{begun['upload']}"
            _, headers = await self._ask("PATCH", address, data=part, headers={"Upload-Offset": str(at)})
            at = int(headers["Upload-Offset"])
        return Attachment(digest, key, len(data), name, "application/octet-stream")

    async def get(self, file: Attachment) -> bytes:
        """Fetch and open a file. :exc:`NotHeld` if it is not the one that was sent."""
        try:
            async with self._http.get(
                f"{self._url}/v1/blobs/{file.blob.hex()}", headers=self._headers
            ) as answer:
                if answer.status != 200:
                    raise refusal_of(answer.status, await json_of(answer))
                ciphertext = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(type(error).__name__) from None
        try:
            return attachments.decrypt(file.key, file.size, ciphertext)
        except (AttachmentTampered, AttachmentTruncated) as error:
            raise NotHeld("file_differs", "what was fetched is not what was sent") from error

    async def _ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **body: Any
    ) -> tuple[Map, Any]:
        """An answer that is no refusal, and its headers."""
        sent = self._headers | (headers or {})
        try:
            async with self._http.request(method, self._url + path, headers=sent, **body) as answer:
                told = {} if answer.status == 204 else await json_of(answer)
                if answer.status >= 300:
                    raise refusal_of(answer.status, told)
                if answer.status == 204 and "Upload-Offset" not in answer.headers:
                    raise ServerFault("an upload that does not say where it stands")
                return told, answer.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(type(error).__name__) from None
