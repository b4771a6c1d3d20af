"""Offers reach the right worker, refusals get their names, and who has to offer again is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.settings import TurnSettings
from protocol import errors
from protocol.errors import ErrorKind, ProtocolError
from protocol.fields import Modality
from protocol.frames import Answer
from protocol.signals import Reoffer
from relay.bus.calls import Calls
from relay.bus.local import LocalBus
from rtc.client import Refused
from rtc.control import Connected, Disconnected, Reason, RosterChanged
from rtc.errors import RequestTimeout, RtcError, WorkerGone
from signaling.media import hosting as hosting_module
from signaling.media import pool as pool_module
from signaling.media.cut import Cut
from signaling.media.hosting import Hosting
from signaling.media.hosts import Hosts
from signaling.media.moving import Moving
from signaling.media.placement import Placement
from signaling.media.pool import Pool
from signaling.media.reoffers import Reoffers
from signaling.media.service import Media
from tests.signaling.media_kit import Alone, FakeWorkers, Signals
from tests.signaling.sessions_kit import MINUTE, Kit, person
from tests.signaling.waiting import until

TURN = TurnSettings(urls=("turn:turn.example.org",), secret="s" * 32)
ANNA, BEN = person("anna", "therapist"), person("ben", "client")


class MediaKit:
    """A live session, and the media service of a node with two workers."""

    def __init__(self, kit: Kit) -> None:
        self.kit = kit
        self.workers = FakeWorkers()
        self.signals = Signals()
        self.pool = Pool(2, self.workers)
        alone = Alone()
        hosts = Hosts(alone, Calls(LocalBus(alone.name)), 1.0)
        self.cut = Cut(hosts, alone)
        told = Reoffers(kit.sessions, self.signals)
        self.hosting = Hosting(kit.sessions, alone, self.pool, Placement(), told)
        hosts.serve(self.hosting)
        moving = Moving(kit.sessions, alone, self.hosting, told)
        self.media = Media(kit.sessions, hosts, moving, TURN, kit.timebase)
        kit.telling._media = self.cut

    async def session(self, modality: Modality = "video") -> None:
        await self.kit.room()
        await self.kit.scheduled(modality=modality)
        await self.kit.live()

    def asked(self, worker: int) -> list[tuple[str, ...]]:
        return self.workers.spawned[worker].asked

    async def settle(self) -> None:
        """Let the requests that nobody waits for reach the workers."""
        await self.cut.settle()


@pytest.fixture
async def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MediaKit]:
    monkeypatch.setattr(pool_module, "FIRST_PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(hosting_module, "MOVE_PAUSE_SECONDS", 0.0)
    async with Kit(tmp_path / "store.db") as kit:
        media = MediaKit(kit)
        await media.pool.start()
        yield media
        await media.cut.stop()
        await media.hosting.stop()
        await media.pool.stop()


async def refused(asked: object) -> ErrorKind:
    with pytest.raises(ProtocolError) as refusal:
        await asked  # type: ignore[misc]
    return refusal.value.kind


async def test_both_offers_reach_one_worker_behind_the_modality(media: MediaKit) -> None:
    await media.session("audio")
    anna, ben = await asyncio.gather(media.media.offer(ANNA, "s", "a"), media.media.offer(BEN, "s", "b"))
    assert (anna, ben) == (Answer("answer to a", 1), Answer("answer to b", 1))
    first, *offers = media.asked(0)
    assert first == ("modality", "s", "1", "audio")
    assert sorted(offers) == [("offer", "s", "1", "anna"), ("offer", "s", "1", "ben")]
    assert media.asked(1) == []
    assert (await media.kit.sessions.find("s")).generation == 1


async def test_who_may_not_offer(media: MediaKit) -> None:
    await media.session()
    assert await refused(media.media.offer(person("cleo", "guest"), "s", "c")) is errors.NOT_JOINED
    assert await refused(media.media.offer(person("zoe", "guest"), "s", "c")) is errors.NO_SUCH_SESSION
    other_tab = person("ben", "client", "ben-2")
    assert await refused(media.media.offer(other_tab, "s", "c")) is errors.NOT_JOINED
    media.kit.clock.wait_ms(45 * MINUTE)
    await media.kit.fire_due()
    assert await refused(media.media.offer(ANNA, "s", "a")) is errors.SESSION_OVER


async def test_a_chat_session_carries_no_media(media: MediaKit) -> None:
    await media.session("chat")
    assert await refused(media.media.offer(ANNA, "s", "a")) is errors.MODALITY_EXCLUDES


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Refused("sdp_malformed", ""), errors.SDP_MALFORMED),
        (Refused("sdp_too_large", ""), errors.SDP_TOO_LARGE),
        (Refused("sdp_without_ice", ""), errors.SDP_WITHOUT_ICE),
        (Refused("sdp_without_fingerprint", ""), errors.SDP_WITHOUT_FINGERPRINT),
        (Refused("sdp_no_common_codec", ""), errors.SDP_UNSUPPORTED),
        (Refused("sdp_without_bundle", ""), errors.SDP_UNSUPPORTED),
        (Refused("session_full", ""), errors.SESSION_FULL),
        (RequestTimeout(), errors.MEDIA_UNAVAILABLE),
        (WorkerGone(), errors.MEDIA_UNAVAILABLE),
    ],
)
async def test_what_a_worker_refuses_keeps_its_name(
    media: MediaKit, error: RtcError, kind: ErrorKind
) -> None:
    await media.session()
    await media.media.offer(BEN, "s", "b")
    media.workers.spawned[0].refuses = error
    assert await refused(media.media.offer(ANNA, "s", "a")) is kind
    media.workers.spawned[0].refuses = None
    assert (await media.media.offer(ANNA, "s", "a")).generation == 1


async def test_leaving_and_ending_cut_media(media: MediaKit) -> None:
    await media.session()
    await media.media.offer(ANNA, "s", "a")
    await media.media.offer(BEN, "s", "b")
    await media.media.leave(BEN, "s")
    await media.kit.sessions.leave(BEN, "s")
    await media.kit.sessions.stop("s")
    await media.settle()
    assert media.asked(0)[3:] == [("remove", "s", "1", "ben"), ("close", "s", "1")]


async def test_who_leaves_while_the_answer_is_made_gets_no_media(media: MediaKit) -> None:
    await media.session()
    await media.media.offer(ANNA, "s", "a")
    worker = media.workers.spawned[0]
    worker.hold = asyncio.Event()
    offering = asyncio.create_task(media.media.offer(BEN, "s", "b"))
    await until(lambda: ("offer", "s", "1", "ben") in worker.asked)
    media.kit.telling._media = media.kit.told  # as if the leaving were carried out on another node
    await media.kit.sessions.leave(BEN, "s")
    worker.hold.set()
    assert await refused(offering) is errors.NOT_JOINED
    await media.settle()
    assert worker.asked[-1] == ("remove", "s", "1", "ben")


async def test_the_sessions_of_a_dead_worker_move_and_their_people_offer_again(media: MediaKit) -> None:
    await media.session()
    await media.media.offer(ANNA, "s", "a")
    await media.media.offer(BEN, "s", "b")
    media.workers.spawned[0].die()
    told = await media.signals.until(2)
    assert sorted(told, key=lambda one: one[0]) == [
        ("anna-1", Reoffer("s", 2, "worker")),
        ("ben-1", Reoffer("s", 2, "worker")),
    ]
    assert await media.media.offer(ANNA, "s", "again") == Answer("answer to again", 2)
    running = [worker for worker in media.workers.spawned if worker.running]
    assert any(("offer", "s", "2", "anna") in worker.asked for worker in running)


async def test_with_no_worker_left_offers_wait_for_the_next(media: MediaKit) -> None:
    await media.session()
    await media.media.offer(ANNA, "s", "a")
    media.workers.faulty = [WorkerGone()] * 4
    for worker in media.workers.spawned[:2]:
        worker.die()
    await media.signals.until(1)
    seat = (await media.kit.sessions.find("s")).generation
    assert media.signals.told[0] == ("anna-1", Reoffer("s", seat, "worker"))
    assert (await media.media.offer(ANNA, "s", "again")).generation == seat


async def test_a_session_that_ended_meanwhile_does_not_move(media: MediaKit) -> None:
    await media.session()
    await media.media.offer(ANNA, "s", "a")
    media.kit.clock.wait_ms(45 * MINUTE)
    media.workers.spawned[0].die()
    await media.workers.until_spawned(3, media.pool)
    await asyncio.gather(*media.hosting._tasks)
    assert media.signals.told == []


async def test_events_of_workers_reach_the_one_whom_they_are_about(media: MediaKit) -> None:
    await media.session()
    await media.media.offer(ANNA, "s", "a")
    tell = media.workers.spawned[0].on_event
    tell(Connected("s", 1, "anna"))
    tell(RosterChanged("s", 1, "anna", 1, 1))
    tell(Disconnected("s", 1, "anna", Reason.CONSENT_LOST))
    tell(Disconnected("s", 1, "anna", Reason.CLOSED))
    tell(RosterChanged("s", 0, "anna", 1, 1))  # of an older life of the session's media
    tell(RosterChanged("s", 1, "ben", 1, 1))  # who has not offered
    tell(RosterChanged("t", 1, "anna", 1, 1))
    await asyncio.gather(*media.hosting._tasks)
    assert sorted(media.signals.told, key=str) == [  # each looks into the store first, in its own time
        ("anna-1", Reoffer("s", 1, "disconnected")),
        ("anna-1", Reoffer("s", 1, "roster")),
    ]


async def test_who_has_connected_anew_is_told_on_the_new_connection(media: MediaKit) -> None:
    await media.session()
    await media.media.offer(BEN, "s", "b")
    tell = media.workers.spawned[0].on_event
    await media.kit.sessions.connection_closed(BEN)
    tell(RosterChanged("s", 1, "ben", 1, 1))
    await asyncio.gather(*media.hosting._tasks)
    assert media.signals.told == []
    await media.kit.sessions.join(person("ben", "client", "ben-2"), "s")
    tell(RosterChanged("s", 1, "ben", 1, 1))
    await asyncio.gather(*media.hosting._tasks)
    assert media.signals.told == [("ben-2", Reoffer("s", 1, "roster"))]


async def test_a_second_device_of_who_offers_is_not_told(media: MediaKit) -> None:
    await media.session()
    await media.kit.sessions.join(person("ben", "client", "ben-2"), "s")
    await media.media.offer(BEN, "s", "b")
    media.workers.spawned[0].on_event(RosterChanged("s", 1, "ben", 1, 1))
    await asyncio.gather(*media.hosting._tasks)
    assert media.signals.told == [("ben-1", Reoffer("s", 1, "roster"))]


async def test_only_who_is_in_the_session_may_use_the_turn_servers(media: MediaKit) -> None:
    await media.session()
    given = await media.media.relays(ANNA, "s")
    assert [relay.urls for relay in given.relays] == [TURN.urls]
    assert await refused(media.media.relays(person("zoe", "guest"), "s")) is errors.NO_SUCH_SESSION
    assert await refused(media.media.relays(person("cleo", "guest"), "s")) is errors.NOT_JOINED
