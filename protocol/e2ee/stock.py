"""A device's own prekeys: making them, finding drift, and forgetting what has been used.

The private half of a one-time prekey is forgotten once a slot was opened with it; one that the server has
handed out and nothing came of is kept for 30 days, as are earlier last-resort ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from protocol.e2ee import xwing
from protocol.e2ee.asking import Inventory, PutPrekeys
from protocol.e2ee.prekeys import SignedPrekey, inventory_digest, make_prekey
from protocol.e2ee.state import PrivatePrekey, State, Stock

TARGET = 100
"""How many one-time prekeys a device leaves with the server; it fills up at half of that."""

ROTATE_MS = 7 * 24 * 3600 * 1000
"""How old the last-resort prekey gets."""

KEEP_MS = 30 * 24 * 3600 * 1000
"""How long a private half is kept once its public one is no longer handed out."""


def compare(stock: Stock, inventory: Inventory, now_ms: int) -> bool:
    """Take in what the server holds; whether that is what this device has left there."""
    if inventory.generation > stock.generation:
        # The store was restored from a backup: what it held then may have been handed out since.
        stock.generation = inventory.generation
    taken = [number for number in sorted(stock.one_time) if _taken(stock, number, inventory)]
    held = [number for number in taken if inventory.lowest is not None and number >= inventory.lowest]
    publics = ((number, xwing.public_key(stock.one_time[number].seed)) for number in held)
    good = len(held) == inventory.count and inventory_digest(publics) == inventory.digest
    _settle(stock, set(taken), set(held), now_ms)
    for number, prekey in stock.last_resort.items():
        stock.last_resort[number] = replace(prekey, confirmed=number == inventory.last_resort)
    _forget(stock, now_ms)
    return good


def _taken(stock: Stock, number: int, inventory: Inventory) -> bool:
    """Whether the server has, or had, this prekey in the generation it is in."""
    prekey = stock.one_time[number]
    return (
        prekey.generation == inventory.generation and number <= inventory.highest and prekey.gone_ms is None
    )


def _settle(stock: Stock, taken: set[int], held: set[int], now_ms: int) -> None:
    for number, prekey in stock.one_time.items():
        if number in held:
            stock.one_time[number] = replace(prekey, confirmed=True)
        elif prekey.gone_ms is None and (number in taken or prekey.generation != stock.generation):
            stock.one_time[number] = replace(prekey, confirmed=True, gone_ms=now_ms)


def refill(state: State, count: int, now_ms: int, draw: Callable[[int], bytes], target: int) -> None:
    """Make what is missing of one-time prekeys and, when it is due, a new last-resort one.

    The server holds ``count`` one-time prekeys. Its number counts, and not ours: whatever it has made of
    them, it is never given more than the target.
    """
    stock = state.stock
    live = count + sum(1 for each in stock.one_time.values() if not each.confirmed and each.gone_ms is None)
    if live <= target // 2:
        for _ in range(target - live):
            _add(stock, stock.one_time, now_ms, draw)
    newest = stock.last_resort[max(stock.last_resort)] if stock.last_resort else None
    if newest is None or now_ms - newest.made_ms >= ROTATE_MS or newest.generation != stock.generation:
        for number, prekey in stock.last_resort.items():
            if prekey.gone_ms is None:
                stock.last_resort[number] = replace(prekey, gone_ms=now_ms)
        _add(stock, stock.last_resort, now_ms, draw)


def unconfirmed(state: State) -> PutPrekeys | None:
    """What the server is to be given, or None when it has everything."""
    stock = state.stock
    one_time = tuple(
        _signed(state, number, prekey, last_resort=False)
        for number, prekey in sorted(stock.one_time.items())
        if not prekey.confirmed and prekey.gone_ms is None
    )
    newest = max(stock.last_resort, default=0)
    last_resort = None
    if newest and not stock.last_resort[newest].confirmed:
        last_resort = _signed(state, newest, stock.last_resort[newest], last_resort=True)
    return PutPrekeys(one_time, last_resort) if one_time or last_resort else None


def confirm(stock: Stock, numbers: Iterable[int]) -> None:
    """The server has taken these prekeys."""
    for number in numbers:
        for kind in (stock.one_time, stock.last_resort):
            if number in kind:
                kind[number] = replace(kind[number], confirmed=True)


def find(stock: Stock, number: int) -> bytes | None:
    """The private half of a prekey."""
    prekey = stock.one_time.get(number) or stock.last_resort.get(number)
    return prekey.seed if prekey else None


def spend(stock: Stock, number: int) -> None:
    """A slot was opened with this prekey: forget it, unless it is a last-resort one."""
    stock.one_time.pop(number, None)


def _forget(stock: Stock, now_ms: int) -> None:
    for kind in (stock.one_time, stock.last_resort):
        for number, prekey in list(kind.items()):
            if prekey.gone_ms is not None and now_ms - prekey.gone_ms >= KEEP_MS:
                del kind[number]


def _add(stock: Stock, kind: dict[int, PrivatePrekey], now_ms: int, draw: Callable[[int], bytes]) -> None:
    kind[stock.next_id] = PrivatePrekey(
        seed=draw(32), generation=stock.generation, made_ms=now_ms, confirmed=False
    )
    stock.next_id += 1


def _signed(state: State, number: int, prekey: PrivatePrekey, *, last_resort: bool) -> SignedPrekey:
    return make_prekey(
        state.seed,
        state.account,
        state.device,
        prekey.generation,
        number,
        prekey.seed,
        last_resort=last_resort,
    )
