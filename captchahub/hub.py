"""The library for blocking code: :class:`Hub`. For event loops see :mod:`captchahub.async_hub`."""

from __future__ import annotations

import os
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from functools import partial
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
from captchahub._hub.bulk import as_completed, file_of
from captchahub._hub.loop_check import blocks_a_loop
from captchahub._hub.loop_thread import LoopThread
from captchahub._plugins.manager import checked_plugins
from captchahub._support.forking import keep, process, refuse_elsewhere
from captchahub.config import Plugins, Source, read_mapping
from captchahub.errors import CaptchaHubError, HubClosed, SolveCancelled
from captchahub.events import Event
from captchahub.jobs import BudgetStatus, Collected, JobEntry, JobState, Spend
from captchahub.plugins import PluginRecord
from captchahub.provider import Balance, Service
from captchahub.results import Attempt, HealthEntry, Outcome, ProviderHealth, Result, Vote
from captchahub.settings import HubSettings
from captchahub.tasks import Solution, Task
from captchahub.tickets import Progress, Ticket

if TYPE_CHECKING:
    from captchahub._engine.engine import Engine
    from captchahub._engine.resume import ResumeIterator

__all__ = ["Hub"]

S = TypeVar("S", bound=Solution)

E = TypeVar("E", bound=Event)

T = TypeVar("T")


