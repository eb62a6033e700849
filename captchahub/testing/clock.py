"""A virtual clock: an event loop whose time passes only while every coroutine waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar, TypeVarTuple, Unpack

__all__ = ["VirtualClockLoop", "run_virtual"]

T = TypeVar("T")

Ts = TypeVarTuple("Ts")


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that advances the loop's clock instead of waiting."""

    loop: VirtualClockLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self.loop.works_in_threads:
            # The thread wakes the selector when it ends.
            return super().select(None)
        self.loop.advance(timeout)
        return ready


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: when nothing can run, its time jumps to the next timer.

    The engine reads the time from its loop, so a solve of two minutes takes milliseconds, and every run is
    the same. Time stands still while ``asyncio.to_thread`` works. The loop does not wait for other threads or
    for sockets.
    """

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._now = 0.0
        # Shutting down the loop's own pool sets a timer, which this clock would jump over.
        self._pool = ThreadPoolExecutor(thread_name_prefix="virtual clock")
        self._in_threads = 0
        super().__init__(selector)

    def time(self) -> float:
        """Return the seconds since the loop was created, as its coroutines see them."""
        return self._now

    @property
    def works_in_threads(self) -> bool:
        """Whether any thread still works for the loop."""
        return self._in_threads > 0

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Run a function in a thread. No time passes until it ends."""
        work = super().run_in_executor(executor or self._pool, func, *args)
        self._in_threads += 1
        work.add_done_callback(self._note_done)
        return work

    def _note_done(self, _work: asyncio.Future[T]) -> None:
        self._in_threads -= 1

    def close(self) -> None:
        """Wait for the threads and close the loop."""
        self._pool.shutdown()
        super().close()

    def advance(self, seconds: float | None) -> None:
        """Let time pass. Raises RuntimeError for None, because no timer would ever wake a coroutine."""
        if seconds is None:
            raise RuntimeError("every coroutine waits and no timer is set: this would hang forever")
        self._now += seconds


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a virtual clock that starts at 0, and return its result."""
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(main)
