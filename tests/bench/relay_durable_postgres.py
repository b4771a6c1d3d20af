"""What a durable message costs when the store is a PostgreSQL on the same machine.

As `relay_durable`, with the same clients. Counted is all CPU of the server's process, and none of
PostgreSQL's. The limit is the store alone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import uvloop

from relay.postgres import PostgresStore, Target
from tests.bench import Measurement
from tests.bench.relay_durable import LIMIT_ROUNDS, PAIRS, rounds
from tests.bench.relay_store import run_store
from tests.bench.seed import seed_store
from tests.bench.sockets import rapport
from tests.postgres_process import PostgresProcess


def measure() -> dict[str, Measurement]:
    """Microseconds of server CPU per message, messages per second, milliseconds for an append alone."""
    # As it is in use: what is committed is on the disk.
    server = PostgresProcess(fsync="on", full_page_writes="on", shared_buffers="128MB")
    try:
        server.start()
        with tempfile.TemporaryDirectory(prefix="relay-durable-") as folder:
            name = server.database()
            seed_store(PostgresStore(Target(server.url(name))), PAIRS)
            with rapport(Path(folder), server.url(name)) as (pid, port):
                measured = rounds([pid], [port])
        alone = [
            uvloop.run(run_store(PostgresStore(Target(server.url(server.database())))))
            for _ in range(LIMIT_ROUNDS)
        ]
    finally:
        server.close()
    return {
        "relay.durable_postgres": Measurement(
            min(cost for (cost,), _ in measured), "us", min(append for append, _, _ in alone)
        ),
        "relay.durable_postgres_rate": Measurement(max(rate for _, rate in measured), "/s"),
        "relay.commit_alone_postgres": Measurement(min(commit for _, commit, _ in alone), "ms"),
    }
