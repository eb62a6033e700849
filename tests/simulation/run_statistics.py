"""The results of runs, and the number of faults and actions in them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import attrs

__all__ = ["Outcome", "RunStatistics"]


@attrs.frozen
class Outcome:
    """The result of a run. ``wrong`` lists violations; equal runs have an equal ``trace``."""

    seed: int
    wrong: Sequence[str]
    trace: int
    solves: int
    results: int
    jobs: int
    steps: int
    kills: int
    faults: Counter[str]
    actions: Counter[str]


@attrs.define
class RunStatistics:
    """The sum of many runs."""

    runs: int = 0
    solves: int = 0
    results: int = 0
    jobs: int = 0
    steps: int = 0
    kills: int = 0
    faults: Counter[str] = attrs.field(factory=Counter[str])
    actions: Counter[str] = attrs.field(factory=Counter[str])
    began: float = attrs.field(factory=time.perf_counter)

    def add(self, outcome: Outcome) -> None:
        """Count a run."""
        self.runs += 1
        self.solves += outcome.solves
        self.results += outcome.results
        self.jobs += outcome.jobs
        self.steps += outcome.steps
        self.kills += outcome.kills
        self.faults += outcome.faults
        self.actions += outcome.actions

    def __str__(self) -> str:
        seconds = time.perf_counter() - self.began
        lines = [
            f"{self.runs} runs in {seconds:.1f} s ({60 * self.runs / seconds:.0f} a minute)",
            f"{self.steps} steps",
            f"{self.solves} solves, {self.results} results, {self.jobs} jobs at the services",
            f"{self.kills} kills, {self.faults.total()} faults injected:",
            *_listed(self.faults),
            "other actions:",
            *_listed(self.actions),
        ]
        return "\n".join(lines)


def _listed(counts: Counter[str]) -> list[str]:
    return [f"  {count:8} {name}" for name, count in sorted(counts.items())]
