"""Everything a hub does, for one event loop. Asyncio, and only asyncio.

Time comes from the event loop; chance and transports are passed in. So the whole engine runs on a virtual
clock as well.
"""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import ExitStack
from datetime import tzinfo
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import attrs

from captchahub._engine.context import EngineServices, SolveInfo
from captchahub._engine.resume import attached, resume
from captchahub._engine.sharing import Sharing, is_being_cancelled
from captchahub._engine.solve import Solve, SolvePlan
from captchahub._engine.solve_events import narrated
from captchahub._journal.journal import Writer, open_journal
from captchahub._plugins.dispatcher import EventDispatcher
from captchahub._plugins.manager import Plugins
from captchahub._plugins.preparation import TaskPreparer
from captchahub._policy.job_token import read_token
from captchahub._policy.ordering import default_route
from captchahub._policy.scheduling import HedgeBudget
from captchahub._providers.account import Account
from captchahub._providers.admission import ChangeSignal
from captchahub._providers.calls import ask_balance, ask_services, report
from captchahub._providers.registry import (
    ProviderRegistry,
    TransportFactory,
    candidate,
    health_of,
    http_transport,
    offer,
    require_remote,
)
from captchahub._support.background import BackgroundTasks, cancel_all
from captchahub._support.clock import now
from captchahub._support.log import log, of_solve
from captchahub.errors import CaptchaHubError, ConfigError, HubClosed, NotOffered, TaskError
from captchahub.jobs import Collected, JobEntry, JobState, Spend
from captchahub.provider import Balance, Job, Service
from captchahub.results import Attempt, ProviderHealth, Result, Vote
from captchahub.settings import HubSettings, RouteSettings, Strategy
from captchahub.tasks import Solution, Task
from captchahub.tickets import Progress

__all__ = ["Engine"]

S = TypeVar("S", bound=Solution)

T = TypeVar("T")

# How long a solve waits for price lists, and closing for reports, in seconds.
_PATIENCE = 2.0


