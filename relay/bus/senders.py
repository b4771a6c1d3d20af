"""Which bundles of other nodes came, so that none is taken twice and what is missing is noticed. Pure."""

from collections import OrderedDict

from relay.bus.bundle import Bundle, Refused

MAX_SENDERS = 65_536
"""Nodes remembered, each since its start; beyond it the one that was silent for longest is forgotten."""

MAX_AGE_MS = 120_000
"""How old a bundle of a node that is not remembered may be, or how far ahead its clock."""


class Senders:
    """The number of the last bundle of every node that sent any."""

    def __init__(self, *, max_senders: int = MAX_SENDERS, max_age_ms: int = MAX_AGE_MS) -> None:
        self._max_senders = max_senders
        self._max_age_ms = max_age_ms
        self._last: OrderedDict[str, int] = OrderedDict()

    def take(self, bundle: Bundle, now_ms: int) -> bool:
        """Whether bundles before this one are missing.

        Raises `Refused`: ``replayed`` for one that came before, ``stale`` for an old one of a node that is
        not known. For nodes that are known the number decides and no clock.
        """
        last = self._last.get(bundle.sender)
        if last is None:
            if abs(now_ms - bundle.at_ms) > self._max_age_ms:
                raise Refused("stale")
            last = 0
        if bundle.sequence <= last:
            raise Refused("replayed")
        self._last[bundle.sender] = bundle.sequence
        self._last.move_to_end(bundle.sender)
        if len(self._last) > self._max_senders:
            self._last.popitem(last=False)
        return bundle.sequence != last + 1
