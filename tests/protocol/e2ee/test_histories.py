"""Any history without an attack: everyone reads every message that is theirs once, and nobody another's.

Devices come and go, crash between any two steps, lose replies, are delivered events late, twice and out of
order; accounts keep archives, and devices unlock them at any time; servers are set back to backups. In the
end everyone comes back, and what was shown is compared with whose it was when it was stored.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.e2ee import xwing
from protocol.e2ee.asking import MessageData, SetAside, Suspicion
from tests.protocol.e2ee.app import START_MS, App, settle
from tests.protocol.e2ee.server import Log, Memory, Server
from tests.vectors.values import drawn

ACCOUNTS = ("ada", "ben", "cem")
ROOMS = ("r1", "r2")
HOUR_MS = 3600 * 1000

apps = st.integers(0, 99)
rooms = st.sampled_from(ROOMS)


class Histories(RuleBasedStateMachine):
    """Everything that may happen, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.server = Server()
        self.apps: list[App] = []
        self.backup: Memory | None = None
        self.restored = False
        self.vaults = False
        """Several devices of an account hold its key. Then there is no restore: see `list_forked`."""
        self.now_ms = START_MS
        self.number = 0
        self.unlocked: set[App] = set()
        """Devices that hold the key of their account's archive."""
        self.wrote: dict[bytes, tuple[App, str]] = {}

    def pick(self, number: int) -> App:
        return self.apps[number % len(self.apps)]

    def holder(self, account: str, number: int = 0) -> App | None:
        """A device that can change the account's list."""
        holders = [
            app
            for app in self.apps
            if app.who[0] == account and app.serves() and app.device._state.account_seed
        ]
        return holders[number % len(holders)] if holders else None

    def may_read(self, app: App, mid: bytes, *, now: bool = False) -> bool:
        """Whether a message was sealed to a device or to its archive: ever, or when it was stored last."""
        times = list(zip(self.server.readers[mid], self.server.archived[mid], strict=True))
        return any(
            app.who in readers or (app in self.unlocked and app.who[0] in archived)
            for readers, archived in (times[-1:] if now else times)
        )

    @initialize(both=st.sets(st.sampled_from(ACCOUNTS), min_size=1), vaults=st.booleans())
    def begin(self, both: set[str], vaults: bool) -> None:
        self.vaults = vaults
        for account in ACCOUNTS:
            self.apps.append(App.first(self.server, account, f"{account}-0", self.now_ms))
        settle(self.apps)
        for account in ACCOUNTS:
            self.keep_archive(account, keep=True)
        self.server.memory.rooms = {"r1": Log(members={"ada", "ben"}), "r2": Log(members=both)}
        settle(self.apps)
        self.backup = self.server.backup()

    # --- What people do -------------------------------------------------------------------------------

    @rule(number=apps, room=rooms, times=st.integers(1, 3))
    def write(self, number: int, room: str, times: int) -> None:
        app = self.pick(number)
        for _ in range(times):
            if app.alive and app.who[0] in self.server.memory.rooms[room].members:
                self.number += 1
                self.wrote[app.send(room, f"message {self.number}")] = app, room

    @rule(number=apps, room=rooms)
    def talk(self, number: int, room: str) -> None:
        """What is written is read at once by everyone."""
        self.write(number, room, 1)
        settle(self.apps)

    @rule(account=st.sampled_from(ACCOUNTS))
    @precondition(lambda self: len(self.apps) < 8)
    def add_device(self, account: str) -> None:
        self.apps.append(App.further(self.server, account, f"{account}-{len(self.apps)}", self.now_ms))

    @rule(account=st.sampled_from(ACCOUNTS), by=apps)
    def approve(self, account: str, by: int = 0) -> None:
        """A device can be let in once it has asked and has left a last-resort prekey: the server's rule."""
        holder = self.holder(account, by)
        for app in self.apps if holder else ():
            shelf = self.server.memory.shelves.get(app.who)
            asks = app.who[0] == account and app.alive and not app.listed
            asks = asks and app.who in self.server.memory.pending
            if holder and asks and shelf and shelf.last_resort:
                holder.device.approve(app.who[1], app.device.key, self.now_ms)
                holder.save()

    @rule(account=st.sampled_from(ACCOUNTS))
    @precondition(lambda self: len(self.apps) < 8)
    def let_in(self, account: str) -> None:
        """Another device, without anything in between."""
        self.add_device(account)
        settle(self.apps)
        self.approve(account)
        settle(self.apps)

    @rule(number=apps)
    @precondition(lambda self: self.vaults)
    def open_vault(self, number: int) -> None:
        """From then on the device can let others in, and put them out."""
        app = self.pick(number)
        holder = self.holder(app.who[0])
        if holder and self.server.listed(app.who):
            app.device.adopt(holder.device._state.account_seed, None)
            app.save()

    @rule(number=apps, by=apps)
    def revoke(self, number: int, by: int) -> None:
        app = self.pick(number)
        holder = self.holder(app.who[0], by)
        if holder and app is not holder and self.server.listed(app.who):
            holder.device.revoke(app.who[1], self.now_ms)
            holder.save()

    @rule(account=st.sampled_from(ACCOUNTS), keep=st.booleans(), by=apps)
    def keep_archive(self, account: str, keep: bool, by: int = 0) -> None:
        holder = self.holder(account, by)
        if holder is None:
            return
        public = xwing.public_key(drawn(f"archive of {account}"))
        holder.device.keep_archive(public if keep else None, self.now_ms)
        holder.save()

    @rule(number=apps)
    @precondition(lambda self: len(self.unlocked) < len(self.apps))
    def unlock(self, number: int) -> None:
        locked = [app for app in self.apps if app not in self.unlocked]
        app = locked[number % len(locked)]
        app.device.adopt(None, drawn(f"archive of {app.who[0]}"))
        app.save()
        self.unlocked.add(app)

    @rule(account=st.sampled_from(ACCOUNTS), room=rooms)
    def join(self, account: str, room: str) -> None:
        self.server.memory.rooms[room].members.add(account)

    @rule(account=st.sampled_from(ACCOUNTS), room=rooms)
    def leave(self, account: str, room: str) -> None:
        members = self.server.memory.rooms[room].members
        if len(members) > 1:
            members.discard(account)

    @rule(hours=st.sampled_from((1, 25, 24 * 8)))
    def wait(self, hours: int) -> None:
        self.now_ms += hours * HOUR_MS
        for app in self.apps:
            app.now_ms = self.now_ms

    # --- What networks, processes and disks do --------------------------------------------------------

    @rule(number=apps)
    def connect(self, number: int) -> None:
        app = self.pick(number)
        if app.serves():
            app.connect()

    @rule(number=apps, times=st.integers(1, 6), lose=st.booleans(), crash=st.booleans())
    def ask(self, number: int, times: int, lose: bool, crash: bool) -> None:
        app = self.pick(number)
        for _ in range(times):
            if app.serves():
                app.ask(lose=lose)
            if crash and app.serves():
                app.crash()

    @rule(number=apps, room=rooms, events=st.integers(1, 5))
    def deliver(self, number: int, room: str, events: int) -> None:
        app = self.pick(number)
        if app.serves() and self.server.listed(app.who) and room in app.rooms():
            app.read(room, events)

    @rule(number=apps, room=rooms, offset=st.integers(0, 20))
    def deliver_out_of_order(self, number: int, room: str, offset: int) -> None:
        app, log = self.pick(number), self.server.memory.rooms[room]
        if app.serves() and self.server.listed(app.who) and room in app.rooms() and offset < len(log.events):
            app.take(log.events[offset])

    @rule(number=apps)
    def crash_before_saving(self, number: int) -> None:
        app = self.pick(number)
        if app.serves():
            app.crash()

    @rule()
    def rest(self) -> None:
        """Everyone comes, and reads and sends what there is."""
        settle(self.apps)

    @rule()
    def back_up(self) -> None:
        self.backup = self.server.backup()

    @rule()
    @precondition(lambda self: self.backup is not None and not self.vaults)
    def restore(self) -> None:
        assert self.backup is not None
        self.server.restore(self.backup)
        self.restored = True

    # --- What holds -----------------------------------------------------------------------------------

    @invariant()
    def nobody_reads_what_is_not_theirs_or_twice(self) -> None:
        for app in self.apps:
            mids = [mid for mid, _ in app.shown]
            assert len(mids) == len(set(mids))
            for mid in mids:
                assert self.may_read(app, mid)

    @invariant()
    def nothing_is_unreadable(self) -> None:
        for app in self.apps:
            for told in app.told:
                match told:
                    case SetAside(error="before_this_device"):
                        pass
                    case Suspicion(error="list_rolled_back" | "no_prekey") if self.restored:
                        pass  # Until its account, or the device itself, has come back: sending waits.
                    case _:
                        raise AssertionError(f"{app.who}: {told}")

    def teardown(self) -> None:
        if not self.apps:
            return
        settle(self.apps)
        self.nobody_reads_what_is_not_theirs_or_twice()
        self.nothing_is_unreadable()
        for room, log in self.server.memory.rooms.items():
            stored = {event.content.mid for event in log.events if isinstance(event.content, MessageData)}
            for app in self.apps:
                if app.serves() and self.server.listed(app.who) and app.who[0] in log.members:
                    theirs = {mid for mid in stored if self.may_read(app, mid, now=True)}
                    assert theirs <= {mid for mid, _ in app.shown}, f"{app.who} has not read all of {room}"
                    wrote = {mid for mid, written in self.wrote.items() if written == (app, room)}
                    assert wrote <= stored, f"{app.who} wrote in {room} what is not stored"


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=25,
    stateful_step_count=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
