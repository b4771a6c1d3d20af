"""Who may say when sessions are held, over the WebSocket."""

from __future__ import annotations

from protocol import errors
from protocol.errors import ProtocolError
from relay.store import Store
from signaling.caller import Caller
from signaling.notes import is_notes


async def check_therapist(store: Store, caller: Caller, room: str) -> None:
    """``no_such_room`` for who is not a member of the room, ``forbidden`` for who is no therapist of it.

    Neither the role in the room nor that of the token is enough by itself. ``token_scope`` if the token is
    for something else.
    """
    caller.check_room(room)
    roles = {member.account: member.role for member in await store.members(room)}
    if caller.account not in roles:
        raise ProtocolError(errors.NO_SUCH_ROOM)
    if roles[caller.account] != "therapist" or caller.role != "therapist":
        raise ProtocolError(errors.FORBIDDEN, "only a therapist of the room does that")
    if is_notes(room):
        raise ProtocolError(errors.FORBIDDEN, "no sessions are held in a room of notes")


def check_not_for_one_session(caller: Caller) -> None:
    """``token_scope`` if the caller's token is for one session."""
    if caller.claims.session is not None:
        raise ProtocolError(errors.TOKEN_SCOPE, "the token is for one session")
