"""The library for event loops: :class:`AsyncHub`. For threads there is :mod:`captchahub.hub`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from captchahub._engine.engine import Engine
from captchahub._hub.arguments import (
    checked_cost,
    checked_in_flight,
    checked_job,
    checked_limit,
    checked_path,
    checked_since,
    checked_state,
    checked_timeout,
    checked_zone,
)
from captchahub._hub.bulk import as_completed_async
from captchahub._hub.process_engine import ProcessEngine
from captchahub._plugins.manager import Plugins, checked_plugins
from captchahub._support.forking import keep, process
from captchahub.config import LoadedConfiguration, Source
from captchahub.errors import CaptchaHubError, HubClosed
from captchahub.jobs import Collected, JobEntry, JobState, Spend
from captchahub.plugins import PluginRecord
from captchahub.provider import Balance, Service
from captchahub.results import Attempt, Outcome, ProviderHealth, Result, Vote
from captchahub.settings import HubSettings
from captchahub.tasks import Solution, Task
from captchahub.tickets import AsyncTicket, Progress

__all__ = ["AsyncHub"]

S = TypeVar("S", bound=Solution)

T = TypeVar("T")


class AsyncHub:
    """The library for event loops: the names of :class:`Hub`, awaitable. One hub belongs to one loop.

    A hub made before a fork works in a loop of the child as well, as :class:`Hub` does.
    """

    def __init__(self, settings: HubSettings, *, plugins: Plugins | None = None) -> None:
        self._engine = ProcessEngine(settings, plugins)
        self._source = Source()
        self._process = process()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], *, plugins: Sequence[object] = ()) -> Self:
        """As :meth:`Hub.from_yaml`."""
        source = Source(checked_path(path), checked_plugins(plugins))
        loaded = source.read()
        hub = cls(loaded.settings, plugins=loaded.plugins)
        hub._source = source
        return hub

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object], *, plugins: Sequence[object] = ()) -> Self:
        """As :meth:`Hub.from_mapping`."""
        loaded = LoadedConfiguration.from_mapping(mapping, Plugins(plugins))
        return cls(loaded.settings, plugins=loaded.plugins)

    async def solve(self, task: Task[S], *, timeout: float | None = None, share: bool = True) -> Result[S]:
        """As :meth:`Hub.solve`. Cancelling it cancels the solve."""
        return await self._ours().solve(task, checked_timeout(timeout), share=share)

    def submit(self, task: Task[S], *, timeout: float | None = None, share: bool = True) -> AsyncTicket[S]:
        """As :meth:`Hub.submit`; call it where the event loop runs, and await the ticket."""
        engine, seconds, progress = self._ours(), checked_timeout(timeout), Progress()
        return AsyncTicket(
            asyncio.ensure_future(engine.solve(task, seconds, progress, share=share)), progress
        )

    def attach(self, token: str, *, timeout: float | None = None) -> AsyncTicket[Solution]:
        """As :meth:`Hub.attach`."""
        engine, seconds, progress = self._ours(), checked_timeout(timeout), Progress()
        return AsyncTicket(asyncio.ensure_future(engine.attach(token, seconds, progress)), progress)

    def solve_many(
        self,
        tasks: Iterable[Task[S] | Callable[[], Task[S]]] | AsyncIterable[Task[S] | Callable[[], Task[S]]],
        *,
        timeout: float | None = None,
        in_flight: int = 32,
        share: bool = True,
    ) -> AsyncIterator[Outcome[S]]:
        """As :meth:`Hub.solve_many`; ``tasks`` may be asynchronous, and callables run in the event loop."""
        submit = partial(self.submit, timeout=checked_timeout(timeout), share=share)
        return as_completed_async(tasks, submit, checked_in_flight(in_flight))

    async def balances(self) -> dict[str, Balance | CaptchaHubError]:
        """As :meth:`Hub.balances`."""
        return await self._ours().balances()

    async def services(self, provider: str) -> tuple[Service, ...]:
        """As :meth:`Hub.services`."""
        return await self._ours().services(provider)

    async def report(self, answer: Result[Any] | Vote[Any] | Attempt, *, correct: bool) -> None:
        """As :meth:`Hub.report`."""
        await self._ours().report(answer, correct=correct)

    async def health(self) -> dict[str, ProviderHealth]:
        """As :meth:`Hub.health`."""
        return await self._ours().health()

    def plugins(self) -> list[PluginRecord]:
        """As :meth:`Hub.plugins`."""
        return list(self._engine.plugins.records)

    async def reload(self) -> None:
        """As :meth:`Hub.reload`. The file is read in the event loop's thread."""
        engine, loaded = self._ours(), self._source.read()
        await engine.reload(loaded.settings, loaded.plugins)
        self._engine.follow(loaded.settings, loaded.plugins)

    async def revive(self, provider: str) -> None:
        """As :meth:`Hub.revive`."""
        await self._ours().revive(provider)

    async def spend(self, *, zone: tzinfo = UTC, since: datetime | None = None) -> list[Spend]:
        """As :meth:`Hub.spend`."""
        return await self._ours().spend(checked_zone(zone), checked_since(since))

    async def jobs(self, *, state: JobState | None = None, limit: int = 100) -> list[JobEntry]:
        """As :meth:`Hub.jobs`."""
        wanted, most = None if state is None else checked_state(state), checked_limit(limit)
        return await self._ours().jobs(wanted, most)

    async def resolve(self, job: JobEntry, state: JobState, *, cost: Decimal | None = None) -> None:
        """As :meth:`Hub.resolve`."""
        entry, wanted, known = checked_job(job), checked_state(state), checked_cost(cost)
        await self._ours().resolve(entry, wanted, known)

    def resume(self, *, in_flight: int = 32) -> AsyncIterator[Collected]:
        """As :meth:`Hub.resume`."""
        return self._ours().resume(checked_in_flight(in_flight))

    async def close(self) -> None:
        """As :meth:`Hub.close`."""
        self._stay_in_loop()
        self._is_closed = True
        engine = self._engine.made
        if engine is not None:
            await engine.aclose()

    async def __aenter__(self) -> Self:
        self._stay_in_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _ours(self) -> Engine:
        """The engine, for the loop it belongs to."""
        self._stay_in_loop()
        if self._is_closed:
            raise HubClosed
        return self._engine.get()

    def _stay_in_loop(self) -> None:
        running = asyncio.get_running_loop()
        if self._process != process():
            keep(self._loop)
            self._process, self._loop = process(), None
        if self._loop is None:
            self._loop = running
        if self._loop is not running:
            raise RuntimeError("this AsyncHub belongs to another event loop; make one for each loop")
