"""The core of a worker: sessions, and what signaling asks of them.

No sockets, clocks or randomness of its own: datagrams come in slots and leave in an outbox, `now` is seconds
of a monotonic clock, and random values come from an `Entropy`. Nothing but these methods changes its state.
"""

import re
from collections.abc import Callable
from typing import Final, Protocol, assert_never

from rtc import control
from rtc.address import Address
from rtc.codecs import MediaKind
from rtc.counters import Counters, Drop
from rtc.dtls import Certificate, DtlsEndpoint, DtlsState
from rtc.errors import BadName, NoSuchParticipant, NoSuchSession, RtcError, SessionFull, StaleGeneration
from rtc.ice import Credentials, IceAgent, IceState
from rtc.negotiation import Negotiated, is_new_connection, negotiate
from rtc.peer import Peer, PeerId, Told
from rtc.router import Router
from rtc.sdp import AnswerTransport, parse_offer, write_answer
from rtc.session import Participant, Session, answer_sections
from rtc.slots import Outbox, Slots

TICK_SECONDS: Final = 0.05
"How often `Engine.tick` wants to be called."

_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]{1,64}", re.ASCII)
_UFRAG_CHARS: Final = 8
_PASSWORD_CHARS: Final = 24


class Entropy(Protocol):
    """Where random values come from."""

    def number(self) -> int:
        """32 random bits."""

    def token(self, length: int) -> str:
        """`length` random letters, digits, `+` or `/` (RFC 8839, ice-char)."""


