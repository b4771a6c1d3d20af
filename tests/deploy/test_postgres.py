"""PostgreSQL with the examples' configuration, and a node that loses its primary."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import random
import socket
import tomllib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from relay.errors import StoreUnusable
from relay.postgres import Target
from relay.postgres.opening import connect
from tests.deploy.examples import certificate, example, written
from tests.faults.processes import server, token
from tests.faults.test_postgres_server import sent
from tests.postgres_process import PATIENCE, PostgresProcess
from tests.signaling.door_client import DoorClient, door_client, new_mid

PASSWORD, REPLICATION = "of-the-nodes", "of-the-standby"
# Whoever sets a primary up before its standby is there does not wait for it.
ALONE = "dbname=postgres options='-c synchronous_commit=local'"


def free_port() -> int:
    """A port below those that the system gives away: nobody is given it before PostgreSQL takes it."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Machine(PostgresProcess):
    """One of the two servers, with the examples' files in its data."""

    def __init__(self, name: str, primary: Machine | None = None) -> None:
        self.name = name
        self.port = free_port()
        super().__init__(primary, listen_addresses="127.0.0.1", port=str(self.port))
        del self._settings["max_connections"]

    @property
    def superuser(self) -> str:
        """Who the server runs as: whom `peer` lets in."""
        return self._user.pw_name if self._user else pwd.getpwuid(os.geteuid()).pw_name

    def configure(self, cert: Path, key: Path) -> None:
        """Put the examples into the data of a new primary; its standby copies them."""
        data = self.folder / "data"
        settings = example("cluster/postgresql.conf", {"shared_buffers = 1GB": "shared_buffers = 32MB"})
        with (data / "postgresql.conf").open("a") as own:
            own.write(settings)
        here = {"10.0.0.0/24": "127.0.0.1/32", "postgres ": f"{self.superuser} "}
        written(data, "cluster/pg_hba.conf", here)
        for source, name in ((cert, "server.crt"), (key, "server.key")):
            there = data / name
            there.write_bytes(source.read_bytes())
            there.chmod(0o600)
            if self._user is not None:
                os.chown(there, self._user.pw_uid, self._user.pw_gid)

    def _source(self, primary: PostgresProcess) -> Sequence[str]:
        assert isinstance(primary, Machine)
        there = f"host=127.0.0.1 port={primary.port} sslmode=require"
        return ("-d", f"{there} user=replicator password={REPLICATION} application_name={self.name}")

    def _client(self, program: str) -> list[str]:
        mine = [*super()._client(program), "-p", str(self.port)]
        if self._user is None:
            return mine
        ids = (f"--reuid={self._user.pw_uid}", f"--regid={self._user.pw_gid}", "--clear-groups")
        return ["setpriv", *ids, *mine]


@contextlib.asynccontextmanager
async def primary_and_standby(folder: Path) -> AsyncIterator[tuple[Machine, Machine]]:
    """The two, the standby in step with the primary."""
    cert, key = await certificate(folder)
    with contextlib.ExitStack() as stack:
        primary = Machine("postgres1")
        stack.callback(primary.close)
        primary.configure(cert, key)
        await asyncio.to_thread(primary.start)
        for statement in (
            f"CREATE ROLE rapport LOGIN PASSWORD '{PASSWORD}'",
            f"CREATE ROLE replicator LOGIN REPLICATION PASSWORD '{REPLICATION}'",
            "CREATE DATABASE rapport OWNER rapport",
        ):
            primary.sql(statement, database=ALONE)
        standby = await asyncio.to_thread(Machine, "postgres2", primary)
        stack.callback(standby.close)
        await asyncio.to_thread(standby.start)
        async with asyncio.timeout(PATIENCE):
            query = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum'"
            while await asyncio.to_thread(primary.sql, query) != "1":
                pass
        yield primary, standby


def url(folder: Path, *machines: Machine) -> str:
    """The example's URL, with these hosts in it, and the authority in this folder."""
    hosts = ",".join(f"127.0.0.1:{machine.port}" for machine in machines)
    replaced = {"10.0.0.31,10.0.0.32": hosts, "/etc/rapport/postgres-ca.pem": str(folder / "fullchain.pem")}
    settings = tomllib.loads(example("cluster/rapport.toml", replaced))
    assert settings["store"]["synchronous_standby"] is True
    return str(settings["store"]["url"])


async def sending(client: DoorClient, stored: list[bytes], enough: asyncio.Event) -> None:
    """Send one message after the other, and keep which were acknowledged."""
    while not enough.is_set():
        mid = new_mid()
        await sent(client, mid)
        stored.append(mid)


async def more(stored: list[bytes], task: asyncio.Task[None]) -> None:
    """Wait until ten more were acknowledged."""
    until = len(stored) + 10
    while len(stored) < until:
        assert not task.done()
        await asyncio.sleep(0.01)


async def test_a_node_goes_on_with_the_standby_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    async with primary_and_standby(tmp_path) as (primary, standby):
        store = {"STORE_URL": url(tmp_path, primary, standby), "STORE_SYNCHRONOUS_STANDBY": "true"}
        async with server(tmp_path, STORE_PASSWORD=PASSWORD, **store) as node:
            await node.room("r")
            async with door_client(node.connect) as anna:
                await anna.hello(token("anna", "therapist"))
                epoch = (await sent(anna, new_mid()))["epoch"]
                stored: list[bytes] = []
                enough = asyncio.Event()
                task = asyncio.create_task(sending(anna, stored, enough))
                await more(stored, task)
                await asyncio.to_thread(primary.kill)
                # As the page says: the one that is left waits for nobody.
                standby.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
                assert await asyncio.to_thread(standby.sql, "SELECT pg_reload_conf(), pg_promote()") == "t|t"
                await more(stored, task)
                enough.set()
                await task
                assert (await sent(anna, new_mid()))["epoch"] == epoch
        there = standby.sql("SELECT encode(mid, 'hex') FROM events", database="rapport").split()
        assert {mid.hex() for mid in stored} <= set(there)


async def test_nobody_comes_in_without_tls_or_with_another_password(tmp_path: Path) -> None:
    async with primary_and_standby(tmp_path) as (primary, _):
        good = url(tmp_path, primary)
        link = await connect(Target(good, PASSWORD, connect_seconds=PATIENCE))
        link.terminate()
        for refused, password in (
            (good, "another"),
            (good.replace("sslmode=verify-full", "sslmode=disable"), PASSWORD),
            (good.replace("rapport@", "replicator@"), REPLICATION),
            (good.replace("rapport@", f"{primary.superuser}@"), PASSWORD),
        ):
            with pytest.raises(StoreUnusable):
                await connect(Target(refused, password, connect_seconds=PATIENCE))
