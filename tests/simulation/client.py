"""What one process does: solve, cancel some solves, collect what others left, and end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import attrs

from captchahub._engine.engine import Engine
from captchahub.errors import AllProvidersFailed, HubClosed, JobTimeout, JournalError
from captchahub.results import Result
from captchahub.settings import ProviderSettings
from captchahub.tasks import Solution
from captchahub.tickets import Progress
from tests.simulation.accounts import account_of
from tests.simulation.attaching import Attaching
from tests.simulation.by_hand import ByHand
from tests.simulation.call_monitor import PICTURE
from tests.simulation.configuration import INSTALLED
from tests.simulation.environment import Environment, SolveResult
from tests.simulation.loop import NO_OWNER
from tests.simulation.patience import Waited
from tests.simulation.pictures import task_of
from tests.simulation.process import JournalWriter, Kill, Process, ServiceConnection

__all__ = ["Client", "PlannedSolve", "ProcessPlan"]

# How much later than its timeout a solve may end, in seconds: the disk can be slow, and more than once.
_SLACK = 3.0
# A process is known to be dead by then, in seconds.
_LEASE = 61.0


@attrs.frozen
class PlannedSolve:
    """A solve: its start, picture and timeout, and when its caller cancels it."""

    at: float
    picture: int
    timeout: float
    share: bool
    cancelled_after: float | None


@attrs.frozen
class ProcessPlan:
    """One process from its start to its end. Times are in seconds since its start."""

    planned_solves: Sequence[PlannedSolve]
    resumes_at: Sequence[float]
    attachings: Sequence[Attaching]
    looks_at: Sequence[float]
    """When ambiguous jobs are settled by hand."""
    lingers: float
    """How long it runs after its work is done."""
    closes_at: float | None
    """When its hub is closed, even if solves are in progress."""
    stalls: tuple[float, float] | None
    """When it stalls, and for how long."""
    kill: Kill | None
    version: int = 0
    """The configuration at its start."""
    reloads_at: Sequence[float] = ()
    """When its hub switches to the other configuration."""


@attrs.frozen
class Client(Environment):
    """A program that is started repeatedly, on one machine with others."""

    async def live(self, plan: ProcessPlan, process: Process, engine: Engine) -> None:
        """Run one process from its start to its end, in its context."""
        name = process.name
        if plan.stalls is not None:
            at, seconds = plan.stalls
            self.loop.call_later(at, self._stall, process, seconds, context=NO_OWNER)
        tasks = [
            asyncio.ensure_future(self._run(engine, planned, process)) for planned in plan.planned_solves
        ]
        tasks += [asyncio.ensure_future(self._resume(engine, at, process)) for at in plan.resumes_at]
        tasks += [asyncio.ensure_future(one.do(self, engine, process)) for one in plan.attachings]
        tasks += [asyncio.ensure_future(self._reload(engine, at, process)) for at in plan.reloads_at]
        by_hand = ByHand(self, engine, process, self.world.chance(f"by hand {name}"))
        tasks += [asyncio.ensure_future(by_hand.do(at)) for at in plan.looks_at]
        if plan.closes_at is None:
            await asyncio.gather(*tasks)
            await asyncio.sleep(plan.lingers)
            self._check_idle(engine, process)
        else:
            await asyncio.sleep(plan.closes_at)
        await engine.aclose()
        await asyncio.gather(*tasks)
        self._check_closed(engine, process)
        process.over.set()

    def start(self, process: Process, version: int, copied: Engine | None = None) -> Engine:
        """Return the engine of a process. ``copied`` is its parent's, if it uses a copy of that."""
        services = {(service.name, service.is_elsewhere): service for service in self.services}
        chance, service_types = self.world.chance(f"process {process.name}"), self.configured.service_types

        def connect(settings: ProviderSettings) -> ServiceConnection:
            account = account_of(settings, service_types[settings.name])
            return ServiceConnection(process, services[account.provider, account.is_elsewhere], self.rates)

        writer = JournalWriter(process, self.journal)
        process.version = version
        process.accounts = self.configured.accounts[version].values()
        engine = process.engine = Engine(
            self.configured.versions[version],
            plugins=INSTALLED,
            connect=connect,
            chance=chance.random,
            wall_clock=writer.now,
            journal=writer,
        )
        if copied is not None:
            # An engine that was never used shares nothing else with its copy.
            engine._journal.owner = copied._journal.owner  # pyright: ignore[reportPrivateUsage]
        self.journal.hubs.setdefault(engine._journal.owner, []).append(process)  # pyright: ignore[reportPrivateUsage]
        return engine

    async def _reload(self, engine: Engine, at: float, process: Process) -> None:
        """Switch to the accounts of the other configuration."""
        await asyncio.sleep(at)
        if engine.is_closed or process.version is None:
            return
        # Solves in progress keep the accounts with which they began.
        other, process.version, process.accounts = 1 - process.version, None, None
        self.world.count("accounts changed in a living hub")
        await engine.reload(self.configured.versions[other], INSTALLED)

    def _stall(self, process: Process, seconds: float) -> None:
        if not process.over.is_set():
            self.world.inject("stall")
            self.world.has_reliable_leases = False
            process.stall(seconds)

    async def _run(self, engine: Engine, planned: PlannedSolve, process: Process) -> None:
        await asyncio.sleep(planned.at)
        if engine.is_closed:
            return
        PICTURE.set(planned.picture)
        self.log.solves += 1
        self.log.running += 1
        self.world.begin_solve(planned.picture)
        begun, began = self.loop.time(), self.world.wall()
        self.log.progresses.append(progress := Progress())
        solving = asyncio.ensure_future(
            engine.solve(task_of(planned.picture), planned.timeout, progress, share=planned.share)
        )
        if planned.cancelled_after is not None:
            self.loop.call_later(planned.cancelled_after, self._cancel, solving)
        outcome = await _outcome(solving)
        # A dead process receives nothing.
        process.refuse_if_dead()
        took = self.loop.time() - begun
        self.world.note(f"{process.name} {planned.picture} {type(outcome).__name__}")
        if took > planned.timeout + _SLACK and self.world.has_reliable_leases:
            self.world.report_violation(f"a solve of {planned.timeout:g} s took {took:.1f} s")
        self._record(planned, outcome, began)
        self.log.running -= 1
        Waited(self, process, planned.picture, begun, planned.timeout).check(outcome)

    def _cancel(self, solving: asyncio.Future[Any]) -> None:
        if not solving.done():
            self.world.inject("cancelled solve")
            solving.cancel()

    def _record(self, planned: PlannedSolve, outcome: Result[Solution] | BaseException, began: float) -> None:
        if isinstance(outcome, Result):
            self.log.results.append(SolveResult(planned.picture, began, outcome))
            self.log.attempts.append(outcome.attempts)
        elif isinstance(outcome, AllProvidersFailed):
            self.log.attempts.append(outcome.attempts)
        elif not isinstance(outcome, (HubClosed, JournalError, asyncio.CancelledError)):
            self.world.report_violation(f"a solve ended with {outcome!r}")

    async def _resume(self, engine: Engine, at: float, process: Process) -> None:
        await asyncio.sleep(at)
        began = self.loop.time()
        try:
            async with aclosing(engine.resume(4)) as collecting:
                async for collected in collecting:
                    process.refuse_if_dead()
                    self.world.note(f"{process.name} collected {collected.entry.job_id}")
                    self.log.collected.append((process.name, collected))
                    if isinstance(collected.error, JobTimeout):
                        self.log.given_up[collected.entry.id] = self.loop.time()
        except (HubClosed, JournalError):
            return
        if self.world.has_reliable_leases and not self.journal.may_fail:
            for entry, dead in self.journal.left_behind(process, began - _LEASE):
                self.world.report_violation(
                    f"job {entry} of {dead}, which is dead, can't be collected by {process.name}"
                )

    def _check_idle(self, engine: Engine, process: Process) -> None:
        """Check that an idle hub owns no created job, which no other hub could claim."""
        process.refuse_if_dead()
        works_on = engine._services.background._tasks  # pyright: ignore[reportPrivateUsage]
        owner = engine._journal.owner  # pyright: ignore[reportPrivateUsage]
        kept = self.journal.read(
            "SELECT id FROM jobs WHERE owner = :owner AND state = 'created'", owner=owner
        )
        if kept and not works_on and not self.journal.may_fail:
            self.world.report_violation(f"{process.name} works on nothing, and keeps the jobs {kept}")

    def _check_closed(self, engine: Engine, process: Process) -> None:
        """After a clean close nothing is left."""
        process.refuse_if_dead()
        world, name = self.world, process.name
        left = [task for task in process.unfinished if task is not asyncio.current_task()]
        if left:
            world.report_violation(f"{name} was closed, and still runs {left}")
        for account in engine._accounts.values():  # pyright: ignore[reportPrivateUsage]
            taken = account.admission.slots.taken
            if taken:
                world.report_violation(f"{name} was closed, and {taken} slots of {account.name} are taken")
        if self.journal.may_fail:
            return
        owner = engine._journal.owner  # pyright: ignore[reportPrivateUsage]
        if self.journal.read("SELECT 1 FROM owners WHERE id = :owner", owner=owner):
            world.report_violation(f"{name} was closed, and keeps its lease")
        if self.journal.read("SELECT 1 FROM jobs WHERE owner = :owner AND state = 'intent'", owner=owner):
            world.report_violation(f"{name} was closed, and left an order open in the journal")


async def _outcome(solving: asyncio.Future[Result[Solution]]) -> Result[Solution] | BaseException:
    try:
        return await solving
    except BaseException as error:  # noqa: BLE001 - it is looked at
        return error
