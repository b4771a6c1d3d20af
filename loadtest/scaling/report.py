"""A plan and what became of it in the simulation, for people."""

from __future__ import annotations

from collections.abc import Iterator

from loadtest.scaling.costs import Costs
from loadtest.scaling.demand import Demand, Habits, demand
from loadtest.scaling.plan import Machines, Plan, plan
from loadtest.scaling.simulation import SPREAD, Outcome, simulate

TOO_BUSY = 0.9
"""A core that is busier than this makes people wait."""
BACK_WITHIN = SPREAD + 2.0
SIMULATED_NODES = 40


def lines(accounts: float, habits: Habits, costs: Costs, machines: Machines, seed: int) -> Iterator[str]:
    """The report, line by line; the last one begins with `holds` or `does not hold`."""
    asked, made = planned(accounts, habits, costs, machines)
    outcome = simulate(asked, made, habits, costs, seed=seed, share=min(1.0, SIMULATED_NODES / made.nodes))
    yield from _demanded(asked)
    yield from _needed(made)
    yield f"a server process at most {outcome.server_worst:.0%} busy, on average {outcome.server_mean:.0%}"
    yield f"a media worker at most {outcome.worker_worst:.0%} busy, on average {outcome.worker_mean:.0%}"
    back = f"connections are back in {outcome.back_seconds:.0f} s"
    yield f"when a node dies, {outcome.sessions_moved} sessions move, and {back}"
    yield "holds" if holds(outcome) else "does not hold: somebody would wait"


def planned(accounts: float, habits: Habits, costs: Costs, machines: Machines) -> tuple[Demand, Plan]:
    """What so many accounts ask for, and the plan for it."""
    # With n nodes a receiver is at another one n - 1 times in n; how many there are is not known before.
    made = plan(demand(accounts, habits, costs, other_node=0.5), machines)
    asked = demand(accounts, habits, costs, other_node=1 - 1 / made.nodes)
    return asked, plan(asked, machines)


def holds(outcome: Outcome) -> bool:
    """Whether nobody had to wait for a core."""
    return max(outcome.server_worst, outcome.worker_worst) < TOO_BUSY and outcome.back_seconds <= BACK_WITHIN


def _demanded(asked: Demand) -> Iterator[str]:
    yield f"{_short(asked.accounts)} accounts, in the busiest hour:"
    yield f"  {_short(asked.connections)} connections, {_short(asked.arrivals)} made a second"
    pictures = f"{_short(asked.video_sessions)} of them with pictures"
    yield f"  {_short(asked.sessions)} sessions at a time, {pictures}"
    yield f"  {_short(asked.packets)} packets and {asked.bits / 1e9:.1f} Gbit forwarded a second"
    yield f"  {_short(asked.messages)} events stored a second, {asked.bytes_per_year / 1e12:.2f} TB a year"


def _needed(made: Plan) -> Iterator[str]:
    yield f"{made.nodes} nodes with {made.workers} media workers each, one of them spare ({made.nodes_for})"
    yield f"{made.redis} Redis, {made.databases} PostgreSQL with a standby each ({made.databases_for})"


def _short(number: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"
