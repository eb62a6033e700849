"""The library for event loops: :class:`AsyncHub`. For blocking code see :mod:`captchahub.hub`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from captchahub._hub.arguments import (
    checked_cost,
    checked_count,
    checked_filter,
    checked_job,
    checked_label,
    checked_path,
    checked_since,
    checked_state,
    checked_timeout,
    checked_zone,
)
from captchahub._hub.bulk import as_completed_async, file_of
from captchahub._plugins.manager import checked_plugins
from captchahub._support.forking import keep, process
from captchahub.config import Plugins, Source, read_mapping
from captchahub.errors import CaptchaHubError, HubClosed
from captchahub.events import Event
from captchahub.jobs import BudgetStatus, Collected, JobEntry, JobState, Spend
from captchahub.plugins import PluginRecord
from captchahub.provider import Balance, Service
from captchahub.results import Attempt, HealthEntry, Outcome, ProviderHealth, Result, Vote
from captchahub.settings import HubSettings
from captchahub.tasks import Solution, Task
from captchahub.tickets import AsyncTicket, Progress

if TYPE_CHECKING:
    from captchahub._engine.engine import Engine

__all__ = ["AsyncHub"]

S = TypeVar("S", bound=Solution)

E = TypeVar("E", bound=Event)

T = TypeVar("T")


class AsyncHub:
    """The library for event loops: the methods of :class:`Hub` as coroutines. A hub belongs to one loop.

    A hub created before a fork works in a loop of the child too, as :class:`Hub` does. Methods raise
    ``RuntimeError`` if they are called in another loop.
    """

    def __init__(self, settings: HubSettings, *, plugins: Plugins | None = None) -> None:
        # requests and sqlite3 come with it, and a program that only imports this class needs neither.
        from captchahub._engine.engine import ProcessEngine  # noqa: PLC0415 - see above

        self._engine = ProcessEngine(settings, plugins)
        self._source = Source()
        self._process = process()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], *, plugins: Sequence[object] = ()) -> Self:
        """See :meth:`Hub.from_yaml`."""
        source = Source(checked_path(path), checked_plugins(plugins))
        loaded = source.read()
        hub = cls(loaded.settings, plugins=loaded.plugins)
        hub._source = source
        return hub

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object], *, plugins: Sequence[object] = ()) -> Self:
        """See :meth:`Hub.from_mapping`."""
        known = Plugins(plugins)
        return cls(read_mapping(mapping, known), plugins=known)

    async def solve(
        self, task: Task[S], *, timeout: float | None = None, share: bool = True, label: str | None = None
    ) -> Result[S]:
        """See :meth:`Hub.solve`. Cancelling the call cancels the solve."""
        seconds, label = checked_timeout(timeout), checked_label(label)
        return await self._open_engine().solve(task, seconds, share=share, label=label)

    def submit(
        self, task: Task[S], *, timeout: float | None = None, share: bool = True, label: str | None = None
    ) -> AsyncTicket[S]:
        """See :meth:`Hub.submit`. Call it while the event loop is running, and await the ticket."""
        engine, progress = self._open_engine(), Progress()
        seconds, label = checked_timeout(timeout), checked_label(label)
        solving = engine.solve(task, seconds, progress, share=share, label=label)
        return AsyncTicket(asyncio.ensure_future(solving), progress)

    def attach(self, token: str, *, timeout: float | None = None) -> AsyncTicket[Solution]:
        """See :meth:`Hub.attach`."""
        engine, progress = self._open_engine(), Progress()
        waiting = engine.attach(token, checked_timeout(timeout), progress)
        return AsyncTicket(asyncio.ensure_future(waiting), progress)

    def solve_many(
        self,
        tasks: Iterable[Task[S] | Callable[[], Task[S]]] | AsyncIterable[Task[S] | Callable[[], Task[S]]],
        *,
        timeout: float | None = None,
        in_flight: int = 32,
        share: bool = True,
        label: Callable[[Task[S] | Callable[[], Task[S]]], str | None] = file_of,
    ) -> AsyncIterator[Outcome[S]]:
        """See :meth:`Hub.solve_many`. ``tasks`` may be asynchronous; callables run in the event loop."""
        seconds = checked_timeout(timeout)

        def submit(task: Task[S], item: Task[S] | Callable[[], Task[S]]) -> AsyncTicket[S]:
            return self.submit(task, timeout=seconds, share=share, label=label(item))

        return as_completed_async(tasks, submit, checked_count("in_flight", in_flight))

    async def balances(self) -> dict[str, Balance | CaptchaHubError]:
        """See :meth:`Hub.balances`."""
        return await self._open_engine().balances()

    async def services(self, provider: str) -> tuple[Service, ...]:
        """See :meth:`Hub.services`."""
        return await self._open_engine().services(provider)

    async def report(self, answer: Result[Any] | Vote[Any] | Attempt, *, correct: bool) -> None:
        """See :meth:`Hub.report`."""
        await self._open_engine().report(answer, correct=correct)

    async def health(self) -> dict[str, ProviderHealth]:
        """See :meth:`Hub.health`."""
        return await self._open_engine().health()

    async def recorded_health(self) -> list[HealthEntry]:
        """See :meth:`Hub.recorded_health`."""
        return await self._open_engine().recorded_health()

    def plugins(self) -> list[PluginRecord]:
        """See :meth:`Hub.plugins`."""
        return list(self._engine.plugins.records)

    def on(self, event_class: type[E], callback: Callable[[E], object]) -> Callable[[], None]:
        """See :meth:`Hub.on`. No event loop needs to run; callbacks run in a thread of their own."""
        if self._is_closed:
            raise HubClosed
        return self._engine.callbacks.add(event_class, callback)

    async def reload(self) -> None:
        """See :meth:`Hub.reload`. Reading the file blocks the event loop."""
        engine, loaded = self._open_engine(), self._source.read()
        await engine.reload(loaded.settings, loaded.plugins)
        self._engine.follow(loaded.settings, loaded.plugins)

    async def revive(self, provider: str) -> None:
        """See :meth:`Hub.revive`."""
        await self._open_engine().revive(provider)

    async def spend(self, *, zone: tzinfo = UTC, since: datetime | None = None) -> list[Spend]:
        """See :meth:`Hub.spend`."""
        return await self._open_engine().spend(checked_zone(zone), checked_since(since))

    async def budgets(self) -> list[BudgetStatus]:
        """See :meth:`Hub.budgets`."""
        return await self._open_engine().budgets()

    async def jobs(
        self,
        *,
        state: JobState | None = None,
        provider: str | None = None,
        is_given: bool | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[JobEntry]:
        """See :meth:`Hub.jobs`."""
        wanted = checked_filter(state, provider, is_given, since, limit)
        return await self._open_engine().jobs(wanted)

    async def job(self, entry_id: int) -> JobEntry | None:
        """See :meth:`Hub.job`."""
        return await self._open_engine().job(entry_id)

    async def resolve(self, job: JobEntry, state: JobState, *, cost: Decimal | None = None) -> None:
        """See :meth:`Hub.resolve`."""
        engine = self._open_engine()
        await engine.resolve(checked_job(job), checked_state(state), checked_cost(cost))

    def resume(self, *, in_flight: int = 32) -> AsyncIterator[Collected]:
        """See :meth:`Hub.resume`."""
        return self._open_engine().resume(checked_count("in_flight", in_flight))

    async def close(self) -> None:
        """See :meth:`Hub.close`."""
        self._check_loop()
        self._is_closed = True
        engine = self._engine.made
        if engine is not None:
            await engine.aclose()

    async def __aenter__(self) -> Self:
        self._check_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _open_engine(self) -> Engine:
        """Return the engine. Raises HubClosed, or RuntimeError in another loop than the hub's."""
        self._check_loop()
        if self._is_closed:
            raise HubClosed
        return self._engine.get()

    def _check_loop(self) -> None:
        running = asyncio.get_running_loop()
        if self._process != process():
            # The first loop that the child calls from becomes the hub's own.
            keep(self._loop)
            self._process, self._loop = process(), None
        if self._loop is None:
            self._loop = running
        if self._loop is not running:
            raise RuntimeError("this AsyncHub belongs to another event loop; create one for each loop")
