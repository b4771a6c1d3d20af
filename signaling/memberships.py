"""The rooms of an account, read from the store page by page."""

from __future__ import annotations

from relay.rows import Membership
from relay.store import Store

PAGE = 512


async def memberships_of(store: Store, account: str, most: int | None = None) -> list[Membership]:
    """All rooms of an account, or so many of them, in the order of their ids.

    Nearly every account fits one page, and one read. Raises :exc:`relay.errors.StoreError`.
    """
    found: list[Membership] = []
    while True:
        limit = PAGE if most is None else min(PAGE, most - len(found))
        page = await store.rooms_of(account, after=found[-1].room if found else "", limit=limit)
        found += page
        if len(page) < limit or len(found) == most:
            return found
