"""Reading a room's log once more, for what came before the archive was unlocked, or a new key was trusted.

A second reading follows the first one with a state of its own. It opens what the archive's key opens, and
what accounts say whose new keys were refused at first; all else was read in its turn. While it goes on, the
first reading leaves these to it; where it has come up with the first one, it hands over and is forgotten. So
every message is opened by one of them, and by no more than one.
"""

from __future__ import annotations

from collections.abc import Iterator

from protocol.e2ee import receiving
from protocol.e2ee.asking import Event, Missing, Opened, Outcome, Page, Recall, SetAside
from protocol.e2ee.epochs import Place
from protocol.e2ee.errors import BeforeThisDevice, OutOfOrder
from protocol.e2ee.state import MIDS_KEPT, Room, State


def begin(room: Room, *opens: str) -> None:
    """The archive's key is there, or those of accounts are: what was taken in without them is read again."""
    if room.past:
        room.waiting = (*room.waiting, *opens)
    elif room.cursor.offset:
        room.past = Room(cursor=Place(room.cursor.log, 0), recalling=True, opens=opens)


def requests(name: str, room: Room) -> Iterator[Recall]:
    """The next page, if there is one."""
    if room.past and not room.left and room.past.cursor.offset < room.cursor.offset:
        yield Recall(name, room.past.cursor.offset)


def begin_anew(room: Room, lowest: int) -> None:
    """The log goes on from ``lowest``; the cursor of the first reading has moved there already."""
    if room.past is None:
        return
    if room.past.cursor.log == room.cursor.log:
        _skip_to(room.past, lowest - 1)
    else:
        room.past.floor, room.past.cursor = {}, room.cursor


def take(state: State, room: Room, after: int, page: Page) -> list[Outcome]:
    """The page after an offset; one that does not go on from the second reading's cursor is passed over.

    Raises :exc:`OutOfOrder`, without any change, when it has a hole. Where the server gives nothing of what
    the first reading had, the second one ends.
    """
    past = room.past
    if past is None or page.log != past.cursor.log or after != past.cursor.offset:
        return []
    begins = max(after, page.lowest - 1)
    told = [event for event in page.events if begins < event.place.offset <= room.cursor.offset]
    if [event.place.offset for event in told] != list(range(begins + 1, begins + 1 + len(told))):
        raise OutOfOrder()
    _skip_to(past, begins)
    outcomes = [outcome for event in told for outcome in _take(state, room, past, event)]
    if not told:
        past.cursor = room.cursor
    finish(room)
    return outcomes


def finish(room: Room) -> None:
    """Hand over, once the second reading has come as far as the first one."""
    if room.past is None or room.replaying or room.past.cursor != room.cursor:
        return
    for who, read in room.past.speakers.items():
        speaker = room.speakers.get(who)
        if who[0] in room.past.opens and (speaker is None or speaker.chain is None):
            room.speakers[who] = read
        elif speaker and speaker.epoch == read.epoch and speaker.chain is None:
            speaker.chain, speaker.exporter = read.chain, read.exporter
            speaker.error, speaker.loose = read.error, read.loose
    room.past, waiting, room.waiting = None, room.waiting, ()
    if waiting:
        begin(room, *waiting)


def _skip_to(past: Room, offset: int) -> None:
    """What stands before is purged, if it was not read yet."""
    if offset > past.cursor.offset:
        past.cursor = Place(past.cursor.log, offset)
        for speaker in past.speakers.values():
            speaker.loose = True


def _take(state: State, room: Room, past: Room, event: Event) -> Iterator[Outcome]:
    """What the first reading has not told."""
    outcomes = receiving.take(state, past, event)
    past.cursor = event.place
    who = (event.account, event.device)
    read, speaker = past.speakers.get(who), room.speakers.get(who)
    if read is None or read.error == BeforeThisDevice.name:
        return
    for outcome in outcomes:
        match outcome:
            case Opened(mid=mid):
                if speaker:  # It may be lost with a restore, and sent again: then it is known here.
                    speaker.mids = (mid, *speaker.mids)[-MIDS_KEPT:]
                yield outcome
            case SetAside() | Missing(count=int()):
                yield outcome
            case _:
                pass
