"""A person who looks at the pages of the services, and settles jobs in the journal: ``hub.resolve``."""

from __future__ import annotations

import asyncio
from random import Random

from captchahub._engine.engine import Engine
from captchahub._journal.rows import JobFilter
from captchahub.errors import HubClosed, JournalError
from captchahub.jobs import JobEntry, JobState
from captchahub.testing.emulation import JobRecord, picture_hash
from tests.simulation.environment import Environment, ManualSettlement
from tests.simulation.process import Process
from tests.simulation.service_types import number_of

__all__ = ["ByHand"]

# After this time, in seconds, no create is still on its way.
_LATEST_ARRIVAL = 60.0
_OPEN = (JobState.AMBIGUOUS, JobState.CREATED)


class ByHand:
    """Settles some of the open jobs, once."""

    def __init__(self, environment: Environment, engine: Engine, process: Process, chance: Random) -> None:
        self._environment, self._engine, self._process, self._chance = environment, engine, process, chance

    async def do(self, at: float) -> None:
        """Settle the jobs at a time, unless the hub is closed by then."""
        await asyncio.sleep(at)
        try:
            for entry in await self._engine.jobs(JobFilter(limit=1000)):
                if self._chance.random() < 0.5:
                    await self._look_at(entry)
        except (HubClosed, JournalError):
            return

    async def _look_at(self, entry: JobEntry) -> None:
        # A stalled process may send a create long after its time, and the journal does not show that.
        world = self._environment.world
        if world.wall() - entry.ordered_at < _LATEST_ARRIVAL or not world.has_reliable_leases:
            return
        if entry.state in _OPEN:
            await self._settle(self._found(entry))
        elif entry.state is not JobState.INTENT and await self._is_accepted(
            ManualSettlement(entry, JobState.REFUSED, None)
        ):
            world.report_violation(f"{entry} has ended, and was settled by hand all the same")

    async def _settle(self, settlement: ManualSettlement) -> None:
        if await self._is_accepted(settlement):
            self._environment.world.count(f"{settlement.entry.state.value} job settled by hand")
            self._environment.log.settlements.append(settlement)

    async def _is_accepted(self, settlement: ManualSettlement) -> bool:
        try:
            await self._engine.resolve(settlement.entry, settlement.state, settlement.cost)
        except ValueError:
            return False
        self._process.refuse_if_dead()
        return True

    def _found(self, entry: JobEntry) -> ManualSettlement:
        """Return how to settle a job, according to its service."""
        jobs = self._shown(entry)
        if not jobs:
            return ManualSettlement(entry, JobState.NOT_SENT, None)
        state = self._chance.choice((JobState.SOLVED, JobState.FAILED))
        return ManualSettlement(entry, state, self._chance.choice((None, max(job.price for job in jobs))))

    def _shown(self, entry: JobEntry) -> list[JobRecord]:
        """Return the job at its service; for a job without an id, all that it may be."""
        environment = self._environment
        if entry.job_id is not None:
            job = environment.job(entry.provider, number_of(entry.job_id))
            return [] if job is None else [job]
        picture = picture_hash(environment.world.tasks[entry.fingerprint].image.data)
        rows = environment.journal.every_job()
        known = {
            number_of(row.job_id) for row in rows if row.provider == entry.provider and row.job_id is not None
        }
        jobs = [job for service in environment.named(entry.provider) for job in service.jobs.values()]
        return [job for job in jobs if job.picture == picture and job.id not in known]
