"""What the people of a platform do in its busiest hour, and what that asks of each part. Pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from loadtest.scaling.costs import Costs

HOUR: Final = 3600.0
MESSAGES_FOR_A_CHANGE: Final = 1.0
"""What a change of a session costs, in messages: it is one commit, and told like one."""


@dataclass(frozen=True, slots=True)
class Habits:
    """Averages over accounts. The defaults are of a platform that does nothing but therapy."""

    clients_per_therapist: float = 20.0
    sessions_per_day: float = 5.0
    """Of a therapist."""
    session_minutes: float = 40.0
    video: float = 0.6
    """The share of sessions with pictures."""
    audio: float = 0.2
    """The share with sound only; the rest is live chat."""
    messages_per_session: float = 60.0
    """In live chat; a tenth of it beside sound and pictures."""
    messages_per_day: float = 1.5
    """Of an account, between sessions."""
    therapists_there: float = 0.6
    """The share of therapists with an open app in the busiest hour, on 1.5 devices each."""
    clients_there: float = 0.05
    """The share of clients with an open app in the busiest hour."""
    arrivals_per_hour: float = 4.0
    """How often a device that is there connects: phones sleep, networks change."""
    peak: float = 0.14
    """The part of a day that falls into its busiest hour: time zones flatten it, evenings sharpen it."""
    ping_seconds: float = 25.0
    announce_seconds: float = 10.0
    """How often presence is announced again."""
    video_packets: float = 600.0
    """A second in a session of two, both ways together."""
    audio_packets: float = 100.0
    video_bits: float = 3.2e6
    """A second that a session of two is sent, both ways together."""
    audio_bits: float = 0.12e6
    changes_per_session: float = 12.0
    """Joining, leaving, cues, the end: commits that are no messages."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Of the busiest hour; cores are cores that would be wholly busy."""

    accounts: float
    connections: float
    sessions: float
    """Held at the same time."""
    video_sessions: float
    audio_sessions: float
    messages: float
    """Stored a second, changes of sessions among them."""
    packets: float
    """Forwarded a second."""
    bits: float
    """Sent a second, by all media workers."""
    arrivals: float
    """Connections made a second."""
    media_cores: float
    server_cores: float
    database_cores: float
    redis_cores: float
    memory_bytes: float
    """Of connections, in all servers."""
    bytes_per_year: float
    """By which the database grows."""


def demand(accounts: float, habits: Habits, costs: Costs, *, other_node: float) -> Demand:
    """What so many accounts ask for. ``other_node``: the share of deliveries that go to another node."""
    therapists = accounts / (1 + habits.clients_per_therapist)
    clients = accounts - therapists
    connections = 1.5 * therapists * habits.therapists_there + clients * habits.clients_there
    begun = therapists * habits.sessions_per_day * habits.peak / HOUR
    sessions = begun * 60 * habits.session_minutes
    video, audio = sessions * habits.video, sessions * habits.audio
    chatted = habits.messages_per_session * (1 - 0.9 * (habits.video + habits.audio))
    written = accounts * habits.messages_per_day * habits.peak / HOUR + begun * chatted
    messages = written + MESSAGES_FOR_A_CHANGE * begun * habits.changes_per_session
    packets = video * habits.video_packets + audio * habits.audio_packets
    arrivals = connections * habits.arrivals_per_hour / HOUR
    per_day = accounts * habits.messages_per_day + therapists * habits.sessions_per_day * (
        chatted + habits.changes_per_session
    )
    return Demand(
        accounts=accounts,
        connections=connections,
        sessions=sessions,
        video_sessions=video,
        audio_sessions=audio,
        messages=messages,
        packets=packets,
        bits=video * habits.video_bits + audio * habits.audio_bits,
        arrivals=arrivals,
        media_cores=packets * costs.packet,
        server_cores=messages * (costs.message + other_node * costs.elsewhere)
        + connections / habits.ping_seconds * costs.frame
        + arrivals * costs.arrival,
        database_cores=messages * costs.append_database,
        redis_cores=(connections / habits.announce_seconds + other_node * messages) * costs.directory,
        memory_bytes=connections * costs.connection_bytes,
        bytes_per_year=365 * per_day * costs.append_bytes,
    )
