"""A real PostgreSQL for tests: started when the first asks for it, on a Unix socket in a folder of its own.

One server for each process of tests; a database for each test, made quickly after a template. It may be
killed and started again. PostgreSQL refuses to run as root, so root runs it as its own user, or as nobody.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from relay.postgres import Target

PATIENCE: Final = 60.0  # s, for the server to start and to stop
# Nothing has to survive the machine: a killed server finds what it has written in the system's cache.
SETTINGS: Final = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "listen_addresses": "",
    "log_min_messages": "fatal",
    "jit": "off",
}
_EMPTY: Final = """
    SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    SET session_replication_role = replica;  -- tables in whatever order
    DO $$ DECLARE name TEXT; BEGIN
        FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
            IF name <> 'schema_version' THEN EXECUTE format('DELETE FROM %I', name); END IF;
        END LOOP;
        FOR name IN SELECT sequencename FROM pg_sequences LOOP
            EXECUTE format('ALTER SEQUENCE %I RESTART', name);
        END LOOP;
    END $$
"""


def patient(url: str) -> Target:
    """A target for tests: the machine may stop for a while, and nothing has failed by that."""
    return Target(
        url,
        connect_seconds=PATIENCE,
        statement_seconds=PATIENCE,
        patience_seconds=PATIENCE,
        idle_seconds=PATIENCE,
    )


def programs() -> Path:
    """The folder of PostgreSQL's programs, of the newest version that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if not found:
        raise FileNotFoundError("PostgreSQL is not installed: run `.ci/need postgres`")
    return found[-1].parent


class PostgresProcess:
    """A server with its data in a temporary folder: a primary, or the standby of one."""

    def __init__(self, primary: PostgresProcess | None = None, **settings: str) -> None:
        self._user: Final = _unprivileged()
        self._programs: Final = programs()
        self.folder: Final = Path(tempfile.mkdtemp(prefix="rapport-postgres-"))
        self._settings: Final = SETTINGS | settings
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers: Final = itertools.count()
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        atexit.register(self.close)
        if primary is None:
            names = ("-U", self.superuser, "-E", "UTF8", "--locale=C")
            self._run("initdb", "-D", "data", *names, "-A", "trust", "-N")
        else:
            source = self._source(primary)
            self._run("pg_basebackup", *source, "-D", "data", "-R", "-c", "fast", "--no-sync")

    @property
    def superuser(self) -> str:
        """Who may do everything."""
        return "rapport"

    def start(self) -> None:
        """Start the server, after a crash too, and wait until it answers."""
        options = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        # However this process of tests ends, the server does so too.
        program = ["setpriv", "--pdeathsig", "QUIT", str(self._programs / "postgres")]
        command = [*program, "-D", "data", "-k", str(self.folder), *options]
        self._process = self._begin(command)
        deadline = time.monotonic() + PATIENCE
        while subprocess.run([*self._client("pg_isready"), "-q"], check=False).returncode:
            if self._process.poll() is not None:  # it has met what is left of one that was killed
                self._process = self._begin(command)
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill the server and all its processes at once; they flush nothing."""
        assert self._process is not None
        pid = self._process.pid
        processes = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        for one in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._process = None
        deadline = time.monotonic() + PATIENCE
        while any(map(_runs, processes)):  # the next server must not meet one of them
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop the server in order, which ends all connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(PATIENCE)
            self._process = None

    def close(self) -> None:
        """Stop the server and remove its folder."""
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self, *, template: str = "template0") -> str:
        """Make a database: its name."""
        name = f"test{next(self._numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def empty(self, name: str) -> None:
        """Take everything out of a database, and everybody: much faster than making another one."""
        self.sql(_EMPTY, database=name)

    def drop(self, name: str) -> None:
        """Remove a database, whoever is connected to it."""
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def url(self, name: str) -> str:
        """The URL of a database."""
        return f"postgresql://rapport@/{name}?host={self.folder}"

    def sql(self, statement: str, *, database: str = "postgres") -> str:
        """Run a statement as the superuser: its rows, a line each."""
        command = [*self._client("psql"), "-d", database, "-X", "-A", "-t", "-q", "-c", statement]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
        return done.stdout.strip()

    def _source(self, primary: PostgresProcess) -> Sequence[str]:
        return ("-h", str(primary.folder), "-U", self.superuser)

    def _client(self, program: str) -> list[str]:
        return [str(self._programs / program), "-h", str(self.folder), "-U", self.superuser]

    def _run(self, program: str, *arguments: str) -> None:
        process = self._begin([str(self._programs / program), *arguments])
        if process.wait(PATIENCE):
            raise RuntimeError(f"{program} failed: {(self.folder / 'log').read_text()}")

    def _begin(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "HOME": str(self.folder)},  # that of root is closed to others
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                process_group=0,
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
            )


def _runs(pid: int) -> bool:
    """Whether a process is more than an entry that nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom the server runs as; None for whoever runs the tests."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
