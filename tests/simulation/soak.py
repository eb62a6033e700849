"""Many runs, and their statistics: ``python -m tests.simulation.soak``, or ``make soak``.

``SIM_STORE=postgres`` does them on PostgreSQL.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import sys

from tests.simulation.run import simulate
from tests.simulation.run_statistics import RunStatistics
from tests.simulation.stores import STORE

__all__ = ["main", "seeds"]

# A run takes some hundredths of a second, or some tenths on PostgreSQL. One that takes this long, in seconds,
# never ends.
_TOO_LONG = 120.0
_SHOWN = 20


def seeds(*, default: int) -> range:
    """Return the seeds: that of ``SIM_SEED``, or ``SIM_RUNS`` seeds from ``SIM_FIRST`` on."""
    single = os.environ.get("SIM_SEED")
    if single is not None:
        return range(int(single), int(single) + 1)
    first = int(os.environ.get("SIM_FIRST", "0"))
    return range(first, first + int(os.environ.get("SIM_RUNS", str(default))))


def main() -> int:
    """Do all runs, and print the statistics and violations."""
    statistics, broken = RunStatistics(), list[int]()
    # What is imported stays, and need not be looked through for garbage in each run.
    gc.freeze()
    for seed in seeds(default=10_000):
        faulthandler.dump_traceback_later(_TOO_LONG, exit=True)
        outcome = simulate(seed)
        statistics.add(outcome)
        if outcome.wrong:
            broken.append(seed)
            print(f"SIM_STORE={STORE} SIM_SEED={seed}", *outcome.wrong, sep="\n  ", flush=True)
        elif seed % 1000 == 999:
            print(f"... seed {seed} done", flush=True)
    faulthandler.cancel_dump_traceback_later()
    print(f"on {STORE}: {statistics}")
    print(f"{len(broken)} runs broke the promise: {broken[:_SHOWN]}" if broken else "every promise was kept")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
