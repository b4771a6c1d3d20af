"""Limits of rates that all nodes share: buckets of tokens in Redis, by Redis' own clock.

While Redis is away each node has buckets of its own: then an account may do as much on each node.
"""

from collections.abc import Callable

from relay.bus.redis_server import UNREACHABLE, RedisServer
from relay.quota import Draw, LocalQuota

# Answers 0, or the milliseconds until there will be enough. A bucket that would be full is forgotten.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local cost, rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2]) / 1000, tonumber(ARGV[3])
local known = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = burst
if known[1] then level = math.min(burst, known[1] + math.max(0, now - known[2]) * rate) end
local wait = 0
if level < cost then wait = math.max(1, math.ceil((cost - level) / rate)) else level = level - cost end
redis.call('HSET', KEYS[1], 'level', level, 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - level) / rate) + 1)
return wait
"""


class RedisQuota:
    """`relay.quota.Quota` on all nodes together, as long as `ready` says that Redis answers."""

    def __init__(self, server: RedisServer, prefix: str, ready: Callable[[], bool]) -> None:
        self._server = server
        self._prefix = prefix
        self._ready = ready
        self._alone = LocalQuota()

    async def take(self, draw: Draw) -> float:
        if not self._ready():
            return await self._alone.take(draw)
        key = f"{self._prefix}:quota:{draw.kind}:{draw.key}"
        cost = min(draw.cost, draw.burst)
        try:
            (wait_ms,) = await self._server.run([("EVAL", _TAKE, 1, key, cost, draw.rate, draw.burst)])
        except UNREACHABLE:
            return await self._alone.take(draw)
        return float(wait_ms) / 1000
