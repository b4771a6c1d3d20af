"""Sums about machines, and the simulation that holds them to account."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.generate import DOCS
from loadtest.scaling import report
from loadtest.scaling.costs import BadCosts, Costs, from_bench
from loadtest.scaling.demand import Habits, demand
from loadtest.scaling.plan import Machines, plan
from loadtest.scaling.simulation import simulate
from signaling.cli import main

HABITS, COSTS, MACHINES = Habits(), Costs(), Machines()
SLIP = 1 + 1e-9  # of floating point
ACCOUNTS = st.floats(1_000, 1e9)


@given(accounts=ACCOUNTS, times=st.integers(2, 100))
def test_more_accounts_ask_for_as_much_more(accounts: float, times: int) -> None:
    one = demand(accounts, HABITS, COSTS, other_node=0.5)
    many = demand(accounts * times, HABITS, COSTS, other_node=0.5)
    for name in ("connections", "packets", "messages", "media_cores", "server_cores", "bytes_per_year"):
        assert getattr(many, name) == pytest.approx(times * getattr(one, name)), name


@given(accounts=ACCOUNTS, cores=st.integers(2, 64))
def test_a_plan_is_enough_without_one_node_and_not_with_one_less(accounts: float, cores: int) -> None:
    machines = replace(MACHINES, cores=cores)
    asked, made = report.planned(accounts, HABITS, COSTS, machines)

    def carries(nodes: int) -> bool:
        return (
            asked.media_cores <= nodes * made.workers * machines.full * SLIP
            and asked.server_cores <= nodes * machines.full * SLIP
            and asked.bits <= nodes * machines.network_bits * machines.full * SLIP
            and asked.connections <= nodes * machines.connections * SLIP
        )

    assert carries(made.nodes - 1)
    assert made.nodes == 2 or not carries(made.nodes - 2)
    assert asked.messages <= made.databases * machines.appends * SLIP
    assert asked.bytes_per_year <= made.databases * machines.database_bytes * SLIP


def test_what_is_scarce_is_named() -> None:
    asked = demand(1e6, HABITS, COSTS, other_node=0.5)
    assert plan(asked, MACHINES).nodes_for == "media"
    assert plan(asked, replace(MACHINES, network_bits=1e9)).nodes_for == "network"
    assert plan(asked, replace(MACHINES, connections=500)).nodes_for == "connections"
    assert plan(asked, replace(MACHINES, cores=400, network_bits=1e15, full=0.001)).nodes_for == "server"
    assert plan(asked, replace(MACHINES, appends=10)).databases_for == "appends"
    assert plan(asked, MACHINES, years=10).databases == 4
    assert plan(asked, replace(MACHINES, database_cores=1, full=1e-4)).databases_for == "cores"


def test_the_same_seed_gives_the_same_hour() -> None:
    asked, made = report.planned(1e6, HABITS, COSTS, MACHINES)
    first, again, other = (simulate(asked, made, HABITS, COSTS, seed=seed, share=1.0) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("accounts", [1e4, 1e6, 1e8])
def test_plans_hold(accounts: float) -> None:
    assert list(report.lines(accounts, HABITS, COSTS, MACHINES, seed=7))[-1] == "holds"


def test_too_few_nodes_or_workers_do_not_hold() -> None:
    asked, made = report.planned(1e6, HABITS, COSTS, MACHINES)
    for less in (replace(made, nodes=6), replace(made, workers=8)):
        assert not report.holds(simulate(asked, less, HABITS, COSTS, seed=1, share=1.0))


def test_a_server_that_is_too_slow_for_those_who_come_back_does_not_hold() -> None:
    slow = replace(COSTS, arrival=5e-3)
    asked, made = report.planned(1e6, HABITS, slow, MACHINES)
    few = replace(made, nodes=3, workers=200)
    assert simulate(asked, few, HABITS, slow, seed=1, share=1.0).back_seconds > report.BACK_WITHIN


def test_costs_are_taken_from_what_a_bench_has_measured(tmp_path: Path) -> None:
    bench = tmp_path / "bench.json"
    measured = {"rtp.forward_1to1": {"value": 20.0, "unit": "us"}, "ws.idle": {"value": 10, "unit": "KiB"}}
    bench.write_text(json.dumps({**measured, "something.else": {"value": 1, "unit": "parsecs"}}))
    costs = from_bench(bench)
    assert costs.packet == pytest.approx(20e-6)
    assert costs == replace(COSTS, packet=costs.packet, connection_bytes=10_240.0)
    for bad in ("[1]", "{", '{"ws.echo": {"value": "fast", "unit": "us"}}', '{"ws.echo": {"value": 1}}'):
        bench.write_text(bad)
        with pytest.raises(BadCosts):
            from_bench(bench)


def test_the_command_tells_the_plan_and_whether_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scaling", "--accounts", "30000"]) == 0
    assert capsys.readouterr().out.startswith("30k accounts, in the busiest hour:\n")
    assert main(["scaling", "--accounts", "30000", "--bench", "/nowhere.json"]) == 2
    for bad in ("0", "many", "nan", "1e99"):
        with pytest.raises(SystemExit):
            main(["scaling", "--accounts", bad])


@pytest.mark.parametrize("accounts", [1e4, 1e6, 1e8])
def test_the_page_has_what_the_command_says(accounts: float) -> None:
    page = (DOCS / "scaling.md").read_text()
    assert "\n".join(report.lines(accounts, HABITS, COSTS, MACHINES, seed=1)) in page
