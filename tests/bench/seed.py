"""Rooms for benches, written into the store before the server starts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from protocol.fields import Role
from protocol.tokens import Claims, mint
from relay.sqlite import SqliteStore
from relay.store import Store
from relay.writes import AddMember, CreateRoom
from tests.bench.sockets import KEY, SECRET


def seed(folder: Path, rooms: int) -> None:
    """Rooms ``r0``... of a therapist ``t0``... and a client ``c0``..., in the ``bench.db`` of a folder."""
    seed_store(SqliteStore(folder / "bench.db"), rooms)


def seed_store(store: Store, rooms: int) -> None:
    """The same in whatever store, which is not open."""
    asyncio.run(_seed(store, rooms))


def token(account: str) -> str:
    """A token for an hour."""
    role: Role = "therapist" if account.startswith("t") else "client"
    return mint(Claims(KEY, account, role, exp=time.time() + 3600), SECRET)


async def _seed(store: Store, rooms: int) -> None:
    await store.open()
    await asyncio.gather(
        *(
            store.commit(
                CreateRoom(f"r{number}", b"", 1),
                AddMember(f"r{number}", f"t{number}", "therapist", 1),
                AddMember(f"r{number}", f"c{number}", "client", 1),
            )
            for number in range(rooms)
        )
    )
    await store.close()
