"""The busiest hour on the machines of a plan, happening by chance, with the death of a node in its middle.

The plan divides averages. Here sessions begin one by one, are as long as they happen to be, and are placed as
the server places them (on the node with the fewest participants); in the middle a node dies, its sessions go
to others, and its connections come back within the delay that clients choose at random. What is told is how
busy the busiest core ever was, and how long the connections took.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import dataclass
from typing import Final

from loadtest.scaling.costs import Costs
from loadtest.scaling.demand import HOUR, Demand, Habits
from loadtest.scaling.plan import Plan

STEP: Final = 1.0  # s
WARM_UP: Final = 2 * HOUR
"""Until as many sessions are held as there will be."""
SPREAD: Final = 10.0
"""Seconds over which clients of a dead node come back (full jitter)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an hour was like; loads are shares of one core."""

    server_mean: float
    server_worst: float
    """The busiest server process in its busiest second before the death."""
    worker_mean: float
    worker_worst: float
    """The busiest media worker at any time, the death included."""
    back_seconds: float
    """From the death until the last of its connections was back, the work that waited included."""
    sessions_moved: int


def simulate(asked: Demand, plan: Plan, habits: Habits, costs: Costs, *, seed: int, share: float) -> Outcome:
    """The hour. ``share``: of the nodes and of the demand that is simulated, which need not be all of it."""
    chance = random.Random(seed)  # noqa: S311 - it has to be repeatable, and guards nothing
    nodes = max(2, round(plan.nodes * share))
    scale = nodes / plan.nodes
    media = _Media(chance, nodes, habits, asked.sessions * scale)
    media.run(WARM_UP)
    loads = [media.worst_worker(costs, plan.workers)]
    for _ in range(60):
        media.run(HOUR / 120)
        loads.append(media.worst_worker(costs, plan.workers))
    moved = media.kill()
    loads.append(media.worst_worker(costs, plan.workers))
    mean = sum(media.packets(node) for node in media.alive) * costs.packet
    server = asked.server_cores * scale / nodes
    worst = _worst_second(chance, asked, nodes / scale, costs)
    return Outcome(
        server_mean=server,
        server_worst=worst,
        worker_mean=mean / len(media.alive) / plan.workers,
        worker_worst=max(loads),
        back_seconds=_back(chance, asked.connections / plan.nodes, nodes - 1, server, costs),
        sessions_moved=moved,
    )


class _Media:
    """Sessions on nodes."""

    def __init__(self, chance: random.Random, nodes: int, habits: Habits, sessions: float) -> None:
        self._chance = chance
        self._habits = habits
        self._begun = sessions / (60 * habits.session_minutes)  # a second
        self._now = 0.0
        self._ends: list[tuple[float, int, int]] = []  # when, which session, its packets
        self._where: dict[int, int] = {}
        self._packets: Counter[int] = Counter()
        self._held: Counter[int] = Counter()
        self._last = 0
        self.alive = list(range(nodes))

    def run(self, seconds: float) -> None:
        """Let sessions begin and end."""
        until = self._now + seconds
        while (begins := self._now + self._chance.expovariate(self._begun)) <= until:
            self._now = begins
            self._end()
            self._begin()
        self._now = until
        self._end()

    def kill(self) -> int:
        """The first node dies; how many sessions went to others."""
        gone = self.alive.pop(0)
        stranded = [one for one in self._ends if self._where[one[1]] == gone]
        for _, session, packets in stranded:
            self._place(session, packets)
        return len(stranded)

    def packets(self, node: int) -> int:
        """Forwarded a second."""
        return self._packets[node]

    def worst_worker(self, costs: Costs, workers: int) -> float:
        """How busy the busiest worker is: sessions are as even on a node's workers as they can be."""
        busiest = max(self.alive, key=self.packets)
        even = self._packets[busiest] / workers
        return (even + self._habits.video_packets) * costs.packet

    def _begin(self) -> None:
        kind = self._chance.random()
        habits = self._habits
        if kind >= habits.video + habits.audio:
            return
        packets = habits.video_packets if kind < habits.video else habits.audio_packets
        self._last += 1
        # As long as agreed, or a little shorter or longer.
        seconds = 60 * habits.session_minutes * self._chance.triangular(0.5, 1.4, 1.1)
        heapq.heappush(self._ends, (self._now + seconds, self._last, int(packets)))
        self._place(self._last, int(packets))

    def _place(self, session: int, packets: int) -> None:
        node = min(self.alive, key=self._held.__getitem__)
        self._where[session] = node
        self._held[node] += 1
        self._packets[node] += packets

    def _end(self) -> None:
        while self._ends and self._ends[0][0] <= self._now:
            _, session, packets = heapq.heappop(self._ends)
            node = self._where.pop(session)
            self._held[node] -= 1
            self._packets[node] -= packets


def _worst_second(chance: random.Random, asked: Demand, nodes: float, costs: Costs) -> float:
    """The busiest second of an hour of a server process: messages and arrivals come when they like."""
    rest = asked.server_cores - asked.messages * costs.message - asked.arrivals * costs.arrival
    worst = 0.0
    for _ in range(int(HOUR / STEP)):
        messages = _poisson(chance, asked.messages / nodes * STEP)
        arrivals = _poisson(chance, asked.arrivals / nodes * STEP)
        worst = max(worst, rest / nodes + messages * costs.message + arrivals * costs.arrival)
    return worst


def _back(chance: random.Random, gone: float, nodes: int, busy: float, costs: Costs) -> float:
    """When the last of so many connections has been served by nodes that are busy already."""
    arriving = Counter(int(chance.random() * SPREAD / STEP) for _ in range(round(gone)))
    second, waiting = 0, 0.0
    while second < SPREAD / STEP or waiting > 0:
        waiting += arriving[second] * costs.arrival / nodes
        waiting = max(0.0, waiting - max(STEP * (1 - busy), 0.01))
        second += 1
    return second * STEP


def _poisson(chance: random.Random, mean: float) -> int:
    """A number of things that happen independently of each other; from 50 on they are as good as normal."""
    if mean > 50:
        return max(0, round(chance.gauss(mean, mean**0.5)))
    count, product, limit = 0, chance.random(), 2.718281828459045**-mean
    while product > limit:
        product *= chance.random()
        count += 1
    return count
