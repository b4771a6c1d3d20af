"""What an inbox shows of a room, and in which order. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

from protocol.around import InboxEntry, NextSession, Unanswered, UrgentMessage
from protocol.fields import Role
from relay import rows
from relay.inbox import InboxRoom
from signaling.sessions.session import from_row
from signaling.sessions.views import view


def entry_of(room: InboxRoom, account: str, online: Collection[str]) -> InboxEntry:
    """A room as ``account`` sees it; ``online`` are accounts that are connected."""
    role, waiting = cast(Role, room.role), room.unanswered
    others = [member.account for member in room.members if member.account != account]
    return InboxEntry(
        room=room.room,
        role=role,
        epoch=room.log.epoch,
        head=room.log.head,
        read=room.read,
        unread=room.unread,
        unanswered=Unanswered(waiting.offset, waiting.at_ms) if waiting else None,
        urgent=tuple(UrgentMessage(one.offset, one.at_ms, one.sender) for one in room.flagged),
        session=_next(room, account),
        online=tuple(one for one in others if one in online),
    )


def ordered(rooms: Sequence[InboxRoom], account: str) -> list[InboxRoom]:
    """Rooms as they want attention: urgent, unanswered, unread, the rest; what waits longest goes first."""
    return sorted(rooms, key=lambda room: _attention(room, account))


def page(rooms: Sequence[InboxRoom], after: str | None, limit: int) -> tuple[Sequence[InboxRoom], bool]:
    """The rooms behind ``after`` as the order is now, and whether more follow.

    A room that is there no more begins anew: better to tell of a room twice than not at all.
    """
    names = [room.room for room in rooms]
    start = names.index(after) + 1 if after in names else 0
    return rooms[start : start + limit], start + limit < len(rooms)


def _attention(room: InboxRoom, account: str) -> tuple[int, int, str]:
    urgent_ms = [one.at_ms for one in room.flagged[:1]]
    urgent_ms += [session.starts_ms for session in _urgent(room, account)]
    if urgent_ms:
        return 0, min(urgent_ms), room.room
    if room.unanswered:
        return 1, room.unanswered.at_ms, room.room
    return (2 if room.unread else 3), 0, room.room


def _urgent(room: InboxRoom, account: str) -> list[NextSession]:
    """The sessions that are held open as urgent, as far as the account is shown that."""
    # None is urgent before it opens, and most are not open.
    running = [_shown(row, account, room) for row in room.upcoming if row.state != "scheduled"]
    return [session for session in running if session and session.urgent]


def _next(room: InboxRoom, account: str) -> NextSession | None:
    """The session to be shown: one that is urgent goes before the others."""
    if urgent := _urgent(room, account):
        return urgent[0]
    return next(filter(None, (_shown(row, account, room) for row in room.upcoming)), None)


def _shown(row: rows.Session, account: str, room: InboxRoom) -> NextSession | None:
    session = from_row(row)
    if not session.invites(account):
        return None
    seen = view(session, account, "therapist" if room.role == "therapist" else "client", 0)
    return NextSession(
        seen.session, seen.state, seen.modality, seen.starts_ms, seen.agreed_end_ms, seen.urgent
    )
