"""The worker as a process: how it starts, ends, and is asked."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator

import msgspec
import pytest

from rtc import control
from rtc.client import MediaWorker, Refused
from rtc.control import EventMessage, Ready, WorkerOptions
from rtc.errors import RequestTimeout, WorkerGone
from rtc.worker import announced, open_socket
from tests.rtc.synthetic import SyntheticPeer


class Watched:
    """A worker, what it told, and whether it died."""

    def __init__(self, options: WorkerOptions | None = None, *, timeout: float = 5.0) -> None:
        self.events: list[EventMessage] = []
        self.deaths = 0
        self.died = asyncio.Event()
        self.worker = MediaWorker(
            options or WorkerOptions(),
            on_event=self.events.append,
            on_exit=self._on_exit,
            request_timeout_seconds=timeout,
        )

    def _on_exit(self) -> None:
        self.deaths += 1
        self.died.set()


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched()
    await watched.worker.start()
    yield watched
    await watched.worker.stop()


async def test_it_listens_when_it_says_so(watched: Watched) -> None:
    (ready,) = watched.events
    assert isinstance(ready, Ready)
    assert ready.port == watched.worker.port
    assert len(ready.fingerprint) == 95
    with pytest.raises(OSError, match="in use"):
        open_socket(WorkerOptions(port=ready.port))
    await watched.worker.ping()


async def test_answers_name_the_port_and_the_certificate() -> None:
    watched = Watched(WorkerOptions(announce=("192.0.2.1", "2001:db8::1")))
    await watched.worker.start()
    answer = await watched.worker.offer("s", 1, "alice", SyntheticPeer("alice").offer())
    (ready,) = watched.events
    assert isinstance(ready, Ready)
    assert f"a=fingerprint:sha-256 {ready.fingerprint}\r\n" in answer
    assert f" 192.0.2.1 {ready.port} typ host\r\n" in answer
    assert f" 2001:db8::1 {ready.port} typ host\r\n" in answer
    await watched.worker.stop()


async def test_every_request_is_answered(watched: Watched) -> None:
    worker = watched.worker
    peer = SyntheticPeer("alice")
    await worker.set_modality("s", 1, "audio")
    peer.accept(await worker.offer("s", 1, "alice", peer.offer()))
    assert (await worker.stats()).peers == 1
    await worker.remove("s", 1, "alice")
    assert (await worker.stats()).peers == 0
    await worker.close_session("s", 1)
    stats = await worker.stats()
    assert stats.sessions == 0
    assert stats.cpu_seconds > 0
    with pytest.raises(Refused, match="no_such_session") as refused:
        await worker.close_session("s", 1)
    assert refused.value.name == "no_such_session"


async def test_many_requests_at_once_find_their_replies(watched: Watched) -> None:
    answers = await asyncio.gather(
        *(watched.worker.offer(f"s{n}", 1, "alice", SyntheticPeer("alice").offer()) for n in range(50))
    )
    assert len(set(answers)) == 50


async def test_its_death_is_told_and_fails_what_was_asked(watched: Watched) -> None:
    os.kill(watched.worker.pid, signal.SIGSTOP)
    asking = [asyncio.create_task(watched.worker.ping()) for _ in range(3)]
    await asyncio.sleep(0)
    os.kill(watched.worker.pid, signal.SIGKILL)
    for result in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(result, WorkerGone)
    await asyncio.wait_for(watched.died.wait(), 10)
    assert watched.deaths == 1
    with pytest.raises(WorkerGone):
        await watched.worker.ping()


async def test_no_answer_in_time_is_an_error_and_later_ones_are_ignored() -> None:
    watched = Watched(timeout=0.2)
    await watched.worker.start()
    os.kill(watched.worker.pid, signal.SIGSTOP)
    with pytest.raises(RequestTimeout):
        await watched.worker.ping()
    os.kill(watched.worker.pid, signal.SIGCONT)
    while True:
        try:
            await watched.worker.ping()
        except RequestTimeout:
            continue  # a busy machine may take more than 0.2 s
        break
    await watched.worker.stop()


async def test_stopping_is_no_death(watched: Watched) -> None:
    await watched.worker.stop()
    await watched.worker.stop()
    assert watched.deaths == 0
    with pytest.raises(ProcessLookupError):
        os.kill(watched.worker.pid, 0)


async def test_a_stopped_process_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtc.client.STOP_SECONDS", 0.1)
    watched = Watched()
    await watched.worker.start()
    os.kill(watched.worker.pid, signal.SIGSTOP)
    await watched.worker.stop()
    assert watched.deaths == 0


async def test_sigterm_ends_it_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    watched = Watched()
    await watched.worker.start()
    os.kill(watched.worker.pid, signal.SIGTERM)
    await asyncio.wait_for(watched.died.wait(), 10)
    await watched.worker.stop()
    assert capfd.readouterr() == ("", "")


async def test_a_port_in_use_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        watched = Watched(WorkerOptions(port=taken.getsockname()[1]))
        with pytest.raises(WorkerGone, match="did not come up"):
            await watched.worker.start()
        assert watched.deaths == 0
        assert watched.events == []


async def run_worker(channel: socket.socket) -> asyncio.subprocess.Process:
    with channel:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "rtc.worker", "--control-fd", str(channel.fileno())),
            *("--options", msgspec.json.encode(WorkerOptions()).decode()),
            pass_fds=(channel.fileno(),),
            stderr=asyncio.subprocess.PIPE,
        )


async def test_it_does_not_outlive_its_channel() -> None:
    ours, theirs = socket.socketpair()
    process = await run_worker(theirs)
    assert await asyncio.to_thread(ours.recv, 100)
    ours.close()
    assert await asyncio.wait_for(process.wait(), 10) == 0


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xff", b"\0\0\0\1\xc1", control.encode(control.Done(1))])
async def test_nonsense_on_the_channel_ends_it(nonsense: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        process = await run_worker(theirs)
        ours.sendall(nonsense)
        _, complaint = await asyncio.wait_for(process.communicate(), 10)
    assert b"control_malformed" in complaint


async def test_nonsense_from_a_worker_ends_it_too(watched: Watched) -> None:
    watched.worker.data_received(b"\xff\xff\xff\xff")
    await asyncio.wait_for(watched.died.wait(), 10)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_wildcard_announces_addresses_of_this_machine(host: str) -> None:
    addresses = announced(WorkerOptions(host=host))
    assert addresses
    for address in addresses:
        with open_socket(WorkerOptions(host=address)):
            pass  # it can be bound to, so it is ours
    assert announced(WorkerOptions(host=host, announce=("192.0.2.9",))) == ("192.0.2.9",)
    assert announced(WorkerOptions(host="127.0.0.7")) == ("127.0.0.7",)


def test_one_socket_serves_both_families() -> None:
    with open_socket(WorkerOptions(host="::")) as sock:
        port = sock.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"over IPv4", ("127.0.0.1", port))
            sock.setblocking(True)
            sock.settimeout(10)
            data, source = sock.recvfrom(100)
    assert data == b"over IPv4"
    assert source[0] == "::ffff:127.0.0.1"
