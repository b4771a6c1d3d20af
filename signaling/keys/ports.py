"""What keys need of others: someone who rings at devices, someone who has back ends told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from protocol.keys import KeysPart
from relay.writes import Write
from signaling.webhooks.notices import Notice


class Doorbell(Protocol):
    """Tells connected devices that something about keys has changed."""

    def __call__(self, account: str, device: str | None, what: KeysPart, /) -> None:
        """Tell one device of an account, or all of them."""


class Tell(Protocol):
    """Has back ends told of something."""

    def __call__(self, notices: Sequence[Notice], /) -> Sequence[Write]:
        """The writes that do it, for the commit of what they tell of."""
