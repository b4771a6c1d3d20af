"""A message of a session whose reply was lost, sent again by who is no longer in the session."""

from __future__ import annotations

from pathlib import Path

from tests.signaling.door_client import door_client, new_mid
from tests.signaling.door_server import door_server


async def test_a_stored_message_is_answered_though_the_session_is_not_joined_again(tmp_path: Path) -> None:
    mid = new_mid()
    async with door_server(tmp_path / "store.db") as server:
        await server.room("r", "anna", "ben")
        async with door_client(server.url) as first:
            await first.hello(server.token("anna", "therapist"))
            await first.request("session.join", session="r/1")
            stored = await first.message("r", b"hello", mid, session="r/1")
        async with door_client(server.url) as again:
            await again.hello(server.token("anna", "therapist"))
            repeated = await again.message("r", b"hello", mid, session="r/1")
            differing = await again.message("r", b"other", mid, session="r/1")
            new = await again.message("r", b"new", session="r/1")
    assert repeated["result"] == {**stored["result"], "duplicate": True}
    assert differing["name"] == "mid_differs"
    assert new["name"] == "not_joined"
