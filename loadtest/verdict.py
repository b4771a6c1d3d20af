"""Whether a demonstration showed everything it is to show. Pure: from what was observed to the verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

THERAPIST: Final = "therapist"
CLIENT: Final = "client"

ENOUGH_PICTURES: Final = 30
"""So many different pictures, and a participant counts as seen."""
ENOUGH_SOUNDS: Final = 50
"""So many audible frames of 20 ms, and a participant counts as heard."""


@dataclass(slots=True)
class Facts:
    """What was observed besides what the participants have in their hands."""

    waited: bool = False
    """The client had to wait until the therapist let them in."""
    meanwhile: int = 0
    """How many messages of the therapist were stored while the client was cut off."""
    media_went_on: bool = False
    """Each side saw and heard the other while the client was cut off."""
    searched: bool = False
    """What the server's store leaves behind was searched, and has what it has to have."""
    readable: int = 0
    """How many of the messages stand readable in it."""
    worksheet: bool = False
    """The client opened the worksheet, and it is the one that the therapist sent."""
    worksheet_readable: bool = False
    """Something of it stands readable in what the server leaves behind."""
    state: str = ""
    """The session's state in the end, as the back end is told."""
    stopped_by: str | None = None
    """The name of what kept the story from being told to its end."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one participant has in its hands."""

    pictures: int = 0
    sounds: int = 0
    energy: float = 0.0
    packets_received: int = 0
    packets_lost: int = 0
    sent: tuple[bytes, ...] = ()
    """The ids of the messages that it was told are durable."""
    messages: tuple[tuple[str, bytes], ...] = ()
    """Sender and id of all chat messages, in the order in which they were handed over."""
    doubled: int = 0
    undecryptable: int = 0
    """Messages that could not be opened."""
    live: bool = False
    reason: str | None = None
    connections: int = 0
    irregular: int = 0
    """Events that came twice or too early, logs that began anew, frames that were none."""


def missing(facts: Facts, seen: Mapping[str, Seen]) -> list[str]:
    """The names of everything that should have been observed and was not."""
    return [name for name, observed in _checks(facts, seen) if not observed]


def _checks(facts: Facts, seen: Mapping[str, Seen]) -> Iterator[tuple[str, bool]]:
    sent = {*seen[THERAPIST].sent, *seen[CLIENT].sent}
    yield "story_told_to_its_end", facts.stopped_by is None
    for who, other in ((THERAPIST, CLIENT), (CLIENT, THERAPIST)):
        has = seen[who]
        ids = [mid for _, mid in has.messages]
        yield f"{who}_sees_{other}", has.pictures >= ENOUGH_PICTURES
        yield f"{who}_hears_{other}", has.sounds >= ENOUGH_SOUNDS and has.energy > 0
        yield f"{who}_has_messages_of_{other}", any(sender == other for sender, _ in has.messages)
        yield f"{who}_has_every_message", bool(ids) and set(ids) == sent
        yield f"{who}_has_no_message_twice", not has.doubled and len(set(ids)) == len(ids)
        yield f"{who}_can_open_every_message", not has.undecryptable
        yield f"{who}_has_nothing_irregular", not has.irregular
        yield f"{who}_sees_the_session_live", has.live
        yield f"{who}_is_told_that_time_is_up", has.reason == "completed"
    yield "both_have_messages_in_the_same_order", seen[THERAPIST].messages == seen[CLIENT].messages
    yield "client_waits_to_be_admitted", facts.waited
    yield "client_resumes", seen[CLIENT].connections == 2
    yield "messages_while_the_client_is_away", facts.meanwhile > 0
    yield "media_goes_on_meanwhile", facts.media_went_on
    yield "database_was_searched", facts.searched
    yield "database_has_no_readable_message", not facts.readable
    yield "worksheet_arrives", facts.worksheet
    yield "server_has_no_readable_worksheet", not facts.worksheet_readable
    yield "back_end_sees_the_session_ended", facts.state == "ended"


def judge(facts: Facts, seen: Mapping[str, Seen]) -> dict[str, Any]:
    """The verdict as a JSON object: ``result`` is ``ok`` or ``failed``, and ``missing`` says what is."""
    lacks = missing(facts, seen)
    return {
        "result": "failed" if lacks else "ok",
        "missing": lacks,
        "stopped_by": facts.stopped_by,
        "messages": sum(len(one.sent) for one in seen.values()),
        "messages_while_away": facts.meanwhile,
        "messages_readable_in_the_database": facts.readable,
        "worksheet_arrived": facts.worksheet,
        "worksheet_readable_on_the_server": facts.worksheet_readable,
        **{who: _counts(seen[who]) for who in (THERAPIST, CLIENT)},
    }


def _counts(seen: Seen) -> dict[str, Any]:
    return {
        "pictures": seen.pictures,
        "audio_seconds": round(seen.sounds * 0.02, 2),
        "audio_energy": round(seen.energy, 4),
        "packets_received": seen.packets_received,
        "packets_lost": seen.packets_lost,
        "messages": len(seen.messages),
        "messages_doubled": seen.doubled,
        "messages_undecryptable": seen.undecryptable,
        "connections": seen.connections,
        "end_reason": seen.reason,
    }


def table(seen: Mapping[str, Seen], lacks: Sequence[str]) -> str:
    """The counts and the verdict for people."""
    lines = [f"{'':<12}{'pictures':>10}{'sound':>10}{'packets':>10}{'lost':>7}{'messages':>10}{'twice':>7}"]
    for who, one in seen.items():
        sound = f"{one.sounds * 0.02:.1f} s"
        lines.append(
            f"{who:<12}{one.pictures:>10,}{sound:>10}{one.packets_received:>10,}{one.packets_lost:>7,}"
            f"{len(one.messages):>10,}{one.doubled:>7,}"
        )
    conclusion = f"Not observed: {', '.join(lacks)}" if lacks else "Everything was observed."
    return "\n".join([*lines, "", conclusion])
