"""Any history of messages, acknowledgements, holds, purges and resumes: nobody loses what is theirs."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.audit_trail import AuditHold, HoldAudit, ReleaseAudit
from relay.delivery import CaughtUp, Delivery, Fetch, Persist, Reset, SendPage
from relay.inbox import MESSAGE
from relay.retention import Purge
from relay.sqlite import SqliteStore
from relay.writes import Ack, AddMember, Append, CreateRoom

DEVICES = (("ann", "a1"), ("ben", "b1"), ("ben", "b2"))
MEMBERS = ("ann", "ben")
RETENTION_MS = 10

steps = st.one_of(
    st.tuples(st.just("send"), st.sampled_from(MEMBERS)),
    st.tuples(st.just("send"), st.sampled_from(MEMBERS)),
    st.tuples(st.just("come"), st.sampled_from(DEVICES), st.integers(1, 4)),
    st.tuples(st.just("come"), st.sampled_from(DEVICES), st.integers(1, 4)),
    st.tuples(st.just("wait"), st.integers(1, 15)),
    st.tuples(st.just("purge"), st.sampled_from((1_000_000, 1_000_000, 20, 0))),
    st.tuples(st.just("hold"), st.booleans()),
    st.tuples(st.just("restart")),
)


@dataclass
class History:
    """A room, its devices, and what each of them has taken in."""

    store: SqliteStore
    now_ms: int = 1_000
    sent: list[int] = field(default_factory=list)  # when, by offset
    taken: dict[tuple[str, str], list[int]] = field(default_factory=lambda: {one: [] for one in DEVICES})
    given_up_ms: int = 0  # what was stored before may be lost to who has not fetched it
    held: bool = False

    async def send(self, account: str) -> None:
        number = len(self.sent) + 1
        mid = number.to_bytes(16, "big")
        device = next(name for owner, name in DEVICES if owner == account)
        await self.store.commit(Append("r", account, device, mid, b"%d" % number, self.now_ms, MESSAGE))
        self.sent.append(self.now_ms)

    async def come(self, who: tuple[str, str], most: int) -> None:
        """A device connects, takes in so many events or a few more, and is gone; the last acknowledgement
        may be lost. It says where it stands when it comes back.
        """
        delivery = Delivery(max_events=2)
        log = (await self.store.heads(["r"]))["r"]
        taken = self.taken[who]
        last = taken[-1] if taken else 0
        await self.store.commit(Ack(*who, "r", log.epoch, last))
        effects = list(delivery.subscribe(log, log.epoch, last))
        while effects and most > 0:
            match effects.pop(0):
                case Reset(_, _, lowest, reason):
                    assert reason == "purged"
                    lost = self.sent[last : lowest - 1]
                    assert all(at_ms < self.given_up_ms for at_ms in lost), "it had not been given up"
                    last = lowest - 1
                case Fetch(_, after, limit, max_bytes):
                    page = await self.store.events("r", after=after, limit=limit, max_bytes=max_bytes)
                    effects += delivery.page(page.log, page.events)
                case SendPage(_, epoch, events):
                    for event in events:
                        assert event.offset == last + 1, "in order, without a gap"
                        assert event.body == b"%d" % event.offset
                        last = event.offset
                        taken.append(last)
                        most -= 1
                    effects += delivery.acked("r", epoch, last)
                case Persist(_, epoch, offset):
                    await self.store.commit(Ack(*who, "r", epoch, offset))
                case CaughtUp():
                    assert last == len(self.sent)

    async def purge(self, wait_ms: int) -> None:
        before_ms = self.now_ms - RETENTION_MS
        anyway_ms = before_ms - wait_ms
        found = await self.store.purgeable("r", before_ms=before_ms, anyway_ms=anyway_ms)
        if found is None:
            return
        assert not self.held, "a hold keeps everything"
        assert all(at_ms < before_ms for at_ms in self.sent[: found.through])
        self.given_up_ms = max(self.given_up_ms, anyway_ms)
        await self.store.commit(Purge(found, before_ms, anyway_ms))

    async def hold(self, held: bool) -> None:
        if held != self.held:
            await self.store.commit(
                HoldAudit(AuditHold("room", "r", 1)) if held else ReleaseAudit("room", "r")
            )
            self.held = held

    async def restart(self) -> None:
        epoch = self.store.epoch
        await self.store.close()
        await self.store.open()
        assert self.store.epoch == epoch

    async def check(self) -> None:
        """Every message is there or counted; and with everybody back, whatever is old enough goes."""
        log = (await self.store.heads(["r"]))["r"]
        assert (log.head, log.expired) == (len(self.sent), log.lowest - 1)
        for who in DEVICES * 2:
            await self.come(who, 1_000_000)
        await self.hold(False)
        self.now_ms += RETENTION_MS + 1
        await self.purge(1_000_000)
        log = (await self.store.heads(["r"]))["r"]
        assert (log.lowest, log.expired) == (len(self.sent) + 1, len(self.sent))


async def live(history: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "rapport.db", readers=1)
        await store.open()
        try:
            members = [AddMember("r", account, "client", 1) for account in MEMBERS]
            await store.commit(CreateRoom("r", b"", 1), *members)
            life = History(store)
            # They have been here: a device that was never heard of is nobody's.
            await store.commit(*[Ack(*who, "r", store.epoch, 0) for who in DEVICES])
            for name, *arguments in history:
                if name == "wait":
                    life.now_ms += arguments[0]  # type: ignore[operator]  # as drawn
                else:
                    await getattr(life, str(name))(*arguments)
            await life.check()
        finally:
            await store.close()


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, max_size=40))
def test_no_device_loses_what_it_may_still_need(history: list[tuple[object, ...]]) -> None:
    asyncio.run(live(history))
