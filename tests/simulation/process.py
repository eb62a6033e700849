"""A process that can stall or be killed at any await, commit and call, with its journal and transports.

A killed process does nothing any more: its journal and its transports refuse it. Its tasks are cancelled to
avoid warnings of Python, and can't have any effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from contextvars import copy_context
from enum import Enum
from math import inf
from typing import Any, TypeVar

import attrs

from captchahub._engine.engine import Engine
from captchahub._journal.database import Work
from captchahub._providers.account import RemoteAccount
from captchahub.errors import HubClosed, ServiceUnavailable
from captchahub.provider import Reply, Request
from captchahub.testing.emulation import Call
from tests.simulation.accounts import Account
from tests.simulation.call_monitor import CallMonitor, HealthSnapshot, Order
from tests.simulation.journal import SimulatedJournal
from tests.simulation.loop import NO_OWNER, OWNER, SimulationLoop
from tests.simulation.rates import RateMonitor, RecordingWindow
from tests.simulation.service import Service
from tests.simulation.world import SimulatedWorld

__all__ = ["JournalWriter", "Kill", "KillPoint", "Process", "ServiceConnection", "last_turn"]

T = TypeVar("T")


class KillPoint(Enum):
    """The points at which a process can be killed."""

    AWAIT = "as a task goes on"
    COMMIT = "before a commit"
    COMMITTED = "after a commit, before it knows"
    SENT = "as a request leaves"
    HANDLED = "as a service has handled a call"
    REPLIED = "as a reply comes in"


@attrs.frozen
class Kill:
    """The point at which a process is killed, when it reaches that point for the ``count``-th time."""

    point: KillPoint
    count: int


class Process:
    """One process of a client, as the loop, the journal and the network see it."""

    def __init__(self, name: str, loop: SimulationLoop, kill: Kill | None, *, late: float = 0.0) -> None:
        self.name = name
        self.engine: Engine | None = None
        """Its hub's, once there is one."""
        self.monitor = CallMonitor(name, self.health_snapshot, late)
        self.accounts: Collection[Account] | None = ()
        """The accounts of its hub; None once they may be any."""
        self.version: int | None = 0
        """The configuration of its hub; None once it may be any."""
        self.context = copy_context()
        self.context.run(OWNER.set, self)
        self.tasks: list[asyncio.Task[Any]] = []
        self.held: list[Callable[[], object]] = []
        self.is_dead = False
        self.died_at = inf
        self.is_stalled = False
        self.was_stalled = False
        self.over: asyncio.Event = asyncio.Event()
        """Set once it was killed or has ended."""
        self._loop = loop
        self._kill = kill
        self._left = 0 if kill is None else kill.count

    def step(self) -> None:
        """See :class:`tests.simulation.loop.Owner`."""
        if self._is_due(KillPoint.AWAIT):
            # Not now, because something else is in the middle of its step.
            self._loop.call_soon(self.die, context=NO_OWNER)

    def reach(self, point: KillPoint) -> None:
        """Reach a point at which it may be killed."""
        if self._is_due(point):
            self.die()

    def _is_due(self, point: KillPoint) -> bool:
        if self._kill is None or self._kill.point is not point or self.over.is_set():
            return False
        self._left -= 1
        return self._left == 0

    def die(self) -> None:
        """End at once."""
        if self.over.is_set():
            return
        self.is_dead, self.died_at = True, self._loop.time()
        self.over.set()
        self.wake()
        for task in self.tasks:
            task.cancel()

    def refuse_if_dead(self) -> None:
        """Cancel the current task if the process is dead."""
        if self.is_dead:
            raise asyncio.CancelledError

    def stall(self, seconds: float) -> None:
        """Do nothing for some time, like a suspended process."""
        if not self.over.is_set():
            self.is_stalled = self.was_stalled = True
            self._loop.call_later(seconds, self.wake, context=NO_OWNER)

    def wake(self) -> None:
        """Continue after a stall."""
        self.is_stalled = False
        held, self.held = self.held, []
        for go_on in held:
            go_on()

    def health_snapshot(self, provider: str) -> HealthSnapshot | None:
        """Return the health of a provider in its hub.

        None if a job may be for another account, or may have been admitted long before it is sent.
        """
        if self.engine is None or self.version is None or self.was_stalled:
            return None
        gate = self.engine._accounts[provider].admission  # pyright: ignore[reportPrivateUsage]
        health = gate.health
        episode = id(gate), health._generation  # pyright: ignore[reportPrivateUsage]
        return HealthSnapshot(health.state, episode, health.since or 0.0, health.is_elsewhere)

    def has(self, account: Account) -> bool:
        """Return whether an account is certainly one of its hub's."""
        return self.accounts is not None and account in self.accounts

    def may_have(self, account: Account) -> bool:
        """Return whether an account may be one of its hub's."""
        return self.accounts is None or account in self.accounts

    @property
    def remote_accounts(self) -> Sequence[RemoteAccount]:
        """The accounts that its hub has now."""
        accounts = () if self.engine is None else self.engine._accounts.values()  # pyright: ignore[reportPrivateUsage]
        return [one for one in accounts if isinstance(one, RemoteAccount)]

    @property
    def unfinished(self) -> list[asyncio.Task[Any]]:
        """The tasks that still run."""
        return [task for task in self.tasks if not task.done()]


