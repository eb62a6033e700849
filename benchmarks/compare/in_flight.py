"""Many jobs at the same time: whether all are done, what they cost, and how late the answers come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import attrs

from benchmarks.compare.client import Part
from benchmarks.compare.figures import Figure, table
from benchmarks.compare.processes import Run, Service, Site, run
from benchmarks.compare.solves import SMALL
from benchmarks.compare.table import TOGETHER


@attrs.frozen
class Load:
    """So many jobs at the same time, at a service that replies after ``delay`` seconds."""

    jobs: int
    delay: float = 0.0

    def __str__(self) -> str:
        return f"{self.jobs:,} jobs" + (f", {self.delay * 1000:.0f} ms round trip" if self.delay else "")


_JOB_SECONDS = (8.0, 10.0)

LOADS = (Load(1000), Load(1000, 0.1), Load(5000))

Measures = Mapping[str, Figure]
"""What was measured, by the names in ``COLUMNS``."""

Loaded = Mapping[tuple[str, Load], Measures]
"""The measures of each client under each load."""

COLUMNS = (
    "at one time",
    "wall, s",
    "CPU, s",
    "CPU a job, ms",
    "polls a job",
    "memory, MB",
    "threads",
    "connections",
    "all created, s",
    "lag, s",
    "lag of 95 %, s",
)


def measure(where: Site, rounds: int) -> Loaded:
    """Measure all clients in turn, several times."""
    found = defaultdict[tuple[str, Load], list[Mapping[str, float]]](list)
    for _ in range(rounds):
        for load in LOADS:
            for client in TOGETHER:
                service = Service(job_seconds=_JOB_SECONDS, delay=load.delay)
                ended = run(where, client, service, (Part(SMALL, 0, load.jobs),))
                found[client.name, load].append(_measures(ended, load))
    return {
        key: {name: Figure(tuple(one[name] for one in values)) for name in values[0]}
        for key, values in found.items()
    }


def _measures(ended: Run, load: Load) -> dict[str, float]:
    (cost,), counts = ended.costs, ended.counts
    lags = sorted(at - counts.answers[answer] for answer, at in cost.came.items())
    if lags[0] < 0:
        raise AssertionError(f"an answer came {-lags[0]:.2f} s before it was ready")
    return {
        "at one time": float(counts.most_open),
        "wall, s": cost.wall,
        "CPU, s": cost.cpu,
        "CPU a job, ms": cost.cpu * 1000 / load.jobs,
        "polls a job": counts.polls / load.jobs,
        "memory, MB": cost.memory,
        # The main thread is not one that the client has made.
        **({} if ended.threads is None else {"threads": ended.threads - 1.0}),
        "connections": float(counts.most_connections),
        "all created, s": counts.last_created - cost.began,
        "lag, s": sum(lags) / len(lags),
        "lag of 95 %, s": lags[int(len(lags) * 0.95)],
    }


def load_table(loaded: Loaded, load: Load) -> str:
    """Return the measures under a load in Markdown."""
    rows = [
        [client.name, *(loaded[client.name, load].get(column, "-") for column in COLUMNS)]
        for client in TOGETHER
    ]
    return table(["client", *COLUMNS], rows)
