"""What the programs of a run do, drawn by chance."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import attrs

from tests.simulation.attaching import any_attaching
from tests.simulation.client import Errand, Life
from tests.simulation.process import Kill, Moment

__all__ = ["Lives"]


class Lives:
    """Draws them. ``versions`` are the configurations that there are, two where accounts change."""

    def __init__(self) -> None:
        self.versions: Sequence[int] = (0,)
        self.equals = 0.15
        """The share of solves that want to know the same as another."""
        self._pictures = 0

    def any_life(self, chance: Random, *, is_of_many: bool = False) -> Life:
        """One process; ``is_of_many`` where it is one of several that do the same work at the same time."""
        errands = [
            self._errand(chance, is_of_many=is_of_many) for _ in range(chance.choice((0, 1, 2, 3, 5, 8)))
        ]
        return Life(
            errands=errands,
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

    def _errand(self, chance: Random, *, is_of_many: bool) -> Errand:
        is_of_late = is_of_many or len(self.versions) > 1
        if self._pictures == 0 or chance.random() >= (0.7 if is_of_many else self.equals):
            self._pictures += 1
            picture = self._pictures
        else:
            picture = chance.randint(max(1, self._pictures - 2) if is_of_late else 1, self._pictures)
        return Errand(
            at=chance.choice((0.0, chance.uniform(0, 60))),
            picture=picture,
            timeout=chance.choice((4.0, 8.0, 20.0, 60.0, 120.0)),
            share=chance.random() < (0.8 if is_of_late else 0.5),
            cancelled_after=chance.uniform(0, 30) if chance.random() < 0.15 else None,
        )

    def child(self, chance: Random, version: int) -> Life:
        """One of several that do the same work; half of them are there to see to what a dead one left."""
        life = attrs.evolve(self.any_life(chance, is_of_many=True), version=version)
        if chance.random() < 0.5:
            return life
        resumes_at = (*life.resumes_at, chance.uniform(70, 150))
        return attrs.evolve(life, resumes_at=resumes_at, closes_at=None, kill=None)

    def sweeping(self, chance: Random, version: int) -> Life:
        """One that collects what others left, and does nothing else."""
        return Life(
            errands=(),
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
    moment = chance.choice(list(Moment))
    most = 400 if moment is Moment.AWAIT else 30
    return Kill(moment, round(most ** chance.random()))
