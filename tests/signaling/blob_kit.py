"""Members who upload and get blobs over real HTTP."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec


class Stream:
    """A body whose bytes are sent when the test says so."""

    def __init__(self) -> None:
        self._parts: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, data: bytes | None) -> None:
        self._parts.put_nowait(data)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (part := await self._parts.get()) is not None:
            yield part


def sha256(data: bytes) -> str:
    """The name of a blob."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Answer:
    """An HTTP response, read."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and name of a problem document."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        return self.status, self.json["name"]

    @property
    def offset(self) -> int:
        """Where the upload stands."""
        return int(self.headers["Upload-Offset"])


class Member:
    """Somebody with a token."""

    def __init__(self, http: aiohttp.ClientSession, url: str, bearer: str, **headers: str) -> None:
        self.http = http
        self.url = url
        self._headers = {"Authorization": f"Bearer {bearer}"} | _named(headers)

    async def ask(self, method: str, path: str, data: Any = None, **headers: str) -> Answer:
        """One request."""
        sent = self._headers | _named(headers)
        async with self.http.request(method, self.url + path, data=data, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())

    async def begin(self, room: str, data: bytes, **spec: Any) -> Answer:
        """A POST for these bytes."""
        body: dict[str, Any] = {"room": room, "size": len(data), "sha256": sha256(data)} | spec
        return await self.ask("POST", "/v1/blobs", msgspec.json.encode(body), Content_Type="application/json")

    async def upload(self, room: str, data: bytes) -> str:
        """A new upload; its id."""
        answer = await self.begin(room, data)
        assert answer.status == 201, answer.body
        assert answer.headers["Location"] == f"/v1/blobs/uploads/{answer.json['upload']}"
        return str(answer.json["upload"])

    async def patch(self, upload: str, offset: int, data: Any) -> Answer:
        """More bytes."""
        path = f"/v1/blobs/uploads/{upload}"
        return await self.ask("PATCH", path, data, Upload_Offset=str(offset))

    async def head(self, upload: str) -> Answer:
        """Where it stands."""
        return await self.ask("HEAD", f"/v1/blobs/uploads/{upload}")

    async def put(self, room: str, data: bytes) -> str:
        """A whole blob; its name."""
        answer = await self.patch(await self.upload(room, data), 0, data)
        assert (answer.status, answer.offset) == (204, len(data)), answer.body
        return sha256(data)

    async def insist(self, room: str, data: bytes, at_once: int = 256 * 1024) -> None:
        """Upload whatever is left of it, as a client does that knows nothing but what the server says."""
        for _ in range(1000):
            answer = await self.begin(room, data)
            begun = answer.json
            if answer.status >= 400:
                assert begun["temporary"], begun
                continue
            if begun["whole"]:
                return
            offset = begun["offset"]
            await self.patch(begun["upload"], offset, data[offset : offset + at_once])
        raise AssertionError("the upload does not end")

    async def get(self, name: str, **headers: str) -> Answer:
        """A blob, or a part of it."""
        return await self.ask("GET", f"/v1/blobs/{name}", **headers)


@asynccontextmanager
async def member(url: str, bearer: str, **headers: str) -> AsyncIterator[Member]:
    """A member of rooms of the server at ``url``."""
    async with aiohttp.ClientSession() as http:
        yield Member(http, url, bearer, **headers)


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