class Engine:
    """The accounts, and the solves under way on them."""

    def __init__(
        self,
        settings: HubSettings,
        *,
        plugins: Plugins | None = None,
        connect: TransportFactory = http_transport,
        chance: Callable[[], float] = random.random,
        wall_clock: Callable[[], float] = time.time,
        journal: Writer | None = None,
    ) -> None:
        self._settings = settings
        hooks = (Plugins.named_by(settings) if plugins is None else plugins).hooks
        changes = ChangeSignal()
        dispatcher = EventDispatcher(hooks.observers, wall_clock)
        background = BackgroundTasks()
        self._accounts = ProviderRegistry(settings, connect, changes, dispatcher, background)
        self._journal = open_journal(
            settings, self._accounts.identities, background, wall_clock, writer=journal
        )
        self._desk = EngineServices(
            chance, hooks, dispatcher, changes, background, self._journal, TaskPreparer()
        )
        self._hedges = _hedges_of(settings)
        self._sharing = Sharing()
        self._under_way: set[asyncio.Task[object]] = set()
        self._closing: asyncio.Task[None] | None = None

    async def solve(
        self, task: Task[S], timeout: float | None, progress: Progress | None = None, *, share: bool = False
    ) -> Result[S]:
        """See :meth:`captchahub.hub.Hub.solve`; ``progress`` is told of the job."""
        # Where several providers must agree, each has to look for itself.
        is_shared = self._route(task).agree == 1 and share
        submission = SolveInfo(uuid.uuid4().hex, is_shared, self._journal.now)
        seconds = timeout or self._settings.timeout
        progress = progress or Progress()
        begin = partial(self._solve, task, progress=progress, submission=submission)
        solving = (
            self._sharing.solve(task.fingerprint, seconds, begin, progress) if is_shared else begin(seconds)
        )
        with (
            of_solve(submission.id),
            narrated(self._desk.dispatcher, submission.id, task.kind, seconds) as end,
        ):
            return end(await self._while_open(solving))

    async def _solve(
        self, task: Task[S], timeout: float, *, progress: Progress, submission: SolveInfo
    ) -> Result[S]:
        begun, route = now(), self._route(task)
        accounts = {name: self._accounts[name] for name in route.names}
        with ExitStack() as using:
            # Also those whose turn may come: who is not used can be let go of.
            for account in accounts.values():
                using.enter_context(account.usage.hold())
            if route.strategy is Strategy.CHEAPEST or any(map(self._journal.has_budget_for, accounts)):
                patience = min(_PATIENCE, timeout / 4)
                await self._accounts.look_up_prices(task.kind, accounts.values(), patience)
            candidates = [candidate(account, task.kind) for account in accounts.values()]
            names = self._desk.hooks.order_providers(task, route, candidates, self._desk.chance)
            plan = SolvePlan([accounts[name] for name in names], route, self._hedge_budget(task.kind))
            solve = Solve(
                task, plan, self._desk, begun=begun, timeout=timeout, progress=progress, submission=submission
            )
            return await solve.run()

    def _hedge_budget(self, kind: str) -> HedgeBudget:
        return self._hedges.get(kind, HedgeBudget(0.0))

    async def attach(self, token: str, timeout: float | None, progress: Progress) -> Result[Solution]:
        """See :meth:`captchahub.hub.Hub.attach`."""
        job = read_token(token)
        progress.own = token
        account = self._accounts.holder(job)
        seconds = timeout or self._settings.timeout
        return await self._while_open(attached(self._journal, account, job, seconds))

    def _route(self, task: object) -> RouteSettings:
        if not isinstance(task, Task):
            raise TaskError(f"a task is an ImageToText or a PhoneSlide, not {type(task).__name__}")
        if task.kind in self._settings.routes:
            return self._settings.routes[task.kind]
        offers = {name: account.provider.kinds for name, account in self._accounts.items()}
        route = default_route(task.kind, offers)
        if not route.names:
            offered = "; ".join(map(offer, self._accounts.values()))
            raise ConfigError(f"no provider takes {task.kind} tasks ({offered}); add one that does")
        return route

    @property
    def is_closed(self) -> bool:
        """Whether closing has begun."""
        return self._closing is not None

    async def balances(self) -> dict[str, Balance | CaptchaHubError]:
        """See :meth:`captchahub.hub.Hub.balances`."""
        found = await self._while_open(_all(self._balance(one) for one in self._accounts.values()))
        return dict(zip(self._accounts, found, strict=True))

    async def _balance(self, account: Account) -> Balance | CaptchaHubError:
        try:
            balance = await ask_balance(require_remote(account))
        except CaptchaHubError as error:
            return error
        account.admission.take_balance(balance)
        return balance

    async def services(self, name: str) -> tuple[Service, ...]:
        """See :meth:`captchahub.hub.Hub.services`."""
        account = require_remote(self._accounts.named(name))
        services = await self._while_open(ask_services(account))
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
        # First, for it may be the answer of a provider that only another process has.
        await self._while_open(self._journal.report(answer.provider, answer.job_id, correct=correct))
        account = require_remote(self._accounts.named(answer.provider))
        await self._while_open(report(account, Job(answer.job_id, answer.kind), correct=correct))

    async def spend(self, zone: tzinfo, since: float | None) -> list[Spend]:
        """See :meth:`captchahub.hub.Hub.spend`."""
        return await self._while_open(self._journal.spend(zone, since or 0.0))

    async def jobs(self, state: JobState | None, limit: int) -> list[JobEntry]:
        """See :meth:`captchahub.hub.Hub.jobs`."""
        return list(await self._while_open(self._journal.jobs(state, limit)))

    async def resolve(self, entry: JobEntry, state: JobState, cost: Decimal | None) -> None:
        """See :meth:`captchahub.hub.Hub.resolve`."""
        await self._while_open(self._journal.resolve(entry, state, cost))

    def resume(self, in_flight: int) -> AsyncGenerator[Collected]:
        """See :meth:`captchahub.hub.Hub.resume`."""
        self._refuse_closed()
        return resume(self._journal, self._accounts, self._desk.background, in_flight, self._while_open)

    async def health(self) -> dict[str, ProviderHealth]:
        """See :meth:`captchahub.hub.Hub.health`."""
        self._refuse_closed()
        return {name: health_of(account) for name, account in self._accounts.items()}

    async def revive(self, name: str) -> None:
        """See :meth:`captchahub.hub.Hub.revive`."""
        self._refuse_closed()
        account = self._accounts.named(name)
        if account.settings.unusable is not None:
            raise ConfigError(f"providers.{name}: {account.settings.unusable}")
        account.admission.revive()

    async def reload(self, settings: HubSettings, plugins: Plugins) -> None:
        """See :meth:`captchahub.hub.Hub.reload`."""
        self._refuse_closed()
        path, wanted = self._settings.journal.path, settings.journal.path
        if path != wanted:
            raise ConfigError(
                f"journal: it is {path or 'in memory'} while this hub lives, and can't become "
                f"{wanted or 'one in memory'}; close the hub and make a new one"
            )
        desk, hooks = self._desk, plugins.hooks
        self._accounts.replace(settings)
        self._settings = settings
        self._journal.follow(settings, self._accounts.identities)
        self._hedges = _hedges_of(settings)
        self._desk = attrs.evolve(desk, hooks=hooks)
        desk.dispatcher.replace(hooks.observers)
        log.info("the configuration is read anew; providers: %s", ", ".join(self._accounts))

    def _refuse_closed(self) -> None:
        if self.is_closed:
            raise HubClosed

    async def _while_open(self, work: Coroutine[Any, Any, T]) -> T:
        """The value of some work, which closing the engine cancels."""
        if self.is_closed:
            work.close()
            raise HubClosed
        child = asyncio.ensure_future(work)
        self._under_way.add(child)
        try:
            return await child
        except asyncio.CancelledError:
            if self.is_closed and not is_being_cancelled():
                raise HubClosed("the hub was closed while it worked on this") from None
            raise
        finally:
            self._under_way.discard(child)
            del child  # it holds the error, and the error this frame

    async def aclose(self) -> None:
        """Cancel what is under way and let go of threads and sockets; a second call waits for the first."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await cancel_all(self._under_way)
        await self._desk.background.aclose(_PATIENCE)
        await self._accounts.aclose()
        await self._desk.preparing.aclose()
        await self._journal.aclose()
        await self._desk.dispatcher.aclose(_PATIENCE)


def _hedges_of(settings: HubSettings) -> dict[str, HedgeBudget]:
    return {kind: HedgeBudget(route.hedge_limit) for kind, route in settings.routes.items()}


async def _all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    return await asyncio.gather(*work)
