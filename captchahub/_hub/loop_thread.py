"""An event loop in a separate thread, on which blocking callers start coroutines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

from captchahub._support.clock import steady
from captchahub._support.forking import process

T = TypeVar("T")

# Seconds for cancelled tasks to hand their errors to their callers.
_CANCELLED_SECONDS = 1.0

# Seconds that stopping waits for the thread: more than the limits that closing the engine has itself.
_STOP_SECONDS = 10.0


class LoopThread:
    """A daemon thread that runs an event loop until it is stopped."""

    def __init__(self) -> None:
        self.process = process()
        """The process of the thread; a fork does not copy threads."""
        ready: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=_run, args=(ready,), name="captchahub", daemon=True)
        try:
            self._thread.start()
            self._loop = ready.result()
        except BaseException:
            # Ctrl-C while the loop was made: it is not used, so it ends at once.
            ready.add_done_callback(_end_made)
            raise

    def is_current(self) -> bool:
        """Return whether the caller runs in this thread."""
        return threading.current_thread() is self._thread

    def submit(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Start a coroutine in the loop, from any thread; cancelling the future cancels it.

        ``work`` makes it in the loop: one made by the caller would never be awaited if Ctrl-C came before it
        was handed over, as with asyncio.run_coroutine_threadsafe().
        """
        future: Future[T] = Future()

        def begin() -> None:
            if not future.cancelled():
                task = self._loop.create_task(work())
                task.add_done_callback(partial(_hand_over, future))
                future.add_done_callback(partial(self._cancel, task))

        self._loop.call_soon_threadsafe(begin)
        return future

    def _cancel(self, task: asyncio.Task[T], future: Future[T]) -> None:
        if future.cancelled() and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(task.cancel)

    def stop(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run one last coroutine, then end the loop and its thread. Does nothing in a forked child."""
        if self.process != process() or self._loop.is_closed():
            return
        ending = self.submit(lambda: _end(last))
        ending.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._loop.stop))
        # The garbage collector can call this from the loop's own thread, which cannot wait for itself.
        if not self.is_current():
            self._thread.join(_STOP_SECONDS)


def _run(ready: Future[asyncio.AbstractEventLoop]) -> None:
    # Not made by the caller, whose thread Ctrl-C can interrupt halfway through.
    try:
        loop = asyncio.new_event_loop()
        # A test that patches the time module cannot stop this clock. uvloop, which has its own, keeps it.
        if type(loop).time is asyncio.BaseEventLoop.time:
            loop.time = steady  # type: ignore[method-assign]
    except BaseException as error:  # noqa: BLE001 - most likely too many open files; the caller raises it
        ready.set_exception(error)
        return
    ready.set_result(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _end_made(ready: Future[asyncio.AbstractEventLoop]) -> None:
    if ready.exception() is None:
        loop = ready.result()
        loop.call_soon_threadsafe(loop.stop)


def _hand_over(future: Future[T], task: asyncio.Task[T]) -> None:
    if task.cancelled():
        future.cancel()
    if not future.set_running_or_notify_cancel():
        return
    error = task.exception()
    if error is None:
        future.set_result(task.result())
    else:
        future.set_exception(error)


async def _end(last: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await last()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=_CANCELLED_SECONDS)
