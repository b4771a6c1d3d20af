"""Who is in a session, what each publishes, and which of the others' tracks each receives where.

Tracks are given to media sections of the same kind in which a participant is willing to receive, in the order
of the sections, and stay there over later offers for as long as they exist. So a client that only adds its
own tracks receives the other person's in the same sections, and one that adds receiving sections has them
filled.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from protocol.fields import Modality
from rtc.codecs import MediaKind
from rtc.extensions import find
from rtc.forward import Subscription, Track, TrackId
from rtc.negotiation import MID_URI, Negotiated, Section
from rtc.peer import Peer
from rtc.rtp import U16
from rtc.sdp import AnswerSection, Direction, SentTrack

FORWARDED: Final[Mapping[Modality, frozenset[MediaKind]]] = {
    "video": frozenset((MediaKind.AUDIO, MediaKind.VIDEO)),
    "audio": frozenset((MediaKind.AUDIO,)),
    "chat": frozenset(),
}
"What the server forwards in a session of a modality, whatever clients send."


Draw: TypeAlias = Callable[[], int]
"A source of random 32-bit numbers."


class Participant:
    """One person's connection and media sections."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.peer: Peer | None = None
        self.negotiated: Negotiated | None = None
        self.version = 0
        "Answers given on the current connection."
        self.tracks: dict[str, Track] = {}
        "Published, by mid."
        self.subscriptions: dict[str, Subscription] = {}
        "Received, by mid."
        self.informed: frozenset[TrackId] = frozenset()
        "The others' tracks that the last answer took into account, or that were told of since."

    def connect(self, peer: Peer, negotiated: Negotiated, draw: Draw) -> None:
        """Take an accepted offer, made on the connection `peer`."""
        if peer is not self.peer:
            self.peer = peer
            self.version = 0
            self.subscriptions = {}
        self.negotiated = negotiated
        self.version += 1
        self._update_tracks(peer, negotiated)
        self._update_subscriptions(peer, negotiated, draw)

    def track_of(self, ssrc: int, packet: memoryview) -> Track | None:
        """The track that a source belongs to which was not heard before (RFC 9143, section 9.2).

        By the announced SSRCs, the mid in the packet, or the payload type if one section alone has it.
        """
        sections = self.negotiated.sections if self.negotiated is not None else ()
        publishing = [section for section in sections if section.publishes]
        for section in publishing:
            if ssrc in section.offered.ssrcs:
                return self.tracks[section.mid]
        unannounced = [section for section in publishing if not section.offered.ssrcs]
        for section in unannounced:
            numbers = [number for number, uri in section.extensions.items() if uri == MID_URI]
            if numbers and find(packet, numbers[0]) == section.mid.encode():
                return self.tracks[section.mid]
        payload_type = packet[1] & 0x7F
        matching = [
            section
            for section in unannounced
            if any(codec.payload_type == payload_type for codec in section.codecs)
        ]
        return self.tracks[matching[0].mid] if len(matching) == 1 else None

    def _update_tracks(self, peer: Peer, negotiated: Negotiated) -> None:
        before, self.tracks = self.tracks, {}
        for section in negotiated.sections:
            if section.kind is None or not section.publishes:
                continue
            track = before.get(section.mid)
            if track is None or track.kind is not section.kind:
                track = Track(TrackId(self.name, section.mid), section.kind)
            if track.publisher is not peer:
                track.publisher = peer
                track.ssrc = None
            track.codecs = section.codecs
            track.extensions = section.extensions
            self.tracks[section.mid] = track
        announced = {ssrc for section in negotiated.sections for ssrc in section.offered.ssrcs}
        peer.keep_streams(
            lambda stream: (
                stream.track is self.tracks.get(stream.track.id.mid)
                and (not announced or stream.ssrc in announced)
            )
        )

    def _update_subscriptions(self, peer: Peer, negotiated: Negotiated, draw: Draw) -> None:
        before, self.subscriptions = self.subscriptions, {}
        for section in negotiated.sections:
            if section.kind is None or not section.receives:
                continue
            subscription = before.get(section.mid)
            if subscription is None or subscription.kind is not section.kind or subscription.track_id is None:
                # RFC 3550, section 5.1: all three begin at random. They do so again after a section that had
                # nothing to send: Chromium plays nothing under an SSRC that was withdrawn before.
                subscription = Subscription(
                    peer, section.kind, ssrc=draw(), sequence=draw() & U16, timestamp=draw()
                )
            self.subscriptions[section.mid] = subscription
        peer.subscriptions = {subscription.ssrc: subscription for subscription in self.subscriptions.values()}