class Hub:
    """The library for ordinary, blocking code: create one, share it among threads, close it.

    All work runs in one background thread, which the first call starts. A hub created before a fork works in
    the child too, as a separate hub that shares the journal; tickets and iterators belong to the process that
    created them. A hub that is never closed ends with the program.

    Methods that wait raise ``RuntimeError`` if they are called in the background thread, as a callback is,
    and warn with ``RuntimeWarning`` if they block an event loop. All of them raise
    :class:`~captchahub.errors.HubClosed` after :meth:`close`.

    ``plugins`` are those that were loaded with the settings. If None, the hub loads those that they name.
    """

    def __init__(self, settings: HubSettings, *, plugins: Plugins | None = None) -> None:
        # requests and sqlite3 come with it, and a program that only imports this class needs neither.
        from captchahub._engine.engine import ProcessEngine  # noqa: PLC0415 - see above

        self._source = Source()
        self._engine = ProcessEngine(settings, plugins)
        self._thread: LoopThread | None = None
        self._finalizer: weakref.finalize[[], Any] | None = None
        self._is_closed = False
        self._lock = threading.Lock()
        self._reload_lock = threading.Lock()
        _hubs.add(self)

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str], *, plugins: Sequence[object] = ()) -> Self:
        """Create a hub from a YAML file. ``plugins`` are plugin objects that need not be installed.

        Raises :class:`~captchahub.errors.ConfigError` with every problem of the file.
        """
        source = Source(checked_path(path), checked_plugins(plugins))
        loaded = source.read()
        hub = cls(loaded.settings, plugins=loaded.plugins)
        hub._source = source
        return hub

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object], *, plugins: Sequence[object] = ()) -> Self:
        """Create a hub from a mapping with the keys of the YAML file. See :meth:`from_yaml`."""
        known = Plugins(plugins)
        return cls(read_mapping(mapping, known), plugins=known)

    def solve(
        self, task: Task[S], *, timeout: float | None = None, share: bool = True, label: str | None = None
    ) -> Result[S]:
        """Solve a task and wait for the result.

        ``timeout`` limits the whole solve with all its attempts, in seconds; None means the ``timeout`` of
        the configuration. Equal tasks (the same picture and options) that are solved at the same time share
        one job, also across the processes of one journal, unless ``share`` is False. ``label`` is the
        caller's own name of the task, such as the name of its file; the journal keeps it with the job.

        Raises :class:`~captchahub.errors.AllProvidersFailed` (its subclass ``SolveTimeout`` if time ran out),
        :class:`~captchahub.errors.TaskError` if the task cannot be solved as it is, ``ConfigError`` if no
        provider takes such tasks, ``JournalError`` if the job cannot be recorded, ``HubClosed``, and
        ``ValueError`` if ``timeout`` is not positive.
        """
        self._check_may_wait("solve")
        seconds, label = checked_timeout(timeout), checked_label(label)
        return _result_of(self._start(lambda engine: engine.solve(task, seconds, share=share, label=label)))

    def submit(
        self, task: Task[S], *, timeout: float | None = None, share: bool = True, label: str | None = None
    ) -> Ticket[S]:
        """Start to solve a task and return at once. Arguments and errors are those of :meth:`solve`."""
        progress, seconds, label = Progress(), checked_timeout(timeout), checked_label(label)
        solving = self._start(lambda engine: engine.solve(task, seconds, progress, share=share, label=label))
        return Ticket(solving, progress)

    def attach(self, token: str, *, timeout: float | None = None) -> Ticket[Solution]:
        """Return a ticket for a job that this or another process with the same account has created.

        ``token`` is the text of ``ticket.token`` or ``JobTimeout.token``; ``timeout`` is in seconds. The
        answer is not checked, because the task is not known here.

        The ticket raises the ``ProviderError`` that the job ended with, ``ConfigError`` if the account of the
        job is not configured, and ``ValueError`` if the text is not a token.
        """
        progress, seconds = Progress(), checked_timeout(timeout)
        return Ticket(self._start(lambda engine: engine.attach(token, seconds, progress)), progress)

    def solve_many(
        self,
        tasks: Iterable[Task[S] | Callable[[], Task[S]]],
        *,
        timeout: float | None = None,
        in_flight: int = 32,
        share: bool = True,
        label: Callable[[Task[S] | Callable[[], Task[S]]], str | None] = file_of,
    ) -> Iterator[Outcome[S]]:
        """Solve many tasks, and yield their outcomes in order of completion, errors as values.

        Each item is a task, or a callable without arguments that returns one; an error that the callable
        raises is the error of its own outcome. :func:`~captchahub.files.tasks_from` makes such callables from
        paths. ``tasks`` is read lazily and may be endless: at most ``in_flight`` tasks are open at a time.
        ``timeout`` limits each solve, in seconds. Stopping the iteration cancels the open solves. An error
        raised by ``tasks`` itself is raised last, after all outcomes. ``label`` returns the label of an item;
        by default it is the path, if the item is of ``tasks_from``.
        """
        self._check_may_wait("solve_many")
        seconds = checked_timeout(timeout)

        def submit(task: Task[S], item: Task[S] | Callable[[], Task[S]]) -> Ticket[S]:
            return self.submit(task, timeout=seconds, share=share, label=label(item))

        return as_completed(tasks, submit, checked_count("in_flight", in_flight))

    def balances(self) -> dict[str, Balance | CaptchaHubError]:
        """Return the balance of each account by provider, or the error that its service answered with.

        A provider that was out is used again if its account has money.
        """
        return self._call("balances", lambda engine: engine.balances())

    def services(self, provider: str) -> tuple[Service, ...]:
        """Return the price list of a provider.

        Raises :class:`~captchahub.errors.NotOffered` if the service has none, ``ConfigError`` if the name is
        unknown, or a ``ProviderError``.
        """
        return self._call("services", lambda engine: engine.services(provider))

    def report(self, answer: Result[Any] | Vote[Any] | Attempt, *, correct: bool) -> None:
        """Report to the service whether an answer was right.

        Some services refund wrong answers, and block accounts that report falsely. ``answer`` is a result,
        one of its votes, or an attempt, for example one whose answer failed a check.

        Raises :class:`~captchahub.errors.NotOffered` if the service takes no such report, the job id is
        unknown, or the provider's account has changed since; ``ConfigError`` if this hub does not have the
        provider; or a ``ProviderError``.
        """
        self._call("report", lambda engine: engine.report(answer, correct=correct))

    def health(self) -> dict[str, ProviderHealth]:
        """Return the health of each provider by name: whether it is used and, if not, why and until when."""
        return self._call("health", lambda engine: engine.health())

    def recorded_health(self) -> list[HealthEntry]:
        """Return which providers the hubs of the journal do not use now, the latest change first.

        Each hub with a journal in a file records there when a provider cools down, is out or recovers, so
        that other processes can read it. There is no entry for a healthy provider, for a cooldown that is
        over, or of a hub that has been closed or whose process has ended: the next hub uses all its
        providers. An account that is out with another token is another account. Several hubs may have an
        entry for the same account. Raises ``JournalError``.
        """
        return self._call("recorded_health", lambda engine: engine.recorded_health())

    def plugins(self) -> list[PluginRecord]:
        """Return every plugin, installed or passed in: whether it is used or, if it cannot be, why."""
        return list(self._engine.plugins.records)

    def on(self, event_class: type[E], callback: Callable[[E], object]) -> Callable[[], None]:
        """Call a function with each event of a class, and return a function that removes it again.

        ``event_class`` is a class of :mod:`captchahub.events`; its subclasses are included, so ``Event``
        stands for all of them: ``hub.on(events.Solved, print)``. A callback receives the events from now on,
        also after :meth:`reload` and in a forked child.

        Callbacks run in the thread of the observers, with the context variables of the caller that submitted
        the task. A slow callback delays other observers and no solve. An error that a callback raises is
        logged once and has no other effect. Closing the hub waits up to two seconds for callbacks. Removing a
        callback twice is harmless.

        Raises TypeError for a wrong class, for anything that cannot be called and for a coroutine function,
        and ``HubClosed``.
        """
        if self._is_closed:
            raise HubClosed
        return self._engine.callbacks.add(event_class, callback)

    def reload(self) -> None:
        """Read the configuration file again, and use it from now on.

        Open solves finish with the settings they started with, and their jobs are still collected. Providers
        whose settings are the same keep their health; removed and changed ones are closed after their last
        solve. The proxies and certificates that the environment names are looked up again.

        Raises :class:`~captchahub.errors.ConfigError` if the file has problems or names another journal, and
        ``RuntimeError`` if the hub was not created by :meth:`from_yaml`. In both cases nothing changes.
        """
        self._check_may_wait("reload")
        # Of two concurrent calls the one that reads the file later also has to apply it later.
        with self._reload_lock:
            loaded = self._source.read()
            _result_of(self._start(lambda engine: engine.reload(loaded.settings, loaded.plugins)))
            self._engine.follow(loaded.settings, loaded.plugins)

    def revive(self, provider: str) -> None:
        """Use a provider again from now on, for example one that was out until its account was topped up.

        Raises ``ConfigError`` if the name is unknown.
        """
        self._call("revive", lambda engine: engine.revive(provider))

    def spend(self, *, zone: tzinfo = UTC, since: datetime | None = None) -> list[Spend]:
        """Return what was spent, by day in a time zone, provider and task kind, the oldest day first.

        The amounts are what the services charged or may have charged: an open or ambiguous job counts with
        its full price. Without a configured journal they start when the hub was created. ``since`` excludes
        jobs created earlier, to within a quarter of an hour. Raises ``JournalError``, or TypeError and
        ValueError for invalid arguments.
        """
        day_zone, begin = checked_zone(zone), checked_since(since)
        return self._call("spend", lambda engine: engine.spend(day_zone, begin))

    def budgets(self) -> list[BudgetStatus]:
        """Return what is spent of each budget in its present period, that of the whole hub first.

        Other processes of the same journal and account are included. Raises ``JournalError``.
        """
        return self._call("budgets", lambda engine: engine.budgets())

    def jobs(
        self,
        *,
        state: JobState | None = None,
        provider: str | None = None,
        is_given: bool | None = None,
        since: datetime | None = None,
        limit: int = 100,
    ) -> list[JobEntry]:
        """Return the newest jobs of the journal, newest first: at most ``limit`` that fit every argument.

        ``provider`` is the name that the provider had when the job was created. ``is_given`` False selects
        the answers that no caller has received. ``since`` leaves out jobs that were created earlier. Jobs of
        accounts that this hub does not have are included; ``is_of_other_account`` marks them.
        Raises ``JournalError``, or TypeError and ValueError for invalid arguments.
        """
        wanted = checked_filter(state, provider, is_given, since, limit)
        return self._call("jobs", lambda engine: engine.jobs(wanted))

    def job(self, entry_id: int) -> JobEntry | None:
        """Return the job with this number in the journal, or None if there is none (any more).

        Raises ``JournalError``.
        """
        return self._call("job", lambda engine: engine.job(entry_id))

    def resolve(self, job: JobEntry, state: JobState, *, cost: Decimal | None = None) -> None:
        """Record by hand what became of an ambiguous or created job, and what it cost.

        If ``cost`` is None, a job that was not sent or was refused costs nothing, and any other job its full
        price. Raises ValueError if the job cannot be settled like this or was settled in the meantime,
        TypeError for invalid arguments, or ``JournalError``.
        """
        entry, end, price = checked_job(job), checked_state(state), checked_cost(cost)
        self._call("resolve", lambda engine: engine.resolve(entry, end, price))

    def resume(self, *, in_flight: int = 32) -> Iterator[Collected]:
        """Yield, once, every answer that the accounts of this hub have paid for and no caller has received.

        These answers are those of processes that have ended, and of solves that timed out or were cancelled
        without another answer. An answer counts as received once a solve or :meth:`attach` returned it, or
        once this iterator yielded it and was advanced or closed. If the process is killed right after an
        answer was yielded, the answer comes once more.

        Jobs that are not done are polled, each by one process only, at most ``in_flight`` at a time, and
        yielded in order of completion. A job that could not be collected is yielded with its error; if it is
        not over, the next call tries again.

        Jobs of a running process are left to it. A process on this machine is known to have ended at once;
        one on another machine is taken for dead after a minute without a sign of life. Its jobs are left out
        until then: ``held_until`` of :meth:`jobs` says how long. Raises ``JournalError``, or ``HubClosed``.
        """
        self._check_may_wait("resume")
        return self._resumed(checked_count("in_flight", in_flight))

    def _resumed(self, in_flight: int) -> Iterator[Collected]:
        answers = _result_of(self._start(lambda engine: _resume(engine, in_flight)))
        is_delivered = True
        try:
            while True:
                refuse_elsewhere(answers.home, "an iterator of resume")
                coming = self._start(lambda _: answers.next())
                # Ctrl-C can strike between here and the yield: the answer then has to come again.
                is_delivered = False
                collected = _result_of(coming)
                if collected is None:
                    return
                is_delivered = True
                yield collected
        finally:
            self._end(answers, is_delivered=is_delivered)

    def _end(self, answers: ResumeIterator, *, is_delivered: bool) -> None:
        if answers.home != process():
            return
        with suppress(HubClosed):
            ending = self._start(lambda _: answers.end(is_taken=is_delivered))
            # The garbage collector may call this in the background thread, which cannot wait for itself.
            if self._thread is not None and not self._thread.is_current():
                ending.result()

    def close(self) -> None:
        """Cancel the open solves, and release threads and sockets. Closing twice is harmless.

        A thread that nothing can interrupt, in a name lookup or in a local provider, ends by itself.
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

    def _call(self, name: str, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> T:
        """Run work of the engine in the background thread, and wait for what it returns."""
        self._check_may_wait(name, stacklevel=4)
        return _result_of(self._start(work))

    def _start(self, work: Callable[[Engine], Coroutine[Any, Any, T]]) -> Future[T]:
        """Start work of the engine in the background thread, which is started first if there is none."""
        # Held to the end, so that close() cannot stop the thread before it has the work.
        with self._lock:
            if self._is_closed:
                raise HubClosed
            self._drop_thread_of_parent()
            engine = self._engine.get()
            if self._thread is None:
                self._thread = LoopThread()
                # Stops the thread if the hub is forgotten, or the program ends, without close().
                self._finalizer = weakref.finalize(self, partial(self._thread.stop, engine.aclose))
            return self._thread.submit(partial(work, engine))

    def _check_may_wait(self, name: str, *, stacklevel: int = 3) -> None:
        """Raise RuntimeError in the background thread, and warn if the call blocks an event loop.

        ``stacklevel`` is that of :func:`warnings.warn`, and leads to the caller of the public method.
        """
        if self._thread is not None and self._thread.is_current():
            raise RuntimeError(
                f"Hub.{name} would wait for itself in the hub's own thread, where callbacks run; use submit"
            )
        # The cells of a notebook run inside its loop and always block it, whatever they call.
        if "ipykernel" not in sys.modules and blocks_a_loop():
            warnings.warn(
                f"Hub.{name} blocks the event loop of this thread until it is done; "
                "use AsyncHub and await it",
                RuntimeWarning,
                stacklevel=stacklevel,
            )

    def _after_fork(self) -> None:
        """Make new locks in the child: a lock that a thread of the parent held would stay locked."""
        self._lock = threading.Lock()
        self._reload_lock = threading.Lock()
        self._drop_thread_of_parent()

    def _drop_thread_of_parent(self) -> None:
        """Forget the background thread in a forked child, because a fork does not copy threads."""
        if self._thread is None or self._thread.process == process():
            return
        if self._finalizer is not None:
            self._finalizer.detach()
        keep(self._thread)
        self._thread = self._finalizer = None


_hubs: weakref.WeakSet[Hub] = weakref.WeakSet()


def _after_fork() -> None:
    for hub in list(_hubs):
        # A fork has no other way to reach the hubs.
        hub._after_fork()  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _result_of(work: Future[T]) -> T:
    """Wait for what some work returns. Ctrl-C while it waits cancels the work."""
    try:
        return work.result()
    except CancelledError:
        raise SolveCancelled("this call was cancelled") from None
    finally:
        work.cancel()
        # The future refers to the error, the error to this frame, and the callers' frames to the picture.
        # Without this cycle the picture is freed at once and not by the next garbage collection.
        del work


async def _resume(engine: Engine, in_flight: int) -> ResumeIterator:
    from captchahub._engine.resume import ResumeIterator  # noqa: PLC0415 - see Hub.__init__

    return ResumeIterator(engine.resume(in_flight))
