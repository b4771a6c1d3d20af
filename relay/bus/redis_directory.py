"""The directory in Redis: which nodes there are, and which of them hold connections of an account.

A sorted set for each account has its nodes, with the time until which each counts. Time is Redis' own, so
that the clocks of the nodes need not agree. Everything in it is said again regularly; it may be lost.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from relay.bus.redis_server import Command, RedisServer

# What was known before: 0 this node, 1 not this one but others, 2 none.
_ANNOUNCE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local others = redis.call('ZCARD', KEYS[1])
local added = redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
if added == 0 then return 0 end
if others > 0 then return 1 end
return 2
"""

# Whether nobody is left.
_WITHDRAW = """
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('ZREM', KEYS[1], ARGV[1])
if redis.call('ZCARD', KEYS[1]) == 0 then return 1 end
return 0
"""

# Those that count now.
_NODES = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGE', KEYS[1], '(' .. now, '+inf', 'BYSCORE')
"""

KNOWN, NEW, FIRST = 0, 1, 2
"""What `announce` answers: it was there; others were; nobody was."""


class RedisDirectory:
    """What one node reads and writes there. Every method raises what `RedisServer.run` does."""

    def __init__(self, server: RedisServer, prefix: str, node: str, expiry_seconds: float) -> None:
        self._server = server
        self._prefix = prefix
        self._node = node
        self._expiry_ms = int(expiry_seconds * 1000)

    def channel(self, node: str) -> str:
        """The channel of a node."""
        return f"{self._prefix}:node:{node}"

    async def register(self) -> bool:
        """Say that this node is there; whether it was known to be."""
        (answer,) = await self._server.run([self._announcing(self._nodes)])
        return bool(answer == KNOWN)

    async def unregister(self) -> None:
        """Say that this node is gone."""
        await self._server.run([self._withdrawing(self._nodes)])

    async def registered(self) -> frozenset[str]:
        """All nodes that are there."""
        (nodes,) = await self._server.run([self._asking(self._nodes)])
        return _names(nodes)

    async def announce(self, accounts: Sequence[str]) -> Mapping[str, int]:
        """Say that this node holds connections of the accounts; what was known of each before."""
        answers = await self._server.run([self._announcing(self._key(account)) for account in accounts])
        return dict(zip(accounts, answers, strict=True))

    async def withdraw(self, accounts: Sequence[str]) -> Mapping[str, bool]:
        """Say that this node holds none any more; whether that is true of all nodes now."""
        answers = await self._server.run([self._withdrawing(self._key(account)) for account in accounts])
        return {account: answer == 1 for account, answer in zip(accounts, answers, strict=True)}

    async def nodes(self, accounts: Collection[str]) -> Mapping[str, frozenset[str]]:
        """The nodes that hold connections of each of the accounts, this one too."""
        answers = await self._server.run([self._asking(self._key(account)) for account in accounts])
        return {account: _names(names) for account, names in zip(accounts, answers, strict=True)}

    @property
    def _nodes(self) -> str:
        return f"{self._prefix}:nodes"

    def _key(self, account: str) -> str:
        return f"{self._prefix}:account:{account}"

    def _announcing(self, key: str) -> Command:
        return ("EVAL", _ANNOUNCE, 1, key, self._node, self._expiry_ms)

    def _withdrawing(self, key: str) -> Command:
        return ("EVAL", _WITHDRAW, 1, key, self._node)

    @staticmethod
    def _asking(key: str) -> Command:
        return ("EVAL", _NODES, 1, key)


def _names(nodes: Iterable[bytes]) -> frozenset[str]:
    return frozenset(node.decode(errors="replace") for node in nodes)
