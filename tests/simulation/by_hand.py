"""A person who looks at the services' own pages, and settles what nobody can tell: ``hub.resolve``."""

from __future__ import annotations

import asyncio
from random import Random

from captchahub._engine.engine import Engine
from captchahub.errors import HubClosed, JournalError
from captchahub.jobs import JobEntry, JobState
from captchahub.testing.emulation import JobRecord, picture_hash
from tests.simulation.environment import Environment, ManualSettlement
from tests.simulation.process import Process
from tests.simulation.service_types import number_of

__all__ = ["ByHand"]

# By then no order is still on its way, in seconds.
_PATIENCE = 60.0
_OPEN = (JobState.AMBIGUOUS, JobState.CREATED)


class ByHand:
    """Settles a part of what is open, once."""

    def __init__(self, environment: Environment, engine: Engine, process: Process, chance: Random) -> None:
        self._environment, self._engine, self._process, self._chance = environment, engine, process, chance

    async def do(self, at: float) -> None:
        """Do it, as long as the engine lives."""
        await asyncio.sleep(at)
        try:
            for entry in await self._engine.jobs(None, 1000):
                if self._chance.random() < 0.5:
                    await self._look_at(entry)
        except (HubClosed, JournalError):
            return

    async def _look_at(self, entry: JobEntry) -> None:
        # Who was stalled may send an order long after its time; nobody knows that of a process.
        world = self._environment.world
        if world.wall() - entry.ordered_at < _PATIENCE or not world.has_reliable_leases:
            return
        if entry.state in _OPEN:
            await self._settle(self._found(entry))
        elif entry.state is not JobState.INTENT and await self._is_taken(
            ManualSettlement(entry, JobState.REFUSED, None)
        ):
            world.report_violation(f"{entry} has ended, and was settled by hand all the same")

    async def _settle(self, said: ManualSettlement) -> None:
        if await self._is_taken(said):
            self._environment.world.count(f"{said.entry.state.value} job settled by hand")
            self._environment.log.said.append(said)

    async def _is_taken(self, said: ManualSettlement) -> bool:
        try:
            await self._engine.resolve(said.entry, said.state, said.cost)
        except ValueError:
            return False
        self._process.refuse_if_dead()
        return True

    def _found(self, entry: JobEntry) -> ManualSettlement:
        """What is to be said of a job, after a look at what its service shows of it."""
        jobs = self._shown(entry)
        if not jobs:
            return ManualSettlement(entry, JobState.NOT_SENT, None)
        state = self._chance.choice((JobState.SOLVED, JobState.FAILED))
        return ManualSettlement(entry, state, self._chance.choice((None, max(job.price for job in jobs))))

    def _shown(self, entry: JobEntry) -> list[JobRecord]:
        """The job; for an order without an id, all that it can have become."""
        environment = self._environment
        if entry.job_id is not None:
            job = environment.job(entry.provider, number_of(entry.job_id))
            return [] if job is None else [job]
        picture = picture_hash(environment.world.tasks[entry.fingerprint].image.data)
        rows = environment.journal_file.every_job()
        known = {
            number_of(row.job_id) for row in rows if row.provider == entry.provider and row.job_id is not None
        }
        jobs = [job for service in environment.named(entry.provider) for job in service.jobs.values()]
        return [job for job in jobs if job.picture == picture and job.id not in known]
