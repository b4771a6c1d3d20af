"""Requests and their replies, across connections."""

from __future__ import annotations

import pytest

from loadtest.errors import Closed, Disconnected
from loadtest.in_flight import InFlight

FIRST, SECOND = object(), object()


async def test_ids_count_up_and_a_reply_finds_its_request() -> None:
    requests = InFlight()
    with requests.ask({"op": "a"}, durable=False) as one, requests.ask({"op": "b"}, durable=False) as two:
        assert (one.frame["id"], two.frame["id"]) == (1, 2)
        requests.answered(2, {"x": 1})
        assert await two.reply == {"x": 1}
        assert not one.reply.done()


async def test_replies_nobody_waits_for_and_second_replies_are_ignored() -> None:
    requests = InFlight()
    with requests.ask({"op": "a"}, durable=False) as one:
        requests.answered(1, {"x": 1})
        requests.answered(1, Closed(4500))
        assert await one.reply == {"x": 1}
    requests.answered(1, {})
    requests.answered(None, {})


async def test_everything_is_unsent_on_a_new_connection_in_the_order_asked() -> None:
    requests = InFlight()
    with requests.ask({"op": "a"}, durable=True) as one, requests.ask({"op": "b"}, durable=True) as two:
        for connection in (FIRST, SECOND):
            for expected in (one, two):
                unsent = requests.next_unsent(connection)
                assert unsent is expected
                unsent.sent_on = connection
            assert requests.next_unsent(connection) is None


async def test_a_lost_connection_fails_only_what_was_sent_on_it_and_is_not_durable() -> None:
    requests = InFlight()
    with (
        requests.ask({"op": "sent"}, durable=False) as sent,
        requests.ask({"op": "durable"}, durable=True) as durable,
        requests.ask({"op": "unsent"}, durable=False) as unsent,
    ):
        sent.sent_on = durable.sent_on = FIRST
        requests.lost(FIRST)
        with pytest.raises(Disconnected, match="sent"):
            await sent.reply
        assert not durable.reply.done()
        assert not unsent.reply.done()


async def test_the_end_fails_all() -> None:
    requests = InFlight()
    with requests.ask({"op": "a"}, durable=True) as one:
        requests.fail(Closed(4503))
        with pytest.raises(Closed):
            await one.reply
