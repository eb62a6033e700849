"""The promise of DESIGN.md, section 6, in a share of the simulated runs; and the simulation itself.

A solve with time and a provider left does not fail, and no service is called faster than it allows. Programs
that fork, accounts that change, and services that are busy or interrupted try to break that.

``SIM_RUNS=5000`` does so many runs, ``SIM_FIRST=5000`` begins with that seed, ``SIM_SEED=123`` repeats a
single run, and ``SIM_STORE=postgres`` does them on PostgreSQL. ``make soak`` does many runs and prints their
statistics.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter

import pytest

from tests.journal.stores import needs_postgres
from tests.simulation.postgres_store import Loss
from tests.simulation.run import simulate
from tests.simulation.sabotage import SABOTAGES
from tests.simulation.sabotage_store import STORE_SABOTAGES
from tests.simulation.soak import seeds
from tests.simulation.stores import STORE

pytestmark = pytest.mark.search

# This many runs are enough to detect each sabotage.
_MAX_RUNS = 150
# The run that detected it last is tried first. Any change of the simulation changes the runs.
_CAUGHT_BY = {
    "journal after the send": 0,
    "retry of an ambiguous create": 12,
    "reservation outside the transaction": 7,
    "lost lease": 5,
    "fall back on a poll error": 1,
    "answer of another job": 1,
    "stated cost ignored": 2,
    "open jobs pruned": 1,
    "stale answers": 11,
    "unused cache": 11,
    "attached and not written": 14,
    "last word to the latest": 10,
    "cooling ends the solve": 11,
    "busy is refused": 12,
    "page of a firewall refuses the account": 12,
    "all probe at once": 28,
    "seldom probed": 27,
    "pause of a busy service ignored": 131,
    "only question too early": 1,
    "late answer ignored": 15,
    "pace of our own": 1,
    "first question at once": 2,
    "lease of the parent": 5,
    "jobs of any account": 1,
    "budget by name": 14,
    "slots of each process": 1,
    "rate of each process": 17,
    "spent rate given back": 17,
    "rate free again late": 22,
    "lost commit taken for written": 23,
    "lost commit repeated": 83,
}
_SHARES = 2
# Short runs in which connections to PostgreSQL are lost, and no commit fails.
_ON_BOTH = (51, 52)


@pytest.mark.parametrize("share", range(_SHARES))
def test_no_run_breaks_the_promise(share: int) -> None:
    for seed in itertools.islice(seeds(default=60), share, None, _SHARES):
        outcome = simulate(seed)
        assert not outcome.wrong, f"SIM_SEED={seed}: {outcome.wrong}"


@needs_postgres
def test_a_run_is_the_same_on_each_store() -> None:
    faults = Counter[str]()
    for seed in _ON_BOTH:
        on_sqlite, on_postgres = simulate(seed, "sqlite"), simulate(seed, "postgres")
        assert not on_postgres.wrong, f"SIM_STORE=postgres SIM_SEED={seed}: {on_postgres.wrong}"
        # What a hub sees of PostgreSQL is the same, even if the connection is lost now and then.
        assert on_postgres.trace == on_sqlite.trace
        faults += on_postgres.faults
    assert {loss.value for loss in Loss} <= faults.keys()


@pytest.mark.parametrize("name", SABOTAGES)
def test_an_engine_that_is_broken_on_purpose_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    break_it, violation = SABOTAGES[name]
    break_it(monkeypatch)
    seeds_to_try = (_CAUGHT_BY.get(name, 0), *range(_MAX_RUNS))
    assert any(_is_detected(violation, seed) for seed in seeds_to_try), (
        f"{_MAX_RUNS} runs have not detected it"
    )


@needs_postgres
@pytest.mark.parametrize("name", STORE_SABOTAGES)
def test_a_store_that_is_broken_on_purpose_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    break_it, violation = STORE_SABOTAGES[name]
    break_it(monkeypatch)
    seeds_to_try = (_CAUGHT_BY.get(name, 0), *range(_MAX_RUNS))
    assert any(_is_detected(violation, seed, "postgres") for seed in seeds_to_try), (
        f"{_MAX_RUNS} runs have not detected it"
    )


def _is_detected(violation: str, seed: int, store: str = STORE) -> bool:
    return any(violation in wrong for wrong in simulate(seed, store).wrong)


def test_a_seed_is_the_same_run_each_time() -> None:
    once, again = simulate(7), simulate(7)
    assert once == again
    assert once.steps > 100
    # In another process addresses and the hashes of texts differ.
    program = "from tests.simulation.run import simulate; print(simulate(7).trace)"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == once.trace
