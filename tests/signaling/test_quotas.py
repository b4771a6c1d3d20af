"""How often an account may try to join, with however many connections."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import LimitSettings
from protocol import errors
from protocol.errors import ProtocolError
from relay.quota import LocalQuota
from signaling.quotas import JoinAttempts
from tests.signaling.door_client import door_client
from tests.signaling.door_server import door_server


async def test_attempts_are_counted_by_account_and_come_back() -> None:
    now = 0.0
    quota = LocalQuota(now=lambda: now)
    attempts = JoinAttempts(quota, LimitSettings(joins_per_second=0.5, joins_burst=2))
    for _ in range(2):
        await attempts.take("ann")
    with pytest.raises(ProtocolError) as refused:
        await attempts.take("ann")
    assert refused.value.kind is errors.RATE_LIMITED
    assert refused.value.retry_after_ms == 2001
    await attempts.take("ben")
    now = 2.0
    await attempts.take("ann")


async def test_joining_is_refused_beyond_the_rate_on_all_connections_and_nothing_else_is(
    tmp_path: Path,
) -> None:
    async with (
        door_server(tmp_path / "rapport.db", joins_per_second=0.01, joins_burst=2) as server,
        door_client(server.url) as phone,
        door_client(server.url) as tablet,
    ):
        await phone.hello(server.token("ben"), "phone")
        await tablet.hello(server.token("ben"), "tablet")
        for device in (phone, tablet):
            assert (await device.request("session.join", session="s")).get("name") != "rate_limited"
        refused = await phone.request("session.join", session="s")
        assert (refused["name"], refused["temporary"]) == ("rate_limited", True)
        assert 0 < refused["retry_after_ms"] <= 100_001
        assert (await phone.request("session.get", session="s")).get("name") != "rate_limited"
