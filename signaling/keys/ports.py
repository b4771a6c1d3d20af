"""What keys need of others: who rings at devices, who has back ends told, who counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias

from protocol.keys import KeysPart
from relay.writes import Write
from signaling.webhooks.notices import Notice

PrekeyKind: TypeAlias = Literal["one_time", "last_resort", "none"]
"""What a claim gets of a device: ``none`` of one that is not listed, barred, or without any prekey."""


class Doorbell(Protocol):
    """Tells connected devices that something about keys has changed."""

    def __call__(self, account: str, device: str | None, what: KeysPart, /) -> None:
        """Tell one device of an account, or all of them."""


class Tell(Protocol):
    """Has back ends told of something."""

    def __call__(self, notices: Sequence[Notice], /) -> Sequence[Write]:
        """The writes that do it, for the commit of what they tell of."""


class Counting(Protocol):
    """Counts what becomes of prekeys; of whom is not said."""

    def prekeys_claimed(self, kind: PrekeyKind, count: int) -> None:
        """A claim got so many prekeys of a kind."""

    def prekeys_low(self) -> None:
        """A device was told that few of its prekeys are left."""
