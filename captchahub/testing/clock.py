"""A clock that runs as fast as the program: an event loop whose time only passes while all wait."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar, TypeVarTuple, Unpack

__all__ = ["VirtualClockLoop", "run_virtual"]

T = TypeVar("T")

Ts = TypeVarTuple("Ts")


class _NoWaiting(selectors.DefaultSelector):
    """A selector that lets the loop's clock jump where another would wait."""

    loop: VirtualClockLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.works_in_threads:
            # The thread wakes it when it is done.
            return super().select(None)
        self.loop.advance(timeout)
        return ready


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: when nothing can run, its time jumps to the next timer.

    The engine takes its time from the loop, so a solve of two minutes takes milliseconds, and takes them the
    same way each time. Its time stands still while work given to ``asyncio.to_thread`` is done. It does not
    wait for other threads, or for sockets.
    """

    def __init__(self) -> None:
        selector = _NoWaiting()
        selector.loop = self
        self._now = 0.0
        # The loop's own pool would be waited for with a timer when the loop is closed.
        self._pool = ThreadPoolExecutor(thread_name_prefix="virtual clock")
        self._in_threads = 0
        super().__init__(selector)

    def time(self) -> float:
        """Seconds since the loop was made, as the coroutines in it see them."""
        return self._now

    @property
    def works_in_threads(self) -> bool:
        """Whether any work in a thread is still to be done."""
        return self._in_threads > 0

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Work in a thread, during which no time passes."""
        work = super().run_in_executor(executor or self._pool, func, *args)
        self._in_threads += 1
        work.add_done_callback(self._note_done)
        return work

    def _note_done(self, _work: asyncio.Future[T]) -> None:
        self._in_threads -= 1

    def close(self) -> None:
        """Close the loop, once the work in its threads is done."""
        self._pool.shutdown()
        super().close()

    def advance(self, seconds: float | None) -> None:
        """Let time pass. Raises RuntimeError for None: all wait, and no timer will ever wake them."""
        if seconds is None:
            raise RuntimeError("every coroutine waits and no timer is set: this would hang for ever")
        self._now += seconds


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a virtual clock that starts at 0."""
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(main)
