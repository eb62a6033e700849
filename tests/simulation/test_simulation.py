"""The promise of DESIGN.md, section 6, under attack: a share of the runs, and that the simulation can bite.

``SIM_RUNS=5000`` tries so many, ``SIM_FIRST=5000`` begins with that seed, and ``SIM_SEED=123`` is that run
again and no other. ``make soak`` does it for long, and prints what was done.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest

from tests.simulation.run import simulate
from tests.simulation.sabotage import SABOTAGES
from tests.simulation.soak import seeds

# So many runs are enough to catch each sabotage.
_BOUND = 100
_SHARES = 2


@pytest.mark.parametrize("share", range(_SHARES))
def test_no_run_breaks_the_promise(share: int) -> None:
    for seed in itertools.islice(seeds(default=60), share, None, _SHARES):
        outcome = simulate(seed)
        assert not outcome.wrong, f"SIM_SEED={seed}: {outcome.wrong}"


@pytest.mark.parametrize("name", SABOTAGES)
def test_an_engine_that_is_broken_on_purpose_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    break_it, telling = SABOTAGES[name]
    break_it(monkeypatch)
    assert _first_blamed(telling) is not None, f"{_BOUND} runs have not found it"


def _first_blamed(telling: str) -> int | None:
    for seed in range(_BOUND):
        if any(telling in wrong for wrong in simulate(seed).wrong):
            return seed
    return None


def test_a_seed_is_the_same_run_each_time() -> None:
    once, again = simulate(7), simulate(7)
    assert once == again
    assert once.steps > 100
    # In another process addresses and the hashes of texts are others.
    program = "from tests.simulation.run import simulate; print(simulate(7).trace)"
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) == once.trace
