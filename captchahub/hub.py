"""The library for threads: :class:`Hub`. For event loops there is :mod:`captchahub.async_hub`."""

from __future__ import annotations

import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from captchahub._engine.engine import Engine
from captchahub._engine.resume import ResumeIterator
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
from captchahub._hub.blocking import blocks_a_loop
from captchahub._hub.bulk import as_completed
from captchahub._hub.loop_thread import LoopThread
from captchahub._hub.process_engine import ProcessEngine
from captchahub._plugins.manager import Plugins, checked_plugins
from captchahub._support.forking import keep, process, refuse_elsewhere
from captchahub.config import LoadedConfiguration, Source
from captchahub.errors import CaptchaHubError, HubClosed
from captchahub.jobs import Collected, JobEntry, JobState, Spend
from captchahub.plugins import PluginRecord
from captchahub.provider import Balance, Service
from captchahub.results import Attempt, Outcome, ProviderHealth, Result, Vote
from captchahub.settings import HubSettings
from captchahub.tasks import Solution, Task
from captchahub.tickets import Progress, Ticket

__all__ = ["Hub"]

S = TypeVar("S", bound=Solution)

T = TypeVar("T")


class Hub:
    """The library for ordinary, blocking code: make one, share it among threads, close it.

    The work is done in one background thread, started by the first call. A hub made before a fork works in
    the child as well, as a hub of its own that shares the journal; tickets and iterators stay in the process
    that got them. A hub that is never closed is ended with the program.

    ``plugins`` are those that were loaded with the settings; if None, the hub loads those that they name.
    """

    def __init__(self, settings: HubSettings, *, plugins: Plugins | None = None) -> None:
        self._source = Source()
        self._engine = ProcessEngine(settings, plugins)
        self._thread: LoopThread | None = None
        self._finalizer: weakref.finalize[[], Any] | None = None
        self._is_closed = False
        self._lock = threading.Lock()
        self._reloading = threading.Lock()
        _hubs.add(self)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], *, plugins: Sequence[object] = ()) -> Self:
        """A hub as a YAML file describes it; ``plugins`` are plugin objects that need no installation.

        Raises :class:`~captchahub.errors.ConfigError` with every problem of the file.
        """
        source = Source(checked_path(path), checked_plugins(plugins))
        loaded = source.read()
        hub = cls(loaded.settings, plugins=loaded.plugins)
        hub._source = source
        return hub

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object], *, plugins: Sequence[object] = ()) -> Self:
        """A hub as a mapping of the same shape describes it; else as :meth:`from_yaml`."""
        loaded = LoadedConfiguration.from_mapping(mapping, Plugins(plugins))
        return cls(loaded.settings, plugins=loaded.plugins)

    def solve(self, task: Task[S], *, timeout: float | None = None, share: bool = True) -> Result[S]:
        """Solve a task and wait for the result.

        ``timeout`` is for the whole solve, every attempt together, in seconds, None for the hub's own. Equal
        tasks (the same picture, the same options) in flight share one job, also across the processes of one
        journal, unless ``share`` is False. Raises :class:`~captchahub.errors.AllProvidersFailed` (as
        ``SolveTimeout`` where time ran out), :class:`~captchahub.errors.TaskError` for the caller's own
        mistake, ``ConfigError`` where no provider takes such tasks, ``JournalError`` where nothing can be
        written down, ``HubClosed``, or ValueError for a timeout that is not positive.
        """
        self._refuse_to_block_itself("solve")
        ticket = self.submit(task, timeout=timeout, share=share)
        try:
            return ticket.result()
        except BaseException:
            ticket.cancel()
            raise
        finally:
            del ticket  # it holds the error, and the error this frame

    def submit(self, task: Task[S], *, timeout: float | None = None, share: bool = True) -> Ticket[S]:
        """Begin to solve a task and return at once. Arguments and errors are those of :meth:`solve`."""
        seconds = checked_timeout(timeout)
        progress = Progress()
        return Ticket(
            self._start(lambda engine: engine.solve(task, seconds, progress, share=share)), progress
        )

    def attach(self, token: str, *, timeout: float | None = None) -> Ticket[Solution]:
        """A ticket for a job that was ordered before, here or by another process with the same account.

        ``token`` is what ``ticket.token`` or ``JobTimeout.token`` gave. The answer is not checked, for the
        task is not there. The ticket raises the ``ProviderError`` that the job ended with, ValueError for a
        text that is no token, or ``ConfigError`` where its account is not configured.
        """
        seconds, progress = checked_timeout(timeout), Progress()
        return Ticket(self._start(lambda engine: engine.attach(token, seconds, progress)), progress)

    def solve_many(
        self,
        tasks: Iterable[Task[S] | Callable[[], Task[S]]],
        *,
        timeout: float | None = None,
        in_flight: int = 32,
        share: bool = True,
    ) -> Iterator[Outcome[S]]:
        """Solve many tasks; outcomes come in order of completion, errors as values.

        Each is a task, or a callable without arguments that makes one: what that raises is the error of its
        own outcome. :func:`~captchahub.files.tasks_from` gives such callables for files. ``tasks`` may be
        endless: it is read lazily, with at most ``in_flight`` tasks open. ``timeout`` is for each solve, in
        seconds. Stopping the iteration cancels what is under way. An error raised by ``tasks`` itself comes
        out last.
        """
        self._refuse_to_block_itself("solve_many")
        submit = partial(self.submit, timeout=checked_timeout(timeout), share=share)
        return as_completed(tasks, submit, checked_in_flight(in_flight))

    def balances(self) -> dict[str, Balance | CaptchaHubError]:
        """What is left on each account, by provider; an error stands in for what could not be learned.

        A provider that was out is asked again from now on where money is on its account.
        """
        self._refuse_to_block_itself("balances")
        return self._start(lambda engine: engine.balances()).result()

    def services(self, provider: str) -> tuple[Service, ...]:
        """A provider's price list.

        Raises :class:`~captchahub.errors.NotOffered` where the service has none, ``ConfigError`` for an
        unknown name, or a ``ProviderError``.
        """
        self._refuse_to_block_itself("services")
        return self._start(lambda engine: engine.services(provider)).result()

    def report(self, answer: Result[Any] | Vote[Any] | Attempt, *, correct: bool) -> None:
        """Tell the service whether an answer was right. Some refund wrong answers, and ban false reports.

        It is that of a result, or one of its votes, or of an attempt, such as one whose answer failed a
        check. Raises :class:`~captchahub.errors.NotOffered` where the service takes no such report, or no job
        is known, or the job is of another account than the provider is now; ``ConfigError`` where it is of a
        provider that this hub has not got; or a ``ProviderError``.
        """
        self._refuse_to_block_itself("report")
        self._start(lambda engine: engine.report(answer, correct=correct)).result()

    def health(self) -> dict[str, ProviderHealth]:
        """Which providers are asked, which are left alone, until when and why."""
        self._refuse_to_block_itself("health")
        return self._start(lambda engine: engine.health()).result()

    def plugins(self) -> list[PluginRecord]:
        """Every plugin, installed or passed in: whether it is used, and if it can't be, why."""
        return list(self._engine.plugins.records)

    def reload(self) -> None:
        """Read the configuration file again, and go by it from now on.

        Solves under way end by the settings that they began with; their jobs are collected, and providers
        that are gone or changed are let go of after their last one. Providers whose settings are the same
        keep their connections and health. Raises :class:`~captchahub.errors.ConfigError` where the file has
        problems or names another journal, and all stays as it was; RuntimeError where the hub was not made
        by :meth:`from_yaml`.
        """
        self._refuse_to_block_itself("reload")
        # Who reads later also sets later.
        with self._reloading:
            loaded = self._source.read()
            self._start(lambda engine: engine.reload(loaded.settings, loaded.plugins)).result()
            self._engine.follow(loaded.settings, loaded.plugins)

    def revive(self, provider: str) -> None:
        """Ask a provider again from now on, such as one that was out and whose account was topped up.

        Raises ``ConfigError`` for an unknown name.
        """
        self._refuse_to_block_itself("revive")
        self._start(lambda engine: engine.revive(provider)).result()

    def spend(self, *, zone: tzinfo = UTC, since: datetime | None = None) -> list[Spend]:
        """What was spent by day of a time zone, provider and task kind, the oldest day first.

        It is what the services charged, or may have: an open or ambiguous job counts with its full price.
        Without a configured journal it begins with the hub. ``since`` leaves out what was ordered before,
        give or take a quarter of an hour. Raises ``JournalError``.
        """
        self._refuse_to_block_itself("spend")
        return self._start(lambda engine: engine.spend(checked_zone(zone), checked_since(since))).result()

    def jobs(self, *, state: JobState | None = None, limit: int = 100) -> list[JobEntry]:
        """The newest jobs of the journal, the newest one first; all, or those in one state.

        Those of accounts that this hub has not got are among them: ``is_of_other_account`` says so.
        Raises ``JournalError``, or TypeError and ValueError for other arguments than these.
        """
        self._refuse_to_block_itself("jobs")
        wanted, most = None if state is None else checked_state(state), checked_limit(limit)
        return self._start(lambda engine: engine.jobs(wanted, most)).result()

    def resolve(self, job: JobEntry, state: JobState, *, cost: Decimal | None = None) -> None:
        """Settle by hand what nobody can tell: say what became of an ambiguous or created job, and its cost.

        Without a cost nothing is charged for one that was not sent or refused, and the full price for every
        other. Raises ValueError where the job can't be settled so, or was settled meanwhile, TypeError for
        other arguments than these, or ``JournalError``.
        """
        self._refuse_to_block_itself("resolve")
        entry, wanted, known = checked_job(job), checked_state(state), checked_cost(cost)
        self._start(lambda engine: engine.resolve(entry, wanted, known)).result()

    def resume(self, *, in_flight: int = 32) -> Iterator[Collected]:
        """Give every answer that was paid for with the accounts of this hub and that nobody has got, once.

        They are those of processes that have ended, and of solves that timed out or were cancelled without
        another answer. An answer has been got where a solve returned it, or ``attach``, or where it was taken
        from this iterator; one that an iteration left half-way has not given is given the next time. Should
        the process be killed right after it took an answer, that comes once more.

        What is not over is asked for, by one process only, and given as it comes. What could not be collected
        is given with its error, and stays for the next time where the job is not over. Jobs of a process that
        is alive are its own. On this machine it is known at once that one has ended; else it is taken for
        dead after a minute without a word, and its jobs are left out until then: ``held_until`` of
        :meth:`jobs` says when that is over. Raises ``JournalError``, or ``HubClosed``.
        """
        self._refuse_to_block_itself("resume")
        return self._resumed(checked_in_flight(in_flight))

    def _resumed(self, in_flight: int) -> Iterator[Collected]:
        collecting = self._start(lambda engine: _collecting(engine, in_flight)).result()
        is_taken = True
        try:
            while True:
                refuse_elsewhere(collecting.home, "an iterator of resume")
                coming = self._start(lambda _: collecting.next())
                is_taken = False
                try:
                    collected = coming.result()
                finally:
                    coming.cancel()
                if collected is None:
                    return
                is_taken = True
                yield collected
        finally:
            self._end(collecting, is_taken=is_taken)

    def _end(self, collecting: ResumeIterator, *, is_taken: bool) -> None:
        if collecting.home != process():
            return
        with suppress(HubClosed):
            ending = self._start(lambda _: collecting.end(is_taken=is_taken))
            # The garbage collector may call this from the hub's own thread, which can't wait for itself.
            if self._thread is not None and not self._thread.is_current():
                ending.result()

    def close(self) -> None:
        """Cancel what is under way, and let go of threads and sockets. Harmless to repeat.

        A thread that nothing can interrupt, in a name look-up or in a local engine, is left to end by itself.
        """
        with self._lock:
            self._is_closed = True
            finalizer = self._finalizer
        if finalizer is not None:
            finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> Future[T]:
        with self._lock:
            if self._is_closed:
                raise HubClosed
            self._leave_parent()
            engine = self._engine.get()
            if self._thread is None:
                self._thread = LoopThread()
                # Ends the thread when the hub is forgotten, or when the program ends without close().
                self._finalizer = weakref.finalize(self, partial(self._thread.stop, engine.aclose))
            return self._thread.submit(partial(work, engine))

    def _refuse_to_block_itself(self, name: str) -> None:
        if self._thread is not None and self._thread.is_current():
            raise RuntimeError(
                f"Hub.{name} would wait for itself in the hub's own thread, where callbacks run; use submit"
            )
        _warn_if_it_blocks_a_loop(name)

    def _after_fork(self) -> None:
        """Begin anew in the child, where a lock that a thread of the parent held would stay locked."""
        self._lock = threading.Lock()
        self._reloading = threading.Lock()
        self._leave_parent()

    def _leave_parent(self) -> None:
        """Forget the thread where it is the parent's, which a fork does not copy."""
        if self._thread is None or self._thread.process == process():
            return
        if self._finalizer is not None:
            self._finalizer.detach()
        keep(self._thread)
        self._thread = self._finalizer = None


_hubs: weakref.WeakSet[Hub] = weakref.WeakSet()


def _after_fork() -> None:
    for hub in list(_hubs):
        # A fork leaves no other way to reach the hubs.
        hub._after_fork()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _warn_if_it_blocks_a_loop(name: str) -> None:
    # A notebook's cells run inside its loop and block it anyhow, whatever they call.
    if "ipykernel" not in sys.modules and blocks_a_loop():
        warnings.warn(
            f"Hub.{name} blocks the event loop running in this thread until it is done; "
            f"here use AsyncHub and await it",
            RuntimeWarning,
            stacklevel=4,
        )


async def _collecting(engine: Engine, in_flight: int) -> ResumeIterator:
    return ResumeIterator(engine.resume(in_flight))