class Engine:
    """See the module. Events for signaling go to `emit` while a method runs."""

    def __init__(
        self,
        options: control.WorkerOptions,
        certificate: Certificate,
        candidates: tuple[tuple[str, int], ...],
        *,
        inbox: Slots,
        outbox: Outbox,
        entropy: Entropy,
        emit: Callable[[control.EventMessage], None],
        cpu_seconds: Callable[[], float],
    ) -> None:
        self.counters = Counters()
        self._options = options
        self._certificate = certificate
        self._candidates = candidates
        self._outbox = outbox
        self._entropy = entropy
        self._emit = emit
        self._cpu_seconds = cpu_seconds
        self._router = Router(inbox, outbox, self.counters)
        self._sessions: dict[str, Session] = {}

    def receive(self, datagrams: list[tuple[int, Address]], now: float) -> None:
        """Take the datagrams that lie in the inbox."""
        self._router.receive(datagrams, now)
        if self._router.touched:
            touched, self._router.touched = self._router.touched, {}
            for peer in touched:
                self._settle(peer, now)

    def tick(self, now: float) -> None:
        """Do what time asks for: retransmissions, reports, key frame requests, lost consent."""
        for session in self._sessions.values():
            for participant in session.participants.values():
                peer = participant.peer
                if peer is None:
                    continue
                peer.tick(now)
                if peer.ice.expire(now=now):
                    self._router.distrust(peer)
                self._settle(peer, now)
                for track in participant.tracks.values():
                    track.tick(now)

    def handle(self, request: control.RequestMessage, now: float) -> control.ReplyMessage:
        """Fulfil a request. A request that is refused changes nothing."""
        try:
            return self._handle(request, now)
        except RtcError as error:
            return control.Failure(request.id, error.name, error.detail)

    def _handle(self, request: control.RequestMessage, now: float) -> control.ReplyMessage:
        match request:
            case control.Offer():
                return control.Answered(request.id, self._offer(request, now))
            case control.Remove():
                self._remove(self._session(request), request.participant, now)
            case control.CloseSession():
                self._close(self._session(request))
            case control.SetModality():
                session = self._opened(request.session, request.generation)
                session.modality = request.modality
                session.wire(now)
            case control.Stats():
                return self._stats(request.id)
            case control.Ping():
                pass
            case _:
                assert_never(request)
        return control.Done(request.id)

    def _session(self, request: control.Remove | control.CloseSession) -> Session:
        session = self._sessions.get(request.session)
        if session is None or session.generation < request.generation:
            raise NoSuchSession
        if session.generation > request.generation:
            raise StaleGeneration
        return session

    def _opened(self, name: str, generation: int) -> Session:
        """The session, made if it is new. One of an older generation is closed and begins anew."""
        session = self._sessions.get(name)
        if session is not None and session.generation > generation:
            raise StaleGeneration
        if session is not None and session.generation < generation:
            self._close(session)
            session = None
        if session is None:
            session = self._sessions[name] = Session(name, generation)
        return session

    def _offer(self, request: control.Offer, now: float) -> str:
        if not _NAME.fullmatch(request.participant):
            raise BadName
        offer = parse_offer(request.sdp)
        session = self._sessions.get(request.session)
        if session is not None and session.generation < request.generation:
            session = None
        participant = session.participants.get(request.participant) if session is not None else None
        negotiated = negotiate(offer, participant.negotiated if participant is not None else None)
        members = session.participants if session is not None else {}
        if participant is None and len(members) >= self._options.max_participants:
            raise SessionFull
        session = self._opened(request.session, request.generation)
        participant = session.participants.setdefault(request.participant, Participant(request.participant))
        peer = self._connection(session, participant, negotiated, now)
        participant.connect(peer, negotiated, self._entropy.number)
        session.assign(participant)
        session.wire(now)
        self._tell_roster(session)
        transport = AnswerTransport(peer.ice.local, self._certificate.fingerprint, self._candidates)
        return write_answer(
            answer_sections(participant), transport, session_id=peer.ssrc, version=participant.version
        )

    def _connection(
        self, session: Session, participant: Participant, negotiated: Negotiated, now: float
    ) -> Peer:
        """The peer that the offer is about: the same, one that restarts ICE, or a new one."""
        peer, previous = participant.peer, participant.negotiated
        if peer is None or previous is None or is_new_connection(negotiated, previous):
            if peer is not None:
                self._disconnect(peer)
            peer = self._new_peer(session, participant, negotiated, now)
        elif negotiated.ice != previous.ice:
            peer.ice.restart(self._credentials(), negotiated.ice.ufrag, now=now)
        self._router.expect(peer)
        return peer

    def _new_peer(
        self, session: Session, participant: Participant, negotiated: Negotiated, now: float
    ) -> Peer:
        consent_seconds = self._options.ice_consent_seconds
        return Peer(
            PeerId(session.name, participant.name),
            IceAgent(self._credentials(), negotiated.ice.ufrag, now=now, consent_seconds=consent_seconds),
            DtlsEndpoint(self._certificate, negotiated.fingerprints),
            ssrc=self._entropy.number(),
            outbox=self._outbox,
            counters=self.counters,
            find_track=participant.track_of,
        )

    def _credentials(self) -> Credentials:
        return Credentials(self._entropy.token(_UFRAG_CHARS), self._entropy.token(_PASSWORD_CHARS))

    def _remove(self, session: Session, name: str, now: float) -> None:
        participant = session.participants.pop(name, None)
        if participant is None:
            raise NoSuchParticipant
        if participant.peer is not None:
            self._disconnect(participant.peer)
        session.wire(now)
        self._tell_roster(session)

    def _close(self, session: Session) -> None:
        for participant in session.participants.values():
            if participant.peer is not None:
                self._disconnect(participant.peer)
        del self._sessions[session.name]

    def _disconnect(self, peer: Peer) -> None:
        peer.close()
        self._router.forget(peer)

    def _settle(self, peer: Peer, now: float) -> None:
        """Tell signaling when the connection has come up or gone down."""
        session = self._sessions[peer.id.session]
        address = (session.name, session.generation, peer.id.participant)
        if peer.is_connected:
            if peer.told is not Told.CONNECTED:
                peer.told = Told.CONNECTED
                self._emit(control.Connected(*address))
                for subscription in peer.subscriptions.values():
                    subscription.receive_keyframe_request(now)
            return
        reason = _reason(peer)
        if reason is not None and peer.told is not Told.DISCONNECTED:
            peer.told = Told.DISCONNECTED
            self._emit(control.Disconnected(*address, reason))
        if peer.target is not None and peer.is_over():
            self._router.forget(peer)

    def _tell_roster(self, session: Session) -> None:
        for participant in session.uninformed():
            kinds = [track.kind for track in session.others_tracks(participant).values()]
            self._emit(
                control.RosterChanged(
                    session.name,
                    session.generation,
                    participant.name,
                    audio=kinds.count(MediaKind.AUDIO),
                    video=kinds.count(MediaKind.VIDEO),
                )
            )

    def _stats(self, request_id: int) -> control.WorkerStats:
        sessions = self._sessions.values()
        dropped = {cause.value: count for cause, count in self.counters.dropped.items()}
        if self._outbox.dropped:
            dropped[Drop.SOCKET.value] = self._outbox.dropped
        return control.WorkerStats(
            request_id,
            sessions=len(sessions),
            peers=sum(len(session.participants) for session in sessions),
            packets_in=self.counters.packets_in,
            bytes_in=self.counters.bytes_in,
            packets_out=self._outbox.sent,
            bytes_out=self._outbox.sent_bytes,
            dropped=dropped,
            cpu_seconds=self._cpu_seconds(),
        )


def _reason(peer: Peer) -> control.Reason | None:
    """Why the connection is down; None while it has yet to come up."""
    match peer.dtls.state:
        case DtlsState.FAILED:
            return control.Reason.DTLS_FAILED
        case DtlsState.CLOSED:
            return control.Reason.CLOSED
    return control.Reason.CONSENT_LOST if peer.ice.state is IceState.LOST else None
