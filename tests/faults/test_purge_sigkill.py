"""SIGKILL in the middle of purges: a message is there or counted, nothing of it is left, and logs go on."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from relay.sqlite import SqliteStore
from relay.writes import AddMember, CreateRoom

ROOT = Path(__file__).parents[2]
PURGED_BEFORE_THE_KILL = 12
ROUNDS = 3

# Appends batches of messages and purges all but the newest, printing the last offset that is gone for sure,
# until it is killed.
CHILD = """
import asyncio, os, sys
from pathlib import Path
from relay.inbox import MESSAGE
from relay.retention import Purge
from relay.sqlite import SqliteStore
from relay.writes import Append

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    head = (await store.heads(["r"]))["r"].head
    while True:
        first, head = head + 1, head + 8
        for number in range(first, head + 1):
            body = b"<secret-%06d>" % number * 200
            await store.commit(Append("r", "ann", "d", number.to_bytes(16, "big"), body, number, MESSAGE))
        found = await store.purgeable("r", before_ms=head, anyway_ms=head)
        await store.commit(Purge(found, head, head))
        os.write(1, b"%d\\n" % found.through)

asyncio.run(main())
"""


def purge_until_killed(path: Path) -> int:
    """Let a process purge, kill it; the last offset that it knew to be gone."""
    command = [sys.executable, "-c", CHILD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(PURGED_BEFORE_THE_KILL)]
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
    assert child.returncode == -signal.SIGKILL
    return int([line for line in lines if line.endswith(b"\n")][-1])


async def test_a_purge_happens_or_it_does_not(tmp_path: Path) -> None:
    path = tmp_path / "rapport.db"
    store = SqliteStore(path)
    await store.open()
    epoch = store.epoch
    await store.commit(CreateRoom("r", b"", 1), AddMember("r", "ann", "client", 1))
    await store.close()
    for _ in range(ROUNDS):
        gone = await asyncio.to_thread(purge_until_killed, path)
        store = SqliteStore(path)
        await store.open()
        assert store.epoch == epoch, "a purge is not a restore"
        log = (await store.heads(["r"]))["r"]
        assert log.lowest > gone
        assert log.expired == log.lowest - 1, "every message is there or counted"
        page = await store.events("r", after=log.lowest - 1, limit=99, max_bytes=1 << 20)
        assert [event.offset for event in page.events] == list(range(log.lowest, log.head + 1))
        content = b"".join(each.read_bytes() for each in tmp_path.iterdir())
        there = [number for number in range(1, log.head + 1) if b"<secret-%06d>" % number in content]
        assert there == list(range(log.lowest, log.head + 1))
        await store.close()
