"""The ICE-lite agent of one peer (RFC 8445): which addresses have proved themselves, and where to send.

A lite agent only answers checks. An address is proven once a check from it carried the right credentials;
the one that was nominated last is where media goes. Consent to send (RFC 7675) is renewed by every valid
check, and lost when none came for `consent_seconds`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from rtc import stun
from rtc.address import Address, ip_and_port

MAX_PATHS: Final = 8
"Proven addresses that are remembered per peer; the one that is longest unused makes room for a new one."


class IceState(Enum):
    """How far the connection is."""

    NEW = "new"
    "No valid check has come yet."
    CONNECTED = "connected"
    LOST = "lost"
    "Consent has run out: nothing is sent until the next valid check."


@dataclass(frozen=True, slots=True)
class Credentials:
    """The user fragment and password of one side (RFC 8839, section 5.4)."""

    ufrag: str
    password: str


@dataclass(frozen=True, slots=True)
class Check:
    """What a valid check led to."""

    response: bytes | None
    "To be sent to where the check came from; None when it would be longer than the check (no reflection)."
    proven: bool
    "The address belongs to this peer from now on."
    evicted: Address | None = None
    "An address that no longer does."


class IceAgent:
    """See the module. Time is seconds of a monotonic clock."""

    def __init__(self, local: Credentials, remote_ufrag: str, *, now: float, consent_seconds: float) -> None:
        self.local = local
        self.remote_ufrag = remote_ufrag
        self.state = IceState.NEW
        self.selected: Address | None = None
        "Where to send, or None while there is no consent."
        self._previous: tuple[Credentials, str] | None = None
        self._paths: dict[Address, None] = {}  # oldest use first; full: the oldest but the selected goes
        self._nominated = False
        self._renewed_at = now
        self._consent_seconds = consent_seconds

    @property
    def ufrags(self) -> tuple[str, ...]:
        """The local user fragments that checks may name: the current one and, during a restart, the last."""
        return (self.local.ufrag,) if self._previous is None else (self.local.ufrag, self._previous[0].ufrag)

    def restart(self, local: Credentials, remote_ufrag: str, *, now: float) -> None:
        """Take new credentials (RFC 8445, section 9); the old path serves until a check used the new ones."""
        self._previous = (self.local, self.remote_ufrag)
        self.local = local
        self.remote_ufrag = remote_ufrag
        self._renewed_at = now

    def receive_check(
        self, request: stun.BindingRequest, source: Address, size: int, *, now: float
    ) -> Check | None:
        """Judge a check of `size` bytes from `source`; None when its credentials are not this peer's."""
        password = self._password_for(request)
        if password is None:
            return None
        if request.controlled:
            return Check(_bounded(stun.role_conflict(request, password=password), size), proven=False)
        if self._previous is not None and request.local_ufrag == self.local.ufrag:
            self._previous = None
            self._nominated = False
        evicted = self._prove(source)
        self._renewed_at = now
        self.state = IceState.CONNECTED
        if request.use_candidate or self.selected is None or not self._nominated:
            self.selected = source
        self._nominated |= request.use_candidate
        ip, port = ip_and_port(source)
        response = stun.success(request, ip=ip, port=port, password=password)
        return Check(_bounded(response, size), proven=True, evicted=evicted)

    def expire(self, *, now: float) -> bool:
        """Whether consent has just been lost; the caller then withdraws `forget_paths()`."""
        if self.state is IceState.LOST or now - self._renewed_at <= self._consent_seconds:
            return False
        self.state = IceState.LOST
        return True

    def forget_paths(self) -> tuple[Address, ...]:
        """Trust no address any more until its next valid check; returns those that were trusted."""
        paths = tuple(self._paths)
        self._paths.clear()
        self.selected = None
        self._nominated = False
        return paths

    def _password_for(self, request: stun.BindingRequest) -> bytes | None:
        current = (self.local, self.remote_ufrag)
        for local, remote_ufrag in (current,) if self._previous is None else (current, self._previous):
            if (request.local_ufrag, request.remote_ufrag) == (local.ufrag, remote_ufrag):
                password = local.password.encode()
                return password if request.is_signed_with(password) else None
        return None

    def _prove(self, source: Address) -> Address | None:
        self._paths.pop(source, None)
        self._paths[source] = None
        if len(self._paths) <= MAX_PATHS:
            return None
        evicted = next(path for path in self._paths if path != self.selected)
        del self._paths[evicted]
        return evicted


def _bounded(response: bytes, size: int) -> bytes | None:
    return response if len(response) <= size else None
