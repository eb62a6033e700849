"""A bounded pool of threads for calls that block, awaited from an event loop.

The standard library's pool is joined when the interpreter exits, so a call that hangs would hold the whole
program. These threads are daemons: a program that forgets to close still ends.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")

Report = Callable[[], object]
"""Reports the outcome of some work. It is called when the thread is free again."""

Work = Callable[[], Report]
"""Does some work, and returns what reports its outcome. It never raises."""

Inbox = SimpleQueue[Work | None]
"""The work for one thread; None ends it."""

# How long a thread waits for work before it ends, in seconds. Jobs are polled more often than that.
_IDLE_SECONDS = 10.0


class Workers:
    """At most ``limit`` threads, started when there is work for them. Those without work end after a while.

    ``idle_seconds`` is how long a thread waits for work.
    """

    def __init__(self, name: str, limit: int, *, idle_seconds: float = _IDLE_SECONDS) -> None:
        # The threads have only this, so that they end if the workers are garbage-collected without aclose().
        self._threads = _Threads(name, limit, idle_seconds)
        weakref.finalize(self, self._threads.dismiss)

    def begin(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Call ``work()`` in one of the threads; the future belongs to the running loop.

        It is done when the thread is free again. Cancelling it takes work that has not started out of the
        queue; work that has started goes on unattended.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._threads.put(partial(_do_for_loop, work, future, loop))
        return future

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Call ``work()`` in one of the threads; the future is for any thread."""
        future: Future[T] = Future()
        self._threads.put(partial(_do, work, future))
        return future

    def allow(self, limit: int) -> None:
        """Use at most ``limit`` threads from now on. Those in excess end after what they are doing."""
        self._threads.allow(limit)

    async def aclose(self, patience: float) -> None:
        """End the threads, and wait up to ``patience`` seconds for those that still work."""
        threads = self._threads.dismiss()
        if threads:
            await asyncio.wait([asyncio.wrap_future(ended) for _, ended in threads], timeout=patience)
        for thread, ended in threads:
            if ended.done():
                thread.join()


class _Threads:
    """The threads of some workers, and the work that waits for one."""

    def __init__(self, name: str, limit: int, idle_seconds: float) -> None:
        self._name = name
        self._limit = limit
        self._idle_seconds = idle_seconds
        # A garbage collection can call dismiss() in a thread that holds it already.
        self._lock = threading.RLock()
        self._waiting: deque[Work] = deque()
        # The thread that worked last gets the next work, so that those that are not needed stay without.
        self._idle: list[Inbox] = []
        self._threads: dict[Inbox, tuple[threading.Thread, Future[None]]] = {}

    def allow(self, limit: int) -> None:
        """Use at most ``limit`` threads from now on. Those in excess end after what they are doing."""
        if limit == self._limit:
            return
        with self._lock:
            self._limit = limit
        while True:
            # Not all at once, because starting a thread takes a while and other threads need the lock.
            with self._lock:
                if not self._waiting or len(self._threads) >= limit:
                    return
                self._start(self._waiting.popleft())

    def put(self, work: Work) -> None:
        with self._lock:
            if self._idle:
                self._idle.pop().put(work)
            elif len(self._threads) < self._limit:
                self._start(work)
            else:
                self._waiting.append(work)

    def _start(self, work: Work) -> None:
        inbox, ended = Inbox(), Future[None]()
        inbox.put(work)
        name = f"captchahub {self._name} {len(self._threads) + 1}"
        thread = threading.Thread(target=self._serve, args=(inbox, ended), name=name, daemon=True)
        self._threads[inbox] = thread, ended
        try:
            thread.start()
        except RuntimeError:
            # The system allows no more threads. Those that run can do the work, too.
            del self._threads[inbox]
            if not self._threads:
                raise
            self._waiting.appendleft(work)

    def _serve(self, inbox: Inbox, ended: Future[None]) -> None:
        while (work := self._next(inbox)) is not None:
            report = work()
            # Before the report, so that a caller who then submits more work finds this thread free.
            self._release(inbox)
            report()
            # A thread that waits for more must not keep alive what this work refers to, such as a picture.
            del work, report
        ended.set_result(None)

    def _release(self, inbox: Inbox) -> None:
        """Give a thread its next work, or end it, or note that it is idle."""
        with self._lock:
            if self._waiting and len(self._threads) <= self._limit:
                inbox.put(self._waiting.popleft())
            elif inbox in self._threads and len(self._threads) <= self._limit:
                self._idle.append(inbox)
            else:
                self._threads.pop(inbox, None)
                inbox.put(None)

    def _next(self, inbox: Inbox) -> Work | None:
        try:
            return inbox.get(timeout=self._idle_seconds)
        except Empty:
            with self._lock:
                if inbox in self._idle:
                    self._idle.remove(inbox)
                    self._threads.pop(inbox, None)
                    return None
            # It has got work in this moment.
            return inbox.get()

    def dismiss(self) -> list[tuple[threading.Thread, Future[None]]]:
        """End the threads after the work that waits, and return them, each with a future for its end."""
        with self._lock:
            threads = list(self._threads.values())
            self._threads.clear()
            for inbox in self._idle:
                inbox.put(None)
            self._idle.clear()
        return threads


def _do(work: Callable[[], T], future: Future[T]) -> Report:
    if not future.set_running_or_notify_cancel():
        return _report_nothing
    try:
        return partial(future.set_result, work())
    except BaseException as error:  # noqa: BLE001 - the future raises it
        return partial(future.set_exception, error)


def _do_for_loop(work: Callable[[], T], future: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> Report:
    if future.done():
        return _report_nothing
    try:
        settle: Report = partial(_settle, future, work())
    except BaseException as error:  # noqa: BLE001 - the future raises it
        return partial(_call_soon, loop, partial(_fail, future, error))
    return partial(_call_soon, loop, settle)


def _call_soon(loop: asyncio.AbstractEventLoop, settle: Report) -> None:
    # A loop that was closed meanwhile raises this, and then no caller is left.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(settle)


def _settle(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _report_nothing() -> None:
    """Report the outcome of work that was cancelled before it began."""
