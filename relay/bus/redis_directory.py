"""The directory in Redis: which nodes there are, and which devices of an account are connected to which.

A sorted set for each account has its devices and their nodes, with the time until which each counts. Time is
Redis' own, so that the clocks of the nodes need not agree. Everything in it is said again regularly; it may
be lost. A set for each node has the accounts that may be there, so that they are found when it has died.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec
from redis.exceptions import RedisError

from relay.bus.redis_server import Command, RedisServer

# For each key: the node has these devices there and no others. Answers 1 if it had any, 2 if others do, or 3.
_SET = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local mine, expiry, at = ARGV[1] .. '/', tonumber(ARGV[2]), 3
local answers = {}
for number, key in ipairs(KEYS) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    local had, others = 0, 0
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
        if string.sub(member, 1, #mine) == mine then
            had = 1
            redis.call('ZREM', key, member)
        else
            others = 2
        end
    end
    local last = at + ARGV[at]
    if last > at then
        for place = at + 1, last do redis.call('ZADD', key, now + expiry, mine .. ARGV[place]) end
        redis.call('PEXPIRE', key, expiry)
    end
    at = last + 1
    answers[number] = had + others
end
return answers
"""

# For each key: the nodes and devices that count now.
_GET = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answers = {}
for number, key in ipairs(KEYS) do
    answers[number] = redis.call('ZRANGE', key, '(' .. now, '+inf', 'BYSCORE')
end
return answers
"""

# The accounts and their nodes, but for one node, flat. Asked for every event: many keys in one argument, and
# many answers in one, cost a tenth of what the client library takes for as many of each.
_FIND = """
local time = redis.call('TIME')
local since = '(' .. (time[1] * 1000 + math.floor(time[2] / 1000))
local prefix, mine = ARGV[1], ARGV[2]
local answers = {}
for _, account in ipairs(cmsgpack.unpack(ARGV[3])) do
    local found = nil
    for _, member in ipairs(redis.call('ZRANGE', prefix .. account, since, '+inf', 'BYSCORE')) do
        local node = string.match(member, '^[^/]*')
        if node ~= mine and not (found and found[node]) then
            answers[#answers + 1] = account
            answers[#answers + 1] = node
            found = found or {}
            found[node] = true
        end
    end
end
return cmsgpack.pack(answers)
"""

_pairs = msgspec.msgpack.Decoder(tuple[str, ...])

KEYS_AT_ONCE = 128
"""In one command; Redis does nothing else meanwhile."""


class Known(NamedTuple):
    """What the directory knew of an account when a node told of it."""

    here: bool
    """Whether the node had told that the account is connected there."""
    elsewhere: bool
    """Whether the account is connected to other nodes."""


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
        (answer,) = await self._server.run([self._setting(self._node, {self._nodes: ("",)})])
        return _known(answer[0]).here

    async def unregister(self, node: str) -> None:
        """Say that a node is gone."""
        await self._server.run([self._setting(node, {self._nodes: ()}), ("DEL", self._held(node))])

    async def registered(self) -> frozenset[str]:
        """All nodes that are there."""
        (answer,) = await self._server.run([self._getting([self._nodes])])
        return _part(answer[0], 0)

    async def tell(self, devices: Mapping[str, Collection[str]]) -> Mapping[str, Known]:
        """Say which devices of the accounts are connected to this node, if any; what was known of each."""
        there = [account for account, connected in devices.items() if connected]
        if there:
            held = self._held(self._node)
            await self._server.run([("SADD", held, *there), ("PEXPIRE", held, self._expiry_ms)])
        known = await self._set(self._node, devices)
        await self._let_go(self._node, [account for account, connected in devices.items() if not connected])
        return known

    async def held(self, node: str, limit: int) -> Sequence[str]:
        """So many of the accounts that a node may have told of; none if there are none any more."""
        (answer,) = await self._server.run([("SRANDMEMBER", self._held(node), limit)])
        return [account.decode() for account in answer]

    async def bury(self, node: str, accounts: Collection[str]) -> Mapping[str, Known]:
        """Say for a node that died that none of the accounts is connected there any more."""
        known = await self._set(node, dict.fromkeys(accounts, ()))
        await self._let_go(node, accounts)
        return known

    async def elsewhere(self, accounts: Collection[str]) -> dict[str, list[str]]:
        """The nodes but this one that accounts are connected to; without those that are to none."""
        found: dict[str, list[str]] = {}
        for answer in await self._server.run([self._finding(some) for some in self._some(accounts)]):
            try:
                pairs = iter(_pairs.decode(answer))
            except msgspec.DecodeError as error:
                raise RedisError("what Redis answers is not what was asked") from error
            for account, node in zip(pairs, pairs, strict=True):
                found.setdefault(account, []).append(node)
        return found

    async def devices(self, account: str) -> frozenset[str]:
        """The devices of an account that are connected to any node."""
        (answer,) = await self._server.run([self._getting([self._key(account)])])
        return _part(answer[0], 2)

    async def _set(self, node: str, devices: Mapping[str, Collection[str]]) -> Mapping[str, Known]:
        commands = [
            self._setting(node, {self._key(account): devices[account] for account in some})
            for some in self._some(devices)
        ]
        answers = [one for answer in await self._server.run(commands) for one in answer]
        return {account: _known(answer) for account, answer in zip(devices, answers, strict=True)}

    async def _let_go(self, node: str, accounts: Collection[str]) -> None:
        if accounts:
            await self._server.run([("SREM", self._held(node), *accounts)])

    @property
    def _nodes(self) -> str:
        return f"{self._prefix}:nodes"

    def _key(self, account: str) -> str:
        return f"{self._prefix}:account:{account}"

    def _held(self, node: str) -> str:
        return f"{self._prefix}:held:{node}"

    def _some(self, accounts: Collection[str]) -> Iterator[list[str]]:
        """As many accounts at a time as one command can be about."""
        rest = iter(accounts)
        while some := list(islice(rest, KEYS_AT_ONCE if self._server.one_command_many_keys else 1)):
            yield some

    def _setting(self, node: str, devices: Mapping[str, Collection[str]]) -> Command:
        arguments: list[str | int] = [node, self._expiry_ms]
        for connected in devices.values():
            arguments += [len(connected), *connected]
        return ("EVAL", _SET, len(devices), *devices, *arguments)

    def _finding(self, accounts: Sequence[str]) -> Command:
        # Only a cluster has to know the keys beforehand; there it is one.
        keys = [] if self._server.one_command_many_keys else [self._key(account) for account in accounts]
        arguments = (self._key(""), self._node, msgspec.msgpack.encode(accounts))
        return ("EVAL", _FIND, len(keys), *keys, *arguments)

    @staticmethod
    def _getting(keys: Sequence[str]) -> Command:
        return ("EVAL", _GET, len(keys), *keys)


def _known(answer: int) -> Known:
    return Known(bool(answer & 1), bool(answer & 2))


def _part(members: Sequence[bytes], index: int) -> frozenset[str]:
    """Of nodes and devices, the nodes (0) or the devices (2)."""
    return frozenset([member.partition(b"/")[index].decode(errors="replace") for member in members])
