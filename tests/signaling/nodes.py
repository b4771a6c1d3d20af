"""Whole nodes in the process of the test, and a back end that talks to them over real HTTP."""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from config import DEVELOPMENT_KEY, Settings
from config.settings import MediaSettings, ServerSettings, SessionSettings, StoreSettings, TokenSettings
from protocol.fields import Role
from protocol.tokens import Claims, mint
from signaling.node import Node

SECRET = "a secret for tests that is long enough"
SCOPES = "rooms sessions accounts webhooks"


def settings(folder: Path, **sections: Any) -> Settings:
    """Settings of a node on free ports of 127.0.0.1 with its store in ``folder``."""
    given = Settings(
        server=ServerSettings(host="127.0.0.1", port=0, shutdown_seconds=4.0),
        store=StoreSettings(url=f"sqlite:///{folder / 'rapport.db'}"),
        media=MediaSettings(workers=1, host="127.0.0.1", port=0),
        sessions=SessionSettings(min_minutes=0.001, overrun_minutes=0, waiting_room="nobody"),
        tokens=TokenSettings(keys={DEVELOPMENT_KEY: SECRET}),
    )
    return dataclasses.replace(given, **sections)


def token(account: str = "backend", role: Role = "operator", *, scope: str = SCOPES, **claims: Any) -> str:
    """A token of the test key, for the back end unless said otherwise.

    It lasts for as long as all tests take together: parameters of tests are made before the first one runs.
    """
    return mint(Claims(DEVELOPMENT_KEY, account, role, exp=time.time() + 3600, scope=scope, **claims), SECRET)


@asynccontextmanager
async def running_node(given: Settings, *, development: bool = False) -> AsyncIterator[Node]:
    """A node that serves."""
    node = Node(given, development=development)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()


@dataclasses.dataclass(frozen=True)
class Answer:
    """An HTTP response, read."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and name of a problem document."""
        assert self.headers["Content-Type"].startswith("application/problem+json"), self.text
        problem = self.json
        assert problem["status"] == self.status
        assert problem["code"] > 1000
        assert problem["hint"]
        return self.status, problem["name"]


class BackEnd:
    """A back end with its token; every POST gets a key of its own unless one is given."""

    def __init__(self, http: aiohttp.ClientSession, url: str, bearer: str | None = None) -> None:
        self._http = http
        self.url = url
        self.bearer = token() if bearer is None else bearer

    async def ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> Answer:
        """One request. ``body`` is sent as JSON unless it is bytes."""
        sent = {"Authorization": f"Bearer {self.bearer}"} if self.bearer else {}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if data is not None:
            sent["Content-Type"] = "application/json"
        if data is not None:
            sent["Idempotency-Key"] = uuid.uuid4().hex if key is None else key
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._http.request(method, self.url + path, data=data, headers=sent) as response:
            return Answer(response.status, response.headers, await response.text())

    async def get(self, path: str) -> Answer:
        """A GET."""
        return await self.ask("GET", path)

    async def post(self, path: str, body: Any, *, key: str | None = None) -> Answer:
        """A POST."""
        return await self.ask("POST", path, body, key=key)

    async def room(self, room: str, **members: str) -> str:
        """A room with these accounts in these roles; a therapist and a client if none are given."""
        people = members or {"anna": "therapist", "ben": "client"}
        listed = [{"account": account, "role": role} for account, role in people.items()]
        answer = await self.post("/v1/rooms", {"room": room, "members": listed})
        assert answer.status == 201, answer.text
        return room

    async def session(self, room: str, **spec: Any) -> Any:
        """A session that starts now."""
        answer = await self.post(
            f"/v1/rooms/{room}/sessions", {"length_seconds": 600, "modality": "chat"} | spec
        )
        assert answer.status == 201, answer.text
        return answer.json


@asynccontextmanager
async def back_end(node: Node, bearer: str | None = None) -> AsyncIterator[BackEnd]:
    """A back end of a node."""
    async with aiohttp.ClientSession() as http:
        yield BackEnd(http, node.url, bearer)
