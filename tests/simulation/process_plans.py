"""Random plans of what the processes of a run do."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import attrs

from tests.simulation.attaching import any_attaching
from tests.simulation.client import PlannedSolve, ProcessPlan
from tests.simulation.process import Kill, KillPoint

__all__ = ["ProcessPlans"]


class ProcessPlans:
    """Draws the plans. ``versions`` are the configurations: two if accounts change."""

    def __init__(self) -> None:
        self.versions: Sequence[int] = (0,)
        self.equals = 0.15
        """The share of solves with the same task as another solve."""
        self._pictures = 0

    def any_plan(self, chance: Random, *, is_of_many: bool = False) -> ProcessPlan:
        """Return the plan of a process. ``is_of_many`` if several processes do the same work concurrently."""
        planned_solves = [
            self._planned_solve(chance, is_of_many=is_of_many)
            for _ in range(chance.choice((0, 1, 2, 3, 5, 8)))
        ]
        return ProcessPlan(
            planned_solves=planned_solves,
            resumes_at=[
                chance.uniform(0, chance.choice((60, 60, 240))) for _ in range(chance.choice((0, 1, 1, 2)))
            ],
            attachings=[any_attaching(chance) for _ in range(chance.choice((0, 0, 1, 2)))],
            looks_at=[chance.uniform(60, 200)] if chance.random() < 0.1 else (),
            lingers=chance.choice((0.0, 0.0, 5.0, 100.0)),
            closes_at=chance.uniform(0, 60) if chance.random() < 0.2 else None,
            stalls=(chance.uniform(0, 40), chance.uniform(1, 200)) if chance.random() < 0.05 else None,
            kill=_kill(chance) if chance.random() < 0.5 else None,
            version=chance.choice(self.versions),
            reloads_at=(chance.uniform(0, 60),) if len(self.versions) > 1 and chance.random() < 0.2 else (),
        )

    def _planned_solve(self, chance: Random, *, is_of_many: bool) -> PlannedSolve:
        is_of_late = is_of_many or len(self.versions) > 1
        if self._pictures == 0 or chance.random() >= (0.7 if is_of_many else self.equals):
            self._pictures += 1
            picture = self._pictures
        else:
            picture = chance.randint(max(1, self._pictures - 2) if is_of_late else 1, self._pictures)
        return PlannedSolve(
            at=chance.choice((0.0, chance.uniform(0, 60))),
            picture=picture,
            timeout=chance.choice((4.0, 8.0, 20.0, 60.0, 120.0)),
            share=chance.random() < (0.8 if is_of_late else 0.5),
            cancelled_after=chance.uniform(0, 30) if chance.random() < 0.15 else None,
        )

    def child(self, chance: Random, version: int) -> ProcessPlan:
        """Return the plan of one of several processes. Half of them collect what dead processes left."""
        plan = attrs.evolve(self.any_plan(chance, is_of_many=True), version=version)
        if chance.random() < 0.5:
            return plan
        resumes_at = (*plan.resumes_at, chance.uniform(70, 150))
        return attrs.evolve(plan, resumes_at=resumes_at, closes_at=None, kill=None)

    def sweeping(self, chance: Random, version: int) -> ProcessPlan:
        """Return the plan of a process that only collects what others left."""
        return ProcessPlan(
            planned_solves=(),
            resumes_at=(0.0,),
            attachings=(),
            looks_at=(0.0,) if chance.random() < 0.2 else (),
            lingers=0.0,
            closes_at=None,
            stalls=None,
            kill=None,
            version=version,
        )


def _kill(chance: Random) -> Kill:
    point = chance.choice(list(KillPoint))
    most = 400 if point is KillPoint.AWAIT else 30
    return Kill(point, round(most ** chance.random()))
