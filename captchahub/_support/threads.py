"""A bounded pool of threads for calls that block, awaited from an event loop.

The standard library's pool is joined when the interpreter exits, so a call that hangs would hold the whole
program. These threads are daemons: a program that forgets to close still ends.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")

Work = Callable[[], None]


class Workers:
    """At most ``limit`` threads, started when there is work for them."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._limit = limit
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: dict[threading.Thread, Future[None]] = {}
        self._open_work = 0
        # Ends the threads if the owner is garbage-collected without aclose().
        weakref.finalize(self, _dismiss, self._queue, self._threads)

    async def run(self, work: Callable[[], T]) -> T:
        """Return the value of ``work()``, called in one of the threads.

        Cancelling takes work that has not started out of the queue; work that has started goes on unattended.
        """
        return await asyncio.wrap_future(self.begin(work))

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Call ``work()`` in one of the threads; the future is done when that thread is free again."""
        future: Future[T] = Future()
        with self._lock:
            self._open_work += 1
            self._queue.put(lambda: self._do(work, future))
            if len(self._threads) < min(self._open_work, self._limit):
                name = f"captchahub {self._name} {len(self._threads) + 1}"
                ended: Future[None] = Future()
                # It gets the queue and not these Workers, which could never be garbage-collected otherwise.
                thread = threading.Thread(target=_work, args=(self._queue, ended), name=name, daemon=True)
                self._threads[thread] = ended
                thread.start()
        return future

    def _do(self, work: Callable[[], T], future: Future[T]) -> None:
        if not future.set_running_or_notify_cancel():
            self._count_done()
            return
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - the future raises it
            self._count_done()
            future.set_exception(error)
        else:
            self._count_done()
            future.set_result(value)

    # Called before the future is done, so that a caller who then submits more work finds this thread free.
    def _count_done(self) -> None:
        with self._lock:
            self._open_work -= 1

    async def aclose(self, patience: float) -> None:
        """End the threads, and wait up to ``patience`` seconds for those that still work."""
        with self._lock:
            threads = dict(self._threads)
            _dismiss(self._queue, self._threads)
        if threads:
            await asyncio.wait([asyncio.wrap_future(ended) for ended in threads.values()], timeout=patience)
        for thread, ended in threads.items():
            if ended.done():
                thread.join()


def _work(queue: SimpleQueue[Work | None], ended: Future[None]) -> None:
    while (work := queue.get()) is not None:
        work()
        # While the thread waits for more, it must not keep alive what this work refers to, such as a picture.
        del work
    ended.set_result(None)


def _dismiss(queue: SimpleQueue[Work | None], threads: dict[threading.Thread, Future[None]]) -> None:
    for _ in threads:
        queue.put(None)
    threads.clear()