class Session:
    """The participants of one session on this worker."""

    def __init__(self, name: str, generation: int) -> None:
        self.name = name
        self.generation = generation
        self.modality: Modality = "video"
        self.participants: dict[str, Participant] = {}
        "In the order of joining."

    def others_tracks(self, participant: Participant) -> dict[TrackId, Track]:
        """What a participant could receive, in the order of joining and of media sections."""
        others = (other for other in self.participants.values() if other is not participant)
        return {track.id: track for other in others for track in other.tracks.values()}

    def assign(self, participant: Participant) -> None:
        """Give the others' tracks to the participant's receiving sections."""
        available = self.others_tracks(participant)
        subscriptions = participant.subscriptions.values()
        for subscription in subscriptions:
            kept = available.get(subscription.track_id) if subscription.track_id is not None else None
            if kept is None or kept.kind is not subscription.kind:
                subscription.track_id = None
            else:
                del available[kept.id]
        for subscription in subscriptions:
            if subscription.track_id is None:
                track = next((t for t in available.values() if t.kind is subscription.kind), None)
                if track is not None:
                    subscription.track_id = track.id
                    del available[track.id]
        participant.informed = frozenset(self.others_tracks(participant))

    def wire(self, now: float) -> None:
        """Connect tracks with subscriptions as assigned, as far as the modality allows."""
        forwarded = FORWARDED[self.modality]
        tracks = {track.id: track for p in self.participants.values() for track in p.tracks.values()}
        routes: dict[TrackId, list[Subscription]] = {}
        fresh: list[Track] = []
        for section, subscription in self._received():
            track = tracks.get(subscription.track_id) if subscription.track_id is not None else None
            if track is None or track.kind is not subscription.kind or track.kind not in forwarded:
                subscription.detach()
                continue
            routes.setdefault(track.id, []).append(subscription)
            if subscription.attach(track, section.codecs, section.extensions):
                fresh.append(track)
        for track in tracks.values():
            track.subscriptions = tuple(routes.get(track.id, ()))
        for track in fresh:
            track.request_keyframe(now)

    def uninformed(self) -> Iterator[Participant]:
        """Participants whose last answer no longer fits what the others publish; each once per change."""
        for participant in self.participants.values():
            available = frozenset(self.others_tracks(participant))
            if participant.negotiated is not None and available != participant.informed:
                participant.informed = available
                yield participant

    def _received(self) -> Iterator[tuple[Section, Subscription]]:
        for participant in self.participants.values():
            sections = participant.negotiated.sections if participant.negotiated is not None else ()
            for section in sections:
                subscription = participant.subscriptions.get(section.mid)
                if subscription is not None:
                    yield section, subscription


def answer_sections(participant: Participant) -> list[AnswerSection]:
    """The media sections of the answer to the participant's last offer."""
    assert participant.negotiated is not None
    return [_answer_section(section, participant) for section in participant.negotiated.sections]


def _answer_section(section: Section, participant: Participant) -> AnswerSection:
    subscription = participant.subscriptions.get(section.mid)
    sent = None
    if subscription is not None and subscription.track_id is not None:
        publisher, mid = subscription.track_id.participant, subscription.track_id.mid
        sent = SentTrack(publisher, f"{publisher}.{mid}", subscription.ssrc, cname=publisher)
    return AnswerSection(
        offered=section.offered,
        codecs=section.codecs,
        extensions=section.extensions,
        direction=_DIRECTIONS[sent is not None, section.publishes],
        sent=sent,
    )


_DIRECTIONS: Final = {
    (True, True): Direction.SENDRECV,
    (True, False): Direction.SENDONLY,
    (False, True): Direction.RECVONLY,
    (False, False): Direction.INACTIVE,
}
