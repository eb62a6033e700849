"""Everything that a hub does, in one event loop.

Time comes from the event loop, and chance and transports are passed in, so that the whole engine runs on a
virtual clock as well.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from datetime import tzinfo
from decimal import Decimal
from typing import Any, TypeVar, cast

import attrs

from captchahub._engine.context import EngineServices, SolveInfo
from captchahub._engine.health_recorder import HealthRecorder
from captchahub._engine.resume import attached, resume
from captchahub._engine.shared_limits import SharedLimits
from captchahub._engine.sharing import Sharing, is_being_cancelled
from captchahub._engine.solve import Solve, SolvePlan
from captchahub._engine.solve_events import SolveEvents
from captchahub._engine.status import EngineStatus
from captchahub._journal.journal import JobFilter, Writer, open_journal
from captchahub._plugins.callbacks import Callbacks
from captchahub._plugins.dispatcher import EventDispatcher
from captchahub._plugins.manager import Plugins
from captchahub._plugins.preparation import TaskPreparer
from captchahub._policy.job_token import read_token
from captchahub._policy.ordering import default_route
from captchahub._policy.scheduling import HedgeBudget
from captchahub._providers.account import Account
from captchahub._providers.admission import ChangeSignal
from captchahub._providers.registry import ProviderRegistry, TransportFactory
from captchahub._support.background import BackgroundTasks, cancel_all
from captchahub._support.clock import now
from captchahub._support.forking import keep, process
from captchahub._support.log import log, of_solve
from captchahub.errors import CaptchaHubError, ConfigError, HubClosed, NotOffered, TaskError
from captchahub.jobs import BudgetStatus, Collected, JobEntry, JobState, Spend
from captchahub.provider import Balance, Job, Service
from captchahub.results import Attempt, HealthEntry, ProviderHealth, Result, Vote
from captchahub.settings import HubSettings
from captchahub.tasks import Solution, Task
from captchahub.tickets import Progress

S = TypeVar("S", bound=Solution)

T = TypeVar("T")

_CLOSED_MEANWHILE = "the hub was closed while it worked on this"

# How long closing waits for reports and events that are under way, in seconds.
_CLOSING_PATIENCE = 2.0


class Engine:
    """The accounts of a hub, and the solves under way on them."""

    def __init__(
        self,
        settings: HubSettings,
        *,
        plugins: Plugins | None = None,
        connect: TransportFactory | None = None,
        chance: Callable[[], float] = random.random,
        wall_clock: Callable[[], float] = time.time,
        journal: Writer | None = None,
        callbacks: Callbacks | None = None,
    ) -> None:
        # Callers need not use a type checker, and a path is a likely slip.
        if not isinstance(settings, HubSettings):  # pyright: ignore[reportUnnecessaryIsInstance]
            found = type(settings).__name__
            raise TypeError(f"a hub takes HubSettings, not {found}: use from_yaml(path) or from_mapping(...)")
        self._settings = settings
        self.plugins = Plugins.named_by(settings) if plugins is None else plugins
        changes, hooks, background = ChangeSignal(), self.plugins.hooks, BackgroundTasks()
        self._dispatcher = EventDispatcher(hooks.observers, wall_clock, callbacks or Callbacks())
        self._accounts = ProviderRegistry(settings, connect, changes, self._dispatcher, background)
        self._journal = open_journal(
            settings,
            self._accounts.identities,
            background,
            wall_clock,
            take_unsaved=self._accounts.take_unsaved_times,
            writer=journal,
        )
        self._services = EngineServices(self._journal, hooks, TaskPreparer(), background, changes, chance)
        self._health = HealthRecorder(self._accounts, self._journal, background)
        self._shared_limits = SharedLimits(self._accounts, self._journal, chance)
        if self._journal.is_shared:
            changes.call(self._health.note_change)
            self._shared_limits.follow(settings)
        self._plans: dict[str, SolvePlan] = {}
        self._sharing = Sharing()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._closing: asyncio.Task[None] | None = None
        self._status = EngineStatus(self._accounts, settings)
        hooks.watch(self._status)

    async def solve(
        self,
        task: Task[S],
        timeout: float | None,
        progress: Progress | None = None,
        *,
        share: bool = False,
        label: str | None = None,
    ) -> Result[S]:
        """See :meth:`captchahub.hub.Hub.solve`. ``progress`` receives the token of the job."""
        if not isinstance(task, Task):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TaskError(f"a task is an ImageToText or a PhoneSlide, not {type(task).__name__}")
        self._refuse_closed()
        begun, seconds = now(), timeout or self._settings.timeout
        # Providers that must agree have to read the picture independently.
        is_shared = self._plan(task.kind).route.agree == 1 and share
        # Not from random, whose state a forked child shares with its parent.
        solve_id = os.urandom(16).hex()
        progress = progress or Progress()
        events = SolveEvents(self._dispatcher, solve_id, task.kind)
        with of_solve(solve_id):
            events.submitted(seconds)
            try:
                info = SolveInfo(
                    id=solve_id,
                    task=task,
                    begun=self._journal.now,
                    is_shared=is_shared,
                    fingerprint=task.fingerprint,
                    options=task.options,
                    events=events,
                    label=label,
                    progress=progress,
                )
                fingerprint = info.fingerprint if is_shared else None
                found = await self._sharing.follow(fingerprint, seconds, progress)
                if isinstance(found, Result):
                    result = found
                elif self.is_closed:
                    raise HubClosed(_CLOSED_MEANWHILE)
                else:
                    # The plan of now: a solve that waited for an equal one may begin after a reload, which
                    # has closed the accounts of the former plan.
                    solve = Solve(self._plan(task.kind), info, self._services, timeout=found)
                    result = await self._sharing.lead(fingerprint, self._started(solve.run()), progress)
            except asyncio.CancelledError:
                if self.is_closed and not is_being_cancelled():
                    events.failed(HubClosed(_CLOSED_MEANWHILE), now() - begun)
                    raise HubClosed(_CLOSED_MEANWHILE) from None
                events.cancelled(now() - begun)
                raise
            except Exception as error:
                events.failed(error, now() - begun)
                raise
            events.solved(cast("Result[Solution]", result))
            return result

    def _plan(self, kind: str) -> SolvePlan:
        """Return the plan of a kind of task. Raises ConfigError if no provider takes it."""
        # Plans are kept, because the hedges of a route are counted over all its solves.
        plan = self._plans.get(kind)
        if plan is not None:
            return plan
        route = self._settings.routes.get(kind)
        if route is None:
            offers = {name: account.provider.kinds for name, account in self._accounts.items()}
            route, hedges = default_route(kind, offers), HedgeBudget(0.0)
        else:
            hedges = HedgeBudget(route.hedge_limit)
        if not route.names:
            offered = "; ".join(account.offer() for account in self._accounts.values())
            raise ConfigError(f"no provider takes {kind} tasks ({offered}); add one that does")
        accounts = {name: self._accounts[name] for name in route.names}
        plan = self._plans[kind] = SolvePlan(route, accounts, hedges)
        return plan

    async def attach(self, token: str, timeout: float | None, progress: Progress) -> Result[Solution]:
        """See :meth:`captchahub.hub.Hub.attach`."""
        job = read_token(token)
        progress.job = token
        account = self._accounts.holder(job)
        seconds = timeout or self._settings.timeout
        return await self._while_open(attached(self._journal, account, job, seconds))

    @property
    def is_closed(self) -> bool:
        """Whether closing has begun."""
        return self._closing is not None

    async def balances(self) -> dict[str, Balance | CaptchaHubError]:
        """See :meth:`captchahub.hub.Hub.balances`."""

        async def all_balances() -> list[Balance | CaptchaHubError]:
            return await asyncio.gather(*map(self._balance, self._accounts.values()))

        return dict(zip(self._accounts, await self._while_open(all_balances()), strict=True))

    async def _balance(self, account: Account) -> Balance | CaptchaHubError:
        try:
            balance = await account.remote().balance()
        except CaptchaHubError as error:
            return error
        if account.admission.is_revived_by(balance):
            await self._revive(account)
        self._status.take_balance(account, balance)
        return balance

    async def services(self, name: str) -> tuple[Service, ...]:
        """See :meth:`captchahub.hub.Hub.services`."""
        account = self._accounts.named(name).remote()
        services = await self._while_open(account.services())
        account.prices.take_list(services, now())
        return services

    async def report(self, answer: Result[Any] | Vote[Any] | Attempt, *, correct: bool) -> None:
        """See :meth:`captchahub.hub.Hub.report`."""
        # Callers need not use a type checker.
        if not isinstance(answer, (Result, Vote, Attempt)):  # pyright: ignore[reportUnnecessaryIsInstance]
            found = type(answer).__name__
            raise TypeError(f"a report is of a Result, a Vote or an Attempt, not of {found}")
        if answer.job_id is None:
            what = type(answer).__name__.lower()
            raise NotOffered(f"this {what} of {answer.provider} has no job id to report on")
        # The journal first, because only another process may have the provider of the answer.
        await self._while_open(self._journal.report(answer.provider, answer.job_id, correct=correct))
        account = self._accounts.named(answer.provider).remote()
        await self._while_open(account.report(Job(answer.job_id, answer.kind), correct=correct))

    async def spend(self, zone: tzinfo, since: float | None) -> list[Spend]:
        """See :meth:`captchahub.hub.Hub.spend`."""
        return await self._while_open(self._journal.spend(zone, since or 0.0))

    async def budgets(self) -> list[BudgetStatus]:
        """See :meth:`captchahub.hub.Hub.budgets`."""
        budgets = await self._while_open(self._journal.budgets())
        self._status.take_budgets(budgets)
        return budgets

    async def jobs(self, wanted: JobFilter) -> list[JobEntry]:
        """See :meth:`captchahub.hub.Hub.jobs`."""
        return list(await self._while_open(self._journal.jobs(wanted)))

    async def job(self, entry_id: int) -> JobEntry | None:
        """See :meth:`captchahub.hub.Hub.job`."""
        return await self._while_open(self._journal.job(entry_id))

    async def resolve(self, entry: JobEntry, state: JobState, cost: Decimal | None) -> None:
        """See :meth:`captchahub.hub.Hub.resolve`."""
        await self._while_open(self._journal.resolve(entry, state, cost))

    def resume(self, in_flight: int) -> AsyncGenerator[Collected]:
        """See :meth:`captchahub.hub.Hub.resume`."""
        self._refuse_closed()
        return resume(self._journal, self._accounts, self._services.background, in_flight, self._while_open)

    async def health(self) -> dict[str, ProviderHealth]:
        """See :meth:`captchahub.hub.Hub.health`."""
        self._refuse_closed()
        return {name: account.health() for name, account in self._accounts.items()}

    async def recorded_health(self) -> list[HealthEntry]:
        """See :meth:`captchahub.hub.Hub.recorded_health`."""
        return await self._while_open(self._journal.health())

    async def revive(self, name: str) -> None:
        """See :meth:`captchahub.hub.Hub.revive`."""
        self._refuse_closed()
        account = self._accounts.named(name)
        if account.settings.unusable is not None:
            raise ConfigError(f"providers.{name}: {account.settings.unusable}")
        await self._while_open(self._revive(account))

    async def _revive(self, account: Account) -> None:
        """Call a provider again from now on, also in other processes."""
        # Before it is called here: what others have found until then would take it out again.
        await self._shared_limits.record_revival(account)
        account.admission.revive()

    async def reload(self, settings: HubSettings, plugins: Plugins) -> None:
        """See :meth:`captchahub.hub.Hub.reload`."""
        self._refuse_closed()
        before, wanted = self._settings.journal, settings.journal
        if attrs.evolve(before, keep=wanted.keep) != wanted:
            raise ConfigError(
                f"journal: it is {before.place or 'in memory'} while this hub lives, and can't become "
                f"{wanted.place or 'one in memory'}; close the hub and make a new one"
            )
        self._accounts.replace(settings)
        self._settings, self.plugins = settings, plugins
        self._plans.clear()
        self._journal.follow(settings, self._accounts.identities)
        self._services = attrs.evolve(self._services, hooks=plugins.hooks)
        if self._journal.is_shared:
            self._health.note_change()
            self._shared_limits.follow(settings)
        self._dispatcher.replace(plugins.hooks.observers)
        self._status.follow(settings)
        plugins.hooks.watch(self._status)
        log.info("the configuration was read again; providers: %s", ", ".join(self._accounts))

    def _refuse_closed(self) -> None:
        if self.is_closed:
            raise HubClosed

    async def _while_open(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what some work returns. Closing the engine cancels it."""
        if self.is_closed:
            work.close()
            raise HubClosed
        child = self._started(work)
        try:
            return await child
        except asyncio.CancelledError:
            if self.is_closed and not is_being_cancelled():
                raise HubClosed(_CLOSED_MEANWHILE) from None
            raise
        finally:
            # It holds the error, and the error this frame: a cycle that would keep requests with their token.
            del child

    def _started(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start some work as a task, which closing the engine cancels."""
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def aclose(self) -> None:
        """Cancel what is under way and close threads and sockets. A second call waits for the first."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        # In the order of use: a solve that is cancelled starts background tasks, these still write to the
        # journal, and all of them report events.
        await cancel_all(self._under_way)
        await self._services.background.aclose(_CLOSING_PATIENCE)
        await self._shared_limits.aclose()
        await self._accounts.aclose()
        await self._services.preparer.aclose()
        await self._journal.aclose()
        await self._dispatcher.aclose(_CLOSING_PATIENCE)


class ProcessEngine:
    """The engine of a hub in this process. A forked child creates its own engine when it first needs one.

    An engine has an owner id in the journal, locks, connections and threads, and each of them belongs to one
    process. A child therefore never touches its parent's engine, used or not. Raises what creating an engine
    raises: at once, and in a child from :meth:`get`.
    """

    def __init__(self, settings: HubSettings, plugins: Plugins | None = None) -> None:
        self.callbacks = Callbacks()
        """The callbacks of the hub; the engine of a child calls them too."""
        self._engine: Engine | None = Engine(settings, plugins=plugins, callbacks=self.callbacks)
        self._process = process()
        self.follow(settings, self._engine.plugins)

    def follow(self, settings: HubSettings, plugins: Plugins) -> None:
        """Create the engines of later children with these settings and plugins."""
        self._settings, self.plugins = settings, plugins

    @property
    def made(self) -> Engine | None:
        """This process's engine, or None in a child that has not needed one yet."""
        if self._process != process():
            keep(self._engine)
            self._process, self._engine = process(), None
        return self._engine

    def get(self) -> Engine:
        """This process's engine."""
        engine = self.made
        if engine is None:
            # Not right after the fork, because no caller could catch an error there.
            engine = self._engine = Engine(self._settings, plugins=self.plugins, callbacks=self.callbacks)
        return engine