def check_slots(world: SimulatedWorld, process: Process) -> None:
    """Check that all living processes together have at most ``max_in_flight`` attempts at an account."""
    # A process that was stalled may have been taken for dead, and its slots be given to others.
    if not world.has_reliable_leases:
        return
    for account in process.remote_accounts:
        taken = [
            other.admission.slots.taken
            for one in world.processes
            if not one.is_dead
            for other in one.remote_accounts
            if other.identity == account.identity
        ]
        if sum(slots > 0 for slots in taken) > 1:
            world.count("slots of several processes")
        if sum(taken) > account.settings.max_in_flight:
            world.report_violation(
                f"{process.name} uses a slot of {account.name}, of which {taken} are taken by all processes"
            )


def last_turn(processes: Iterable[Process], own: Process, provider: str) -> float:
    """Return when any process last took a turn of the rate of an account, or -inf.

    The account is the one that a process of its own has under a name.
    """
    identities = [one.identity for one in own.remote_accounts if one.name == provider]
    limiters = [
        account.admission._rate  # pyright: ignore[reportPrivateUsage]
        for process in processes
        for account in process.remote_accounts
        if account.identity in identities
    ]
    windows = [limiter._window for limiter in limiters if limiter is not None]  # pyright: ignore[reportPrivateUsage]
    return max((one.last_turn for one in windows if isinstance(one, RecordingWindow)), default=-inf)


@attrs.frozen(eq=False)
class _Waiting:
    work: Work[Any]
    is_read: bool
    future: asyncio.Future[Any]


class JournalWriter:
    """One process's journal, with a connection of its own: the library's with a timer instead of a thread.

    All work that waits during a commit is in the next one.
    """

    def __init__(self, process: Process, journal: SimulatedJournal) -> None:
        self._process = process
        self._journal_file = journal
        self._connection = journal.connect()
        self._waiting: list[_Waiting] = []
        self._is_closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    def now(self) -> float:
        """Return the wall clock that the hub follows."""
        return self._connection.now()

    async def write(self, work: Work[T]) -> T:
        """See :class:`captchahub._journal.writer.Writer`."""
        return await self._enqueue(work, is_read=False)

    async def read(self, work: Work[T]) -> T:
        """See :class:`captchahub._journal.writer.Writer`: in turn with the writes."""
        return await self._enqueue(work, is_read=True)

    async def _enqueue(self, work: Work[T], *, is_read: bool) -> T:
        self._process.refuse_if_dead()
        if self._is_closed:
            raise HubClosed
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._waiting.append(_Waiting(work, is_read, future))
        if self._idle.is_set():
            self._idle.clear()
            loop.call_later(self._journal_file.latency(), self._work, context=NO_OWNER)
        return await asyncio.shield(future)

    def _work(self) -> None:
        process, journal = self._process, self._journal_file
        if process.is_stalled:
            process.held.append(self._work)
            return
        process.reach(KillPoint.COMMIT)
        if process.is_dead:
            return
        batch, self._waiting = self._waiting, []
        writes = [one for one in batch if not one.is_read]
        outcomes: list[tuple[_Waiting, Any]] = []
        if writes:
            done = journal.commit(self._connection, [one.work for one in writes], process)
            outcomes += zip(writes, done, strict=True)
            process.reach(KillPoint.COMMITTED)
            if process.is_dead:
                return
        # After the writes, so that a read finds what was written before it.
        outcomes += [(one, journal.read_for_hub(self._connection, one.work)) for one in batch if one.is_read]
        self._idle.set()
        for waiting, outcome in outcomes:
            if isinstance(outcome, Exception):
                waiting.future.set_exception(outcome)
                # Retrieve the exception, so that asyncio does not log it if no task waits for it.
                waiting.future.exception()
            else:
                waiting.future.set_result(outcome)

    async def aclose(self) -> None:
        """See :class:`captchahub._journal.writer.Writer`; the file is the world's, and stays."""
        self._process.refuse_if_dead()
        self._is_closed = True
        await self._idle.wait()


class ServiceConnection:
    """The transport of one process to one service."""

    def __init__(self, process: Process, service: Service, rates: RateMonitor) -> None:
        self._process = process
        self._service = service
        self._rates = rates

    async def send(self, request: Request, *, timeout: float) -> Reply:
        """Return the reply or raise its error. The request goes on even if the process is killed."""
        process = self._process
        process.refuse_if_dead()
        if timeout <= 0:
            raise ServiceUnavailable("not connected in no time", nothing_created=True)
        call = self._service.call_of(request)
        job_id, order = self._service.asked_for(call), None
        if job_id is not None:
            process.monitor.poll(self._service, job_id)
        else:
            order = self._order(call)
        coming = self._service.receive(call, process.name, done=lambda: process.reach(KillPoint.HANDLED))
        process.reach(KillPoint.SENT)
        process.refuse_if_dead()
        done, _ = await asyncio.wait([coming], timeout=timeout)
        if order is not None:
            process.monitor.end(order, coming.result().call_outcome if done else None)
        process.reach(KillPoint.REPLIED)
        process.refuse_if_dead()
        if not done:
            raise ServiceUnavailable(f"no complete reply within {timeout:.1f} s")
        outcome = coming.result()
        if isinstance(outcome.reply, Exception):
            raise outcome.reply
        if job_id is not None and outcome.has_answer:
            process.monitor.answer(self._service, job_id)
        return outcome.reply

    def _order(self, call: Call) -> Order:
        """Record and check a call that is not for a job."""
        process, service = self._process, self._service
        if not service.is_order(call):
            return process.monitor.look(service)
        order = process.monitor.order(service)
        check_slots(service.world, process)
        # What a process was granted before it was stalled, it may use too late.
        if not process.was_stalled:
            self._rates.send(service.account_calling(call), process.name)
        return order

    async def aclose(self) -> None:
        """Do nothing."""
