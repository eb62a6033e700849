"""One run: a world and its clients drawn from a seed, lived through, and looked at."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from random import Random

import attrs

from captchahub._log import log as engine_log
from tests.simulation.attaching import any_attaching
from tests.simulation.book import Book
from tests.simulation.check import compare
from tests.simulation.client import Client, Errand, Life
from tests.simulation.configuration import any_configuration
from tests.simulation.ground import Log
from tests.simulation.loop import NOBODY, OWNER, SimulationLoop
from tests.simulation.process import Kill, Moment, Process
from tests.simulation.service import Service
from tests.simulation.world import Town

__all__ = ["Figures", "Outcome", "simulate"]

# The last reservations and leases are over by then, in seconds.
_LEASE = 61.0
# A run takes some hundred seconds, or a few thousand where jobs are waited for in vain.
_FOR_EVER = 50_000.0


@attrs.frozen
class Outcome:
    """What a run came to: ``wrong`` is what must not have happened; equal runs have an equal ``trace``."""

    seed: int
    wrong: Sequence[str]
    trace: int
    solves: int
    results: int
    jobs: int
    steps: int
    kills: int
    faults: Counter[str]
    deeds: Counter[str]


@attrs.define
class Figures:
    """The sum of many runs."""

    runs: int = 0
    solves: int = 0
    results: int = 0
    jobs: int = 0
    steps: int = 0
    kills: int = 0
    faults: Counter[str] = attrs.field(factory=Counter[str])
    deeds: Counter[str] = attrs.field(factory=Counter[str])
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
        self.deeds += outcome.deeds

    def __str__(self) -> str:
        seconds = time.perf_counter() - self.began
        lines = [
            f"{self.runs} runs in {seconds:.1f} s ({60 * self.runs / seconds:.0f} a minute)",
            f"{self.steps} steps",
            f"{self.solves} solves, {self.results} results, {self.jobs} jobs at the services",
            f"{self.kills} kills, {self.faults.total()} faults injected:",
            *_listed(self.faults),
            "done beside that:",
            *_listed(self.deeds),
        ]
        return "\n".join(lines)


def _listed(counts: Counter[str]) -> list[str]:
    return [f"  {count:8} {name}" for name, count in sorted(counts.items())]


def simulate(seed: int) -> Outcome:
    """Live through the run of a seed."""
    with asyncio.Runner(loop_factory=SimulationLoop) as runner:
        return runner.run(_Run(seed).live())


class _Run:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._chance = Random(seed)
        self._pictures = 0
        self._equals = 0.15
        """The share of solves that want to know the same as another."""
        self._processes: list[Process] = []

    async def live(self) -> Outcome:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        chance, town = self._chance, Town(self._seed, loop)
        configured = any_configuration(chance)
        if configured.settings.cache:
            self._equals = 0.5
        book = Book(
            town,
            configured,
            failing=chance.choice((0.0,) * 9 + (0.02,)),
            slow=chance.choice((0.0, 0.02)),
        )
        services = [Service(name, make, town, book) for name, make in configured.makes.items()]
        log = Log()
        client = Client(town, loop, book, services, configured.settings, log)
        loop.set_exception_handler(
            lambda _, told: town.blame(f"{told.get('message')}: {told.get('exception')!r}")
        )
        with _complaints(town):
            is_swept = chance.random() < 0.7
            try:
                async with asyncio.timeout(_FOR_EVER):
                    await self._history(client, is_swept=is_swept)
            except TimeoutError:
                town.blame(f"this does not come to an end: {[one.unfinished for one in self._processes]}")
            compare(client, is_swept=is_swept)
            await _bury(self._processes, town)
        book.close()
        return Outcome(
            seed=self._seed,
            wrong=town.wrong,
            trace=town.trace,
            solves=log.solves,
            results=len(log.results),
            jobs=sum(len(service.jobs) for service in services),
            steps=loop.steps,
            kills=len(log.killed),
            faults=town.faults,
            deeds=town.deeds,
        )

    async def _history(self, client: Client, *, is_swept: bool) -> None:
        chance = self._chance
        jumping = asyncio.ensure_future(_jump(client.town)) if chance.random() < 0.2 else None
        programs = range(chance.choice((1, 2, 2, 3)))
        await asyncio.gather(*(self._lives(client, f"{number}") for number in programs))
        if jumping is not None:
            jumping.cancel()
        if is_swept:
            await self._sweep(client)

    async def _lives(self, client: Client, name: str) -> None:
        """A program that is started again after each end."""
        chance = client.town.chance(f"lives of {name}")
        for number in range(chance.choice((1, 2, 3))):
            await asyncio.sleep(chance.uniform(0, 20) if number == 0 else chance.uniform(0, 90))
            await self._one_life(client, f"{name}.{number}", self._life(chance))

    async def _sweep(self, client: Client) -> None:
        """Once nothing goes wrong any more, have one more hub collect what all others left."""
        town = client.town
        town.is_calm = True
        # Late calls arrive, and what was alive by any clock is over.
        await asyncio.sleep(_LEASE)
        ((until,),) = client.book.read("SELECT max(alive_until) FROM owners")
        if until is not None and until >= town.wall():
            town.jump(until - town.wall() + 1)
        life = Life(
            errands=(),
            resumes_at=(0.0,),
            attachings=(),
            looks_at=(0.0,) if self._chance.random() < 0.2 else (),
            lingers=0.0,
            closes_at=None,
            stalls=None,
            kill=None,
        )
        await self._one_life(client, "sweeper", life)

    async def _one_life(self, client: Client, name: str, life: Life) -> None:
        process = Process(name, client.loop, life.kill)
        self._processes.append(process)
        context = copy_context()
        context.run(OWNER.set, process)
        living = client.loop.create_task(client.live(name, life, process), context=context)
        living.add_done_callback(lambda _: process.over.set(), context=NOBODY)
        await process.over.wait()
        if process.is_dead:
            client.log.killed.add(name)
            client.town.note(f"{name} was killed")
        else:
            # Its very last step.
            await living

    def _life(self, chance: Random) -> Life:
        errands = [self._errand(chance) for _ in range(chance.choice((0, 1, 2, 3, 5, 8)))]
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
        )

    def _errand(self, chance: Random) -> Errand:
        if self._pictures == 0 or chance.random() >= self._equals:
            self._pictures += 1
            picture = self._pictures
        else:
            picture = chance.randint(1, self._pictures)
        return Errand(
            at=chance.choice((0.0, chance.uniform(0, 60))),
            picture=picture,
            timeout=chance.choice((5.0, 20.0, 60.0, 120.0)),
            share=chance.random() < 0.5,
            cancelled_after=chance.uniform(0, 30) if chance.random() < 0.15 else None,
        )


def _kill(chance: Random) -> Kill:
    moment = chance.choice(list(Moment))
    most = 400 if moment is Moment.AWAIT else 30
    return Kill(moment, round(most ** chance.random()))


async def _jump(town: Town) -> None:
    chance = town.chance("clock")
    while True:
        await asyncio.sleep(chance.uniform(1, 100))
        town.jump(chance.choice((-1, 1)) * chance.choice((1, 50, 400, 4000, 40_000)))


async def _bury(processes: Sequence[Process], town: Town) -> None:
    """End what is left of the dead, so that nobody finds it."""
    for process in processes:
        for _ in range(100):
            left = process.unfinished
            if not left:
                break
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=1)
        else:
            town.blame(f"{process.name} can't be ended: {process.unfinished}")


class _Complaints(logging.Handler):
    """Takes what the engine itself finds unthinkable for a fault."""

    def __init__(self, town: Town) -> None:
        super().__init__(logging.ERROR)
        self._town = town

    def emit(self, record: logging.LogRecord) -> None:
        owner = OWNER.get()
        if record.exc_info and not (isinstance(owner, Process) and owner.is_dead):
            self._town.blame(f"{record.getMessage()}: {record.exc_info[1]!r}")


@contextmanager
def _complaints(town: Town) -> Generator[None]:
    handler, level, propagates = _Complaints(town), engine_log.level, engine_log.propagate
    engine_log.addHandler(handler)
    engine_log.setLevel(logging.ERROR)
    engine_log.propagate = False
    try:
        yield
    finally:
        engine_log.removeHandler(handler)
        engine_log.setLevel(level)
        engine_log.propagate = propagates
