"""A person who looks at the services' own pages, and settles what nobody can tell: ``hub.resolve``."""

from __future__ import annotations

import asyncio
from random import Random

from captchahub._engine.engine import Engine
from captchahub.errors import HubClosed, JournalError
from captchahub.jobs import JobEntry, JobState
from captchahub.testing.emulation import JobRecord, picture_hash
from tests.simulation.environment import Ground, Said
from tests.simulation.process import Process
from tests.simulation.service_types import number_of

__all__ = ["ByHand"]

# By then no order is still on its way, in seconds.
_PATIENCE = 60.0
_OPEN = (JobState.AMBIGUOUS, JobState.CREATED)


class ByHand:
    """Settles a part of what is open, once."""

    def __init__(self, ground: Ground, engine: Engine, process: Process, chance: Random) -> None:
        self._ground, self._engine, self._process, self._chance = ground, engine, process, chance

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
        town = self._ground.town
        if town.wall() - entry.ordered_at < _PATIENCE or not town.has_reliable_leases:
            return
        if entry.state in _OPEN:
            await self._settle(self._found(entry))
        elif entry.state is not JobState.INTENT and await self._is_taken(Said(entry, JobState.REFUSED, None)):
            town.blame(f"{entry} has ended, and was settled by hand all the same")

    async def _settle(self, said: Said) -> None:
        if await self._is_taken(said):
            self._ground.town.count(f"{said.entry.state.value} job settled by hand")
            self._ground.log.said.append(said)

    async def _is_taken(self, said: Said) -> bool:
        try:
            await self._engine.resolve(said.entry, said.state, said.cost)
        except ValueError:
            return False
        self._process.refuse_if_dead()
        return True

    def _found(self, entry: JobEntry) -> Said:
        """What is to be said of a job, after a look at what its service shows of it."""
        jobs = self._shown(entry)
        if not jobs:
            return Said(entry, JobState.NOT_SENT, None)
        state = self._chance.choice((JobState.SOLVED, JobState.FAILED))
        return Said(entry, state, self._chance.choice((None, max(job.price for job in jobs))))

    def _shown(self, entry: JobEntry) -> list[JobRecord]:
        """The job; for an order without an id, all that it can have become."""
        ground = self._ground
        if entry.job_id is not None:
            job = ground.job(entry.provider, number_of(entry.job_id))
            return [] if job is None else [job]
        picture = picture_hash(ground.town.tasks[entry.fingerprint].image.data)
        rows = ground.book.every_job()
        known = {
            number_of(row.job_id) for row in rows if row.provider == entry.provider and row.job_id is not None
        }
        jobs = [job for service in ground.named(entry.provider) for job in service.jobs.values()]
        return [job for job in jobs if job.picture == picture and job.id not in known]
