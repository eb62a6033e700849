"""What a client does in one life: solves, some of them cancelled; collecting what others left; its end."""

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
from tests.simulation.environment import Ground, Told
from tests.simulation.loop import NOBODY
from tests.simulation.patience import Waited
from tests.simulation.pictures import task_of
from tests.simulation.process import Kill, Line, Pen, Process

__all__ = ["Client", "Errand", "Life"]

# How much later than its timeout a solve may end, in seconds: the disk can be slow, and more than once.
_SLACK = 3.0
# A process is known to be dead by then, in seconds.
_LEASE = 61.0


@attrs.frozen
class Errand:
    """A solve: when it begins, of which picture, how long it may take, and when its caller has enough."""

    at: float
    picture: int
    timeout: float
    share: bool
    cancelled_after: float | None


@attrs.frozen
class Life:
    """One process from its start to its end. Times are in seconds since its start."""

    errands: Sequence[Errand]
    resumes_at: Sequence[float]
    attachings: Sequence[Attaching]
    looks_at: Sequence[float]
    """When somebody settles by hand what nobody can tell."""
    lingers: float
    """How long it lives on when all is done."""
    closes_at: float | None
    """When its hub is closed whatever is under way."""
    stalls: tuple[float, float] | None
    """When it is stalled, and for how long."""
    kill: Kill | None
    version: int = 0
    """Which configuration it begins with."""
    reloads_at: Sequence[float] = ()
    """When its hub is told to go by the other one."""


