"""One run: a random world and its clients, drawn from a seed, and the checks at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Generator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

from captchahub._engine.engine import Engine
from captchahub._support.log import log as engine_log
from tests.simulation.check import compare
from tests.simulation.client import Client, ProcessPlan
from tests.simulation.configuration import Configuration, any_configuration
from tests.simulation.environment import Log
from tests.simulation.forking import Inherited
from tests.simulation.journal import SimulatedJournal
from tests.simulation.loop import NO_OWNER, OWNER, SimulationLoop
from tests.simulation.process import Process
from tests.simulation.process_plans import ProcessPlans
from tests.simulation.rates import RateMonitor, recording_turns
from tests.simulation.run_statistics import Outcome
from tests.simulation.service import Service
from tests.simulation.stores import STORE, new_store
from tests.simulation.world import SimulatedWorld

__all__ = ["simulate"]

# After this time, in seconds, the last leases are over.
_LEASE = 61.0
# A run takes some hundred seconds, or a few thousand if jobs time out.
_NEVER_ENDS = 50_000.0


def simulate(seed: int, store: str = STORE) -> Outcome:
    """Do the run of a seed on a kind of store, and return its outcome."""
    with recording_turns(), asyncio.Runner(loop_factory=SimulationLoop) as runner:
        return runner.run(_Run(seed, store).live())


class _Run:
    def __init__(self, seed: int, store: str) -> None:
        self._seed = seed
        self._store = store
        self._chance = Random(seed)
        self._draw = ProcessPlans()

    async def live(self) -> Outcome:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        chance, world = self._chance, SimulatedWorld(self._seed, loop)
        is_changing = chance.random() < 0.2
        configured = any_configuration(chance, changes=is_changing)
        if is_changing:
            self._draw.versions, self._draw.equals = (0, 1), 0.6
        if configured.settings.cache:
            self._draw.equals = 0.5
        journal = SimulatedJournal(
            world,
            new_store(self._store, world),
            configured,
            failing=chance.choice((0.0,) * 9 + (0.02,)),
            slow=chance.choice((0.0, 0.02)),
        )
        log = Log()
        rates = RateMonitor(world, configured.settings.providers, late=journal.slowest)
        client = Client(world, loop, journal, _services(configured, world, journal), configured, log, rates)
        loop.set_exception_handler(
            lambda _, error: world.report_violation(f"{error.get('message')}: {error.get('exception')!r}")
        )
        with _errors_reported(world):
            is_swept = chance.random() < 0.7
            try:
                async with asyncio.timeout(_NEVER_ENDS):
                    await self._history(client, is_swept=is_swept)
            except TimeoutError:
                world.report_violation(
                    f"this does not come to an end: {[one.unfinished for one in world.processes]}"
                )
            compare(client, is_swept=is_swept)
            await _end(world)
        journal.close()
        return Outcome(
            seed=self._seed,
            wrong=world.wrong,
            trace=world.trace,
            solves=log.solves,
            results=len(log.results),
            jobs=sum(len(service.jobs) for service in client.services),
            steps=loop.steps,
            kills=len(log.killed),
            faults=world.faults,
            actions=world.actions,
        )

    async def _history(self, client: Client, *, is_swept: bool) -> None:
        chance = self._chance
        jumping = asyncio.ensure_future(_jump(client.world)) if chance.random() < 0.2 else None
        is_forking = chance.random() < 0.25
        has_others = len(self._draw.versions) > 1
        programs = range(1 if is_forking else chance.choice((2, 2, 3, 3) if has_others else (1, 2, 2, 3)))
        await asyncio.gather(
            *(self._run_repeatedly(client, f"{number}", is_forking=is_forking) for number in programs)
        )
        if jumping is not None:
            jumping.cancel()
        if is_swept:
            await self._sweep(client)

    async def _run_repeatedly(self, client: Client, name: str, *, is_forking: bool) -> None:
        """Run a program that is started again after each end."""
        chance = client.world.chance(f"lives of {name}")
        for number in range(chance.choice((1, 2, 3))):
            await asyncio.sleep(chance.uniform(0, 20) if number == 0 else chance.uniform(0, 90))
            program = f"{name}.{number}"
            if is_forking and chance.random() < 0.7:
                await self._family(client, program, chance)
            else:
                await self._one_life(client, program, self._draw.any_plan(chance))

    async def _family(self, client: Client, name: str, chance: Random) -> None:
        """Run a program that makes its hub, may use it, and forks some children that share its work."""
        client.world.count("program that forks")
        plan = self._draw.any_plan(chance, is_of_many=True)
        process = self._process(client, name, plan)
        engine = process.context.run(client.start, process, plan.version)
        inherited, living = Inherited(engine), list[Coroutine[Any, Any, None]]()
        if chance.random() < 0.3:
            living.append(self._live(client, plan, process, engine))
        for number in range(chance.choice((2, 3, 4))):
            child = self._draw.child(chance, plan.version)
            living.append(self._child(client, f"{name}.{number}", child, inherited, chance.uniform(0, 5)))
        await asyncio.gather(*living)

    async def _child(
        self, client: Client, name: str, plan: ProcessPlan, inherited: Inherited, begins_after: float
    ) -> None:
        await asyncio.sleep(begins_after)
        await self._one_life(client, name, plan, inherited.in_child())

    async def _sweep(self, client: Client) -> None:
        """Let a last hub collect what all others left, without any more faults."""
        world = client.world
        world.is_calm = True
        # Late calls arrive, and all leases end, by any clock.
        await asyncio.sleep(_LEASE)
        ((until,),) = client.journal.read("SELECT max(alive_until) FROM owners")
        if until is not None and until >= world.wall():
            world.jump(until - world.wall() + 1)
        for version in self._draw.versions:
            plan = self._draw.sweeping(self._chance, version)
            await self._one_life(client, f"sweeper {version}", plan)

    async def _one_life(
        self, client: Client, name: str, plan: ProcessPlan, copied: Engine | None = None
    ) -> None:
        process = self._process(client, name, plan)
        await self._live(
            client, plan, process, process.context.run(client.start, process, plan.version, copied)
        )

    def _process(self, client: Client, name: str, plan: ProcessPlan) -> Process:
        process = Process(name, client.loop, plan.kill, late=client.journal.slowest)
        client.world.processes.append(process)
        return process

    async def _live(self, client: Client, plan: ProcessPlan, process: Process, engine: Engine) -> None:
        living = client.loop.create_task(client.live(plan, process, engine), context=process.context)
        living.add_done_callback(lambda _: process.over.set(), context=NO_OWNER)
        await process.over.wait()
        if process.is_dead:
            client.log.killed.add(process.name)
            client.world.note(f"{process.name} was killed")
        else:
            # Its very last step.
            await living


def _services(
    configured: Configuration, world: SimulatedWorld, journal: SimulatedJournal
) -> Sequence[Service]:
    """Return the services of all versions of the configuration."""
    services: list[Service] = []
    for name, service_type in configured.service_types.items():
        accounts = {version[name]: None for version in configured.accounts}
        family = [
            Service(name, service_type, world, journal, there)
            for is_elsewhere in (False, True)
            if (there := [one for one in accounts if one.is_elsewhere is is_elsewhere])
        ]
        for service in family:
            service.family = family
        services += family
    return services


async def _jump(world: SimulatedWorld) -> None:
    chance = world.chance("clock")
    while True:
        await asyncio.sleep(chance.uniform(1, 100))
        world.jump(chance.choice((-1, 1)) * chance.choice((1, 50, 400, 4000, 40_000)))


async def _end(world: SimulatedWorld) -> None:
    """End the tasks that dead processes left."""
    for process in world.processes:
        for _ in range(100):
            left = process.unfinished
            if not left:
                break
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=1)
        else:
            world.report_violation(f"{process.name} can't be ended: {process.unfinished}")


class _ErrorHandler(logging.Handler):
    """Reports each error with a traceback in the engine's log as a violation."""

    def __init__(self, world: SimulatedWorld) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        owner = OWNER.get()
        if record.exc_info and not (isinstance(owner, Process) and owner.is_dead):
            self._world.report_violation(f"{record.getMessage()}: {record.exc_info[1]!r}")


@contextmanager
def _errors_reported(world: SimulatedWorld) -> Generator[None]:
    handler, level, propagates = _ErrorHandler(world), engine_log.level, engine_log.propagate
    engine_log.addHandler(handler)
    engine_log.setLevel(logging.ERROR)
    engine_log.propagate = False
    try:
        yield
    finally:
        engine_log.removeHandler(handler)
        engine_log.setLevel(level)
        engine_log.propagate = propagates
