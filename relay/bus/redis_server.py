"""Redis as the bus uses it: one server, one behind Sentinel, or a cluster, with TLS and users as set.

Leaves to the bus what is asked of it and what is done when it does not answer.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff, NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from config.settings import BusSettings
from relay.bus.redis_sentinels import Sentinels

UNREACHABLE = (RedisError, RedisClusterException, OSError, TimeoutError)
"""What is raised when Redis does not do what it is asked."""

COMMANDS_AT_ONCE = 256
READ_SECONDS = 0.5

Command = tuple[str | bytes | float, ...]


class RedisServer:
    """Connections to what `bus.url` names, and the two ways in which they are used."""

    def __init__(self, settings: BusSettings, answer_seconds: float) -> None:
        self._settings = settings
        self._answer_seconds = answer_seconds
        url = urlsplit(settings.url)
        self._tls = url.scheme.startswith("rediss")
        self._kind = url.scheme.partition("+")[2]
        default = 26_379 if self._kind == "sentinel" else 6_379
        self._hosts = list(_hosts(url.netloc, default))
        self._path = url.path.removeprefix("/")
        self._client: Redis | None = None
        self._cluster: RedisCluster | None = None
        self._sentinel: Sentinels | None = None

    def open(self) -> None:
        """Make the clients; they connect when they are needed."""
        options = self._options(self._settings.username, self._settings.password)
        retry = Retry(ConstantBackoff(0.05), 1)  # for connections that died while nobody used them
        (host, port), *_ = self._hosts
        match self._kind:
            case "cluster":
                nodes = [ClusterNode(host, port) for host, port in self._hosts]
                self._cluster = RedisCluster(startup_nodes=nodes, retry=retry, **options)
            case "sentinel":
                settings = self._settings
                asking = self._options(settings.sentinel_username, settings.sentinel_password)
                self._sentinel = Sentinels(self._hosts, sentinel_kwargs=asking, **options)
                self._client = self._sentinel.master_for(self._path, retry=retry)
            case _:
                self._client = Redis(host=host, port=port, db=int(self._path or 0), retry=retry, **options)

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            await self._client.aclose()
        if self._cluster is not None:
            await self._cluster.aclose()
        if self._sentinel is not None:
            await self._sentinel.aclose()

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """Carry out commands in no particular order; their answers in the order given.

        Raises one of `UNREACHABLE` if any failed; then it is not known which were carried out.
        """
        answers: list[Any] = []
        for start in range(0, len(commands), COMMANDS_AT_ONCE):
            async with self._patience(self._answer_seconds):
                answers += await self._run(commands[start : start + COMMANDS_AT_ONCE])
        return answers

    async def _run(self, commands: Sequence[Command]) -> list[Any]:
        if self._cluster is not None:
            cluster = self._cluster
            running = (cluster.execute_command(*one) for one in commands)
            # All are waited for: none may still be under way when the next ones are sent.
            answers = await asyncio.gather(*running, return_exceptions=True)
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer
            return answers
        assert self._client is not None
        async with self._client.pipeline(transaction=False) as pipeline:
            for one in commands:
                pipeline.execute_command(*one)
            return list(await pipeline.execute())

    @property
    def one_command_many_keys(self) -> bool:
        """Whether a command may be about several keys: those of a cluster are on different servers."""
        return self._kind != "cluster"

    def publishing(self, channel: str, data: bytes) -> Command:
        """The command that publishes on a channel."""
        return ("PUBLISH" if self._cluster is None else "SPUBLISH", channel, data)

    @contextlib.asynccontextmanager
    async def subscribed(self, channel: str) -> AsyncIterator[PubSub]:
        """A subscription that is in force; it does not repair itself, so that nothing is lost unnoticed.

        In a cluster it is at the node that has the channel's slot now.
        """
        async with contextlib.AsyncExitStack() as stack:
            async with self._patience(2 * self._answer_seconds):
                client = await self._subscriber(channel)
                stack.push_async_callback(client.aclose)
                pubsub = client.pubsub()
                stack.push_async_callback(pubsub.aclose)
                if self._cluster is None:
                    await pubsub.subscribe(channel)
                else:
                    await pubsub.ssubscribe(channel)
                while await pubsub.get_message(timeout=READ_SECONDS) is None:
                    pass
            yield pubsub

    @contextlib.asynccontextmanager
    async def _patience(self, seconds: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            # What is stuck may be the Sentinel that is asked first, or a server whose slots others have now.
            if self._sentinel is not None:
                self._sentinel.shuffle()
            if self._cluster is not None:
                await self._cluster.aclose()
            raise

    async def _subscriber(self, channel: str) -> Redis:
        """A client with one connection of its own, which is not made again when it ends."""
        options = self._options(self._settings.username, self._settings.password)
        options["retry"] = Retry(NoBackoff(), 0)
        if self._cluster is not None:
            await self._cluster.initialize()
            node = self._cluster.get_node_from_key(channel)
            if node is None:
                raise ConnectionError("the slot of the channel is served by no node")
            return Redis(host=node.host, port=int(node.port), **options)
        if self._sentinel is not None:
            client: Redis = self._sentinel.master_for(self._path, **options)
            return client
        (host, port), *_ = self._hosts
        return Redis(host=host, port=port, db=int(self._path or 0), **options)

    def _options(self, username: str | None, password: str | None) -> dict[str, Any]:
        settings = self._settings
        options: dict[str, Any] = {
            "username": username,
            "password": password,
            # The patience is that of `run` and `subscribed`. With a time-out of its own the client library
            # writes within `asyncio.wait_for`, which loses a cancellation now and then (before Python 3.12),
            # and makes a task for each command.
            "socket_timeout": None,
            "socket_connect_timeout": self._answer_seconds,
            "protocol": 2,
            "client_name": "rapport",
        }
        if self._tls:
            options |= {
                "ssl": True,
                "ssl_ca_certs": settings.tls_ca,
                "ssl_certfile": settings.tls_certificate,
                "ssl_keyfile": settings.tls_key,
            }
        return options


def _hosts(netloc: str, default_port: int) -> Iterator[tuple[str, int]]:
    for each in netloc.split(","):
        parts = urlsplit(f"//{each}")
        yield parts.hostname or "", parts.port or default_port