@attrs.frozen
class Client(Ground):
    """A program that is started now and then, on one machine with others."""

    async def live(self, life: Life, process: Process, engine: Engine) -> None:
        """One life, in the context of its process."""
        name = process.name
        if life.stalls is not None:
            at, seconds = life.stalls
            self.loop.call_later(at, self._stall, process, seconds, context=NOBODY)
        tasks = [asyncio.ensure_future(self._run(engine, errand, process)) for errand in life.errands]
        tasks += [asyncio.ensure_future(self._resume(engine, at, process)) for at in life.resumes_at]
        tasks += [asyncio.ensure_future(one.do(self, engine, process)) for one in life.attachings]
        tasks += [asyncio.ensure_future(self._reload(engine, at, process)) for at in life.reloads_at]
        by_hand = ByHand(self, engine, process, self.town.chance(f"by hand {name}"))
        tasks += [asyncio.ensure_future(by_hand.do(at)) for at in life.looks_at]
        if life.closes_at is None:
            await asyncio.gather(*tasks)
            await asyncio.sleep(life.lingers)
            self._check_idle(engine, process)
        else:
            await asyncio.sleep(life.closes_at)
        await engine.aclose()
        await asyncio.gather(*tasks)
        self._check_closed(engine, process)
        process.over.set()

    def start(self, process: Process, version: int, copied: Engine | None = None) -> Engine:
        """The engine of a process, where it goes on with a copy of its parent's, as it would be in that."""
        services = {(service.name, service.is_elsewhere): service for service in self.services}
        chance, makes = self.town.chance(f"process {process.name}"), self.configured.makes

        def connect(settings: ProviderSettings) -> Line:
            account = account_of(settings, makes[settings.name])
            return Line(process, services[account.provider, account.is_elsewhere])

        process.version = version
        process.accounts = self.configured.accounts[version].values()
        engine = process.engine = Engine(
            self.configured.versions[version],
            plugins=INSTALLED,
            connect=connect,
            chance=chance.random,
            wall_clock=self.town.wall,
            journal=Pen(process, self.book),
        )
        if copied is not None:
            # One that was never used has nothing else of its own.
            engine._journal._heartbeat.owner = copied._journal.owner  # pyright: ignore[reportPrivateUsage]
        self.book.hubs.setdefault(engine._journal.owner, []).append(process)  # pyright: ignore[reportPrivateUsage]
        return engine

    async def _reload(self, engine: Engine, at: float, process: Process) -> None:
        """Go on with the accounts of the other configuration."""
        await asyncio.sleep(at)
        if engine.is_closed or process.version is None:
            return
        # What is under way goes on with those that it began with.
        other, process.version, process.accounts = 1 - process.version, None, None
        self.town.count("accounts changed in a living hub")
        await engine.reload(self.configured.versions[other], INSTALLED)

    def _stall(self, process: Process, seconds: float) -> None:
        if not process.over.is_set():
            self.town.inject("stall")
            self.town.has_reliable_leases = False
            process.stall(seconds)

    async def _run(self, engine: Engine, errand: Errand, process: Process) -> None:
        await asyncio.sleep(errand.at)
        if engine.is_closed:
            return
        PICTURE.set(errand.picture)
        self.log.solves += 1
        self.town.begin_solve(errand.picture)
        begun, began = self.loop.time(), self.town.wall()
        self.log.trails.append(trail := Progress())
        solving = asyncio.ensure_future(
            engine.solve(task_of(errand.picture), errand.timeout, trail, share=errand.share)
        )
        if errand.cancelled_after is not None:
            self.loop.call_later(errand.cancelled_after, self._cancel, solving)
        told = await _outcome(solving)
        # Who is dead is told nothing.
        process.refuse_if_dead()
        took = self.loop.time() - begun
        self.town.note(f"{process.name} {errand.picture} {type(told).__name__}")
        if took > errand.timeout + _SLACK and self.town.has_reliable_leases:
            self.town.blame(f"a solve of {errand.timeout:g} s took {took:.1f} s")
        self._take(errand, told, began)
        Waited(self, process, errand.picture, begun, errand.timeout).check(told)

    def _cancel(self, solving: asyncio.Future[Any]) -> None:
        if not solving.done():
            self.town.inject("cancelled solve")
            solving.cancel()

    def _take(self, errand: Errand, told: Result[Solution] | BaseException, began: float) -> None:
        if isinstance(told, Result):
            self.log.results.append(Told(errand.picture, began, told))
            self.log.attempts.append(told.attempts)
        elif isinstance(told, AllProvidersFailed):
            self.log.attempts.append(told.attempts)
        elif not isinstance(told, (HubClosed, JournalError, asyncio.CancelledError)):
            self.town.blame(f"a solve ended with {told!r}")

    async def _resume(self, engine: Engine, at: float, process: Process) -> None:
        await asyncio.sleep(at)
        began = self.loop.time()
        try:
            async with aclosing(engine.resume(4)) as collecting:
                async for collected in collecting:
                    process.refuse_if_dead()
                    self.town.note(f"{process.name} collected {collected.entry.job_id}")
                    self.log.collected.append((process.name, collected))
                    if isinstance(collected.error, JobTimeout):
                        self.log.given_up[collected.entry.id] = self.loop.time()
        except (HubClosed, JournalError):
            return
        if self.town.has_reliable_leases and not self.book.may_fail:
            for entry, dead in self.book.left_behind(process, began - _LEASE):
                self.town.blame(f"job {entry} of {dead}, which is dead, can't be collected by {process.name}")

    def _check_idle(self, engine: Engine, process: Process) -> None:
        """A hub that works on nothing has no job in its hands, where nobody else could get it."""
        process.refuse_if_dead()
        works_on = engine._desk.background._tasks  # pyright: ignore[reportPrivateUsage]
        owner = engine._journal.owner  # pyright: ignore[reportPrivateUsage]
        kept = self.book.read("SELECT id FROM jobs WHERE owner = ? AND state = 'created'", owner)
        if kept and not works_on and not self.book.may_fail:
            self.town.blame(f"{process.name} works on nothing, and keeps the jobs {kept}")

    def _check_closed(self, engine: Engine, process: Process) -> None:
        """After a clean close nothing is left."""
        process.refuse_if_dead()
        town, name = self.town, process.name
        left = [task for task in process.unfinished if task is not asyncio.current_task()]
        if left:
            town.blame(f"{name} was closed, and still runs {left}")
        for account in engine._accounts.values():  # pyright: ignore[reportPrivateUsage]
            places, most = account.admission._places, account.settings.max_in_flight  # pyright: ignore[reportPrivateUsage]
            if places._value != most:
                town.blame(
                    f"{name} was closed, and {account.settings.name} has {places._value} of {most} places"
                )
        if self.book.may_fail:
            return
        owner = engine._journal.owner  # pyright: ignore[reportPrivateUsage]
        if self.book.read("SELECT 1 FROM owners WHERE id = ?", owner):
            town.blame(f"{name} was closed, and keeps its lease")
        if self.book.read("SELECT 1 FROM jobs WHERE owner = ? AND state = 'intent'", owner):
            town.blame(f"{name} was closed, and left an order open in the journal")


async def _outcome(solving: asyncio.Future[Result[Solution]]) -> Result[Solution] | BaseException:
    try:
        return await solving
    except BaseException as error:  # noqa: BLE001 - it is looked at
        return error
