"""What a participant writes and reads, end-to-end encrypted: its device's keys, and the requests they need.

The device is enrolled anew for each participant, with few prekeys: nothing of it outlives the run. What is
due is asked for one after the other, again after a cut, until nothing is.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final

from loadtest import key_frames
from loadtest.client import Client
from loadtest.errors import Disconnected, LoadTestError, NotHeld, Refused, TimedOut
from loadtest.wire import Map
from protocol.e2ee import asking
from protocol.e2ee.asking import Lost, Missing, NotSent, Opened, Outcome, Request, SetAside, Suspicion
from protocol.e2ee.contents import Attachment, Text
from protocol.e2ee.device import Device, Tuning

PREKEYS: Final = Tuning(prekeys=8)
"""The other side uses one for each epoch, of a hundred messages, and when there are none the last resort."""
ASK_AGAIN_SECONDS: Final = 0.5
"""The pause after a temporary refusal that names no time itself."""


class SealedChat:
    """The keys of one device, in all its rooms. ``read`` is called for each message opened, in order.

    ``fail`` is called with what went wrong: an event that cannot be opened, or a request that was refused.
    """

    def __init__(
        self,
        account: str,
        device: str,
        read: Callable[[Opened], None],
        fail: Callable[[LoadTestError], None],
    ) -> None:
        self.enrolled = False
        """The device is listed: others seal to it from now on."""
        self.undecryptable = 0
        """Events that could not be opened, or of which the log shows that they were left out."""
        self._device = Device.first(account, device, _now_ms(), secrets.token_bytes, PREKEYS)
        self._read = read
        self._fail = fail
        self._due = asyncio.Event()
        self._unstored: dict[bytes, asyncio.Future[None]] = {}

    # --- What the conversation brings -----------------------------------------------------------------

    def on_welcome(self, welcome: Map) -> None:
        """Connected, for the first time or again."""
        inventory = key_frames.inventory_of(welcome.get("keys", {}))
        self._take(self._device.welcome(inventory, _now_ms()))

    def on_event(self, event: Map) -> None:
        """The next event of a room."""
        self._take(self._device.event(key_frames.event_of(event), _now_ms()))

    def on_log(self, frame: Map) -> None:
        """Where a room's log stands."""
        if frame["op"] == "reset":
            self._device.reset(frame["room"], frame["epoch"], frame["lowest"])
        else:
            self._take(self._device.caught_up(frame["room"], frame["epoch"], _now_ms()))

    # --- What the participant does --------------------------------------------------------------------

    async def say(self, room: str, content: Text | Attachment, session: str | None, seconds: float) -> bytes:
        """Send a message; gives its id once it is durable. :exc:`Refused`, :exc:`TimedOut`."""
        mid = self._device.send(room, content, _now_ms(), session=session)
        stored = self._unstored[mid] = asyncio.get_running_loop().create_future()
        self._due.set()
        try:
            async with asyncio.timeout(seconds):
                await stored
        except TimeoutError:
            raise TimedOut("message.send") from None
        finally:
            del self._unstored[mid]
        return mid

    async def serve(self, client: Client) -> None:
        """Ask for what is due, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                while due := self._device.requests():
                    await self._ask(client, due[0])
            except LoadTestError as error:
                self._fail(error)
                return

    # --- Inside ---------------------------------------------------------------------------------------

    async def _ask(self, client: Client, request: Request) -> None:
        """Ask once; what is not answered is due again."""
        try:
            result = await client.request(**key_frames.frame_of(request))
        except Disconnected:
            return
        except Refused as refused:
            if refused.temporary:
                wait_ms = refused.retry_after_ms
                await asyncio.sleep(ASK_AGAIN_SECONDS if wait_ms is None else wait_ms / 1000)
            elif isinstance(request, asking.SendKeys | asking.SendMessage):
                self._refused(request, refused)
            else:
                raise
        else:
            self._answered(request, result)

    def _refused(self, request: asking.SendKeys | asking.SendMessage, refused: Refused) -> None:
        refusal = key_frames.refusal_of(request.room, refused)
        outcomes = self._device.refused(request.room, request.mid, refusal, _now_ms())
        for outcome in outcomes:
            if isinstance(outcome, NotSent) and (waiting := self._unstored.get(outcome.mid)):
                waiting.set_exception(refused)
        self._take(outcomes)

    def _answered(self, request: Request, result: Map) -> None:
        device, now_ms = self._device, _now_ms()
        match request:
            case asking.RequestListing():
                device.listing_requested()
            case asking.PutPrekeys():
                device.prekeys_stored(key_frames.ids_of(request))
            case asking.PutList(signed):
                device.list_stored(key_frames.number_of(signed))
                self.enrolled = True
            case asking.GetLists(room):
                self._take(device.lists(key_frames.lists_of(room, result), now_ms))
            case asking.Claim(claim, room):
                self._take(device.claimed(room, claim, key_frames.prekeys_of(result), now_ms))
            case asking.SendKeys(room, mid) | asking.SendMessage(room, mid):
                device.stored(room, mid, key_frames.place_of(result), now_ms)
                if (waiting := self._unstored.get(mid)) and not waiting.done():
                    waiting.set_result(None)

    def _take(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            match outcome:
                case Opened():
                    self._read(outcome)
                case SetAside(error=error):
                    self._lost(error)
                case Missing():
                    self._lost("missing")
                case Suspicion(error=error):
                    self._fail(NotHeld(error, "keys that cannot be right"))
                case Lost():
                    self._fail(NotHeld("message_lost", "a message that was durable is gone"))
        self._due.set()

    def _lost(self, error: str) -> None:
        self.undecryptable += 1
        self._fail(NotHeld("undecryptable", f"a message cannot be opened: {error}"))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
