"""Many runs, and what was done in them: ``python -m tests.simulation.soak``, or ``make soak``."""

from __future__ import annotations

import faulthandler
import os
import sys

from tests.simulation.run import simulate
from tests.simulation.run_statistics import RunStatistics

__all__ = ["main", "seeds"]

# A run takes some hundredths of a second. One that takes so many seconds will never end.
_TOO_LONG = 120.0
_SHOWN = 20


def seeds(*, default: int) -> range:
    """The runs that are wanted: ``SIM_SEED`` names a single one, ``SIM_RUNS`` how many from ``SIM_FIRST``."""
    single = os.environ.get("SIM_SEED")
    if single is not None:
        return range(int(single), int(single) + 1)
    first = int(os.environ.get("SIM_FIRST", "0"))
    return range(first, first + int(os.environ.get("SIM_RUNS", str(default))))


def main() -> int:
    """Run them all, and say what came of it."""
    statistics, broken = RunStatistics(), list[int]()
    for seed in seeds(default=10_000):
        faulthandler.dump_traceback_later(_TOO_LONG, exit=True)
        outcome = simulate(seed)
        statistics.add(outcome)
        if outcome.wrong:
            broken.append(seed)
            print(f"SIM_SEED={seed}", *outcome.wrong, sep="\n  ", flush=True)
        elif seed % 1000 == 999:
            print(f"... seed {seed} done", flush=True)
    faulthandler.cancel_dump_traceback_later()
    print(statistics)
    print(f"{len(broken)} runs broke the promise: {broken[:_SHOWN]}" if broken else "every promise was kept")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
