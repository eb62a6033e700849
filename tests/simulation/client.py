"""What a client does in one life: solves, some of them cancelled; collecting what others left; its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import attrs

from captchahub._engine import Engine
from captchahub._tokens import Trail
from captchahub.errors import AllProvidersFailed, HubClosed, JobTimeout, JournalError
from captchahub.results import Result
from captchahub.settings import ProviderSettings
from captchahub.tasks import Solution
from tests.simulation.attaching import Attaching
from tests.simulation.by_hand import ByHand
from tests.simulation.ground import Ground, Told
from tests.simulation.loop import NOBODY
from tests.simulation.pictures import task_of
from tests.simulation.process import Kill, Line, Pen, Process

__all__ = ["Client", "Errand", "Life"]

# How much later than its timeout a solve may end, in seconds: the disk can be slow, and more than once.
_SLACK = 3.0


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


@attrs.frozen
class Client(Ground):
    """A program that is started now and then, on one machine with others."""

    async def live(self, name: str, life: Life, process: Process) -> None:
        """One life, in the context of its process."""
        engine = self._start(name, process)
        if life.stalls is not None:
            at, seconds = life.stalls
            self.loop.call_later(at, self._stall, process, seconds, context=NOBODY)
        tasks = [asyncio.ensure_future(self._run(engine, errand, process)) for errand in life.errands]
        tasks += [asyncio.ensure_future(self._resume(engine, at, process)) for at in life.resumes_at]
        tasks += [asyncio.ensure_future(one.do(self, engine, process)) for one in life.attachings]
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

    def _start(self, name: str, process: Process) -> Engine:
        services = {service.name: service for service in self.services}
        chance = self.town.chance(f"process {name}")

        def connect(settings: ProviderSettings) -> Line:
            return Line(process, services[settings.name])

        return Engine(
            self.settings,
            connect=connect,
            chance=chance.random,
            wall_clock=self.town.wall,
            journal=Pen(process, self.book),
        )

    def _stall(self, process: Process, seconds: float) -> None:
        if not process.over.is_set():
            self.town.inject("stall")
            self.town.has_reliable_leases = False
            process.stall(seconds)

    async def _run(self, engine: Engine, errand: Errand, process: Process) -> None:
        await asyncio.sleep(errand.at)
        if engine.is_closed:
            return
        self.log.solves += 1
        self.town.begin_solve(errand.picture)
        begun, began = self.loop.time(), self.town.wall()
        self.log.trails.append(trail := Trail())
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

    def _check_idle(self, engine: Engine, process: Process) -> None:
        """A hub that works on nothing has no job in its hands, where nobody else could get it."""
        process.refuse_if_dead()
        works_on = engine._desk.aftercare._under_way  # pyright: ignore[reportPrivateUsage]
        owner = engine._books.owner  # pyright: ignore[reportPrivateUsage]
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
            places, most = account.gate._places, account.settings.max_in_flight  # pyright: ignore[reportPrivateUsage]
            if places._value != most:
                town.blame(
                    f"{name} was closed, and {account.settings.name} has {places._value} of {most} places"
                )
        if self.book.may_fail:
            return
        owner = engine._books.owner  # pyright: ignore[reportPrivateUsage]
        if self.book.read("SELECT 1 FROM owners WHERE id = ?", owner):
            town.blame(f"{name} was closed, and keeps its lease")
        if self.book.read("SELECT 1 FROM jobs WHERE owner = ? AND state = 'intent'", owner):
            town.blame(f"{name} was closed, and left an order open in the journal")


async def _outcome(solving: asyncio.Future[Result[Solution]]) -> Result[Solution] | BaseException:
    try:
        return await solving
    except BaseException as error:  # noqa: BLE001 - it is looked at
        return error
