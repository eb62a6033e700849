"""A clock that runs as fast as the program: an event loop whose time only passes while all wait."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["VirtualClockLoop", "run_virtual"]

T = TypeVar("T")


class _NoWaiting(selectors.DefaultSelector):
    """A selector that lets the loop's clock jump where another would wait."""

    loop: VirtualClockLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            self.loop.advance(timeout)
        return ready


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits: when nothing can run, its time jumps to the next timer.

    The engine takes its time from the loop, so a solve of two minutes takes milliseconds, and takes them the
    same way each time. It is for coroutines alone: it does not wait for threads or sockets.
    """

    def __init__(self) -> None:
        selector = _NoWaiting()
        selector.loop = self
        self._now = 0.0
        super().__init__(selector)

    def time(self) -> float:
        """Seconds since the loop was made, as the coroutines in it see them."""
        return self._now

    def advance(self, seconds: float | None) -> None:
        """Let time pass. Raises RuntimeError for None: all wait, and no timer will ever wake them."""
        if seconds is None:
            raise RuntimeError("every coroutine waits and no timer is set: this would hang for ever")
        self._now += seconds


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a virtual clock that starts at 0."""
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(main)
