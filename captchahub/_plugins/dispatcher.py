"""Events on their way to observers: in a thread of its own, so that none of them can hold up the engine."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context

from captchahub._plugins.hooks import Observer
from captchahub._support.log import log
from captchahub.events import Event

__all__ = ["EventDispatcher"]

# More than so many events do not wait for slow observers.
_MOST_WAITING = 10_000


class EventDispatcher:
    """Tells observers, each named, of events; ``clock`` is the wall clock, in seconds since 1970.

    It is told of them in one thread, the hub's. The thread of the observers is begun with the first event.
    """

    def __init__(self, observers: Sequence[tuple[str, Observer]], clock: Callable[[], float]) -> None:
        self._observers = observers
        self._clock = clock
        self._waiting: deque[tuple[Context, Event]] = deque()
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._dropped = 0
        self._faulty: set[str] = set()

    @property
    def is_watched(self) -> bool:
        """Whether an event that is emitted now reaches anybody."""
        return bool(self._observers) and not self._is_closed

    def replace(self, observers: Sequence[tuple[str, Observer]]) -> None:
        """Tell these from now on, and of what still waits."""
        self._observers = observers

    def emit(self, make: Callable[[float], Event]) -> None:
        """Something happened. ``make`` gives the event for the time on the wall, where anybody observes."""
        if not self.is_watched:
            return
        event = make(self._clock())
        with self._change:
            if len(self._waiting) >= _MOST_WAITING:
                self._dropped += 1
                return
            self._waiting.append((copy_context(), event))
            self._change.notify()
        if self._thread is None:
            self._begin()

    def _begin(self) -> None:
        thread = threading.Thread(target=self._run, name="captchahub observers", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.error("observers are told nothing, for there can be no more threads: %s", error)
            self._observers = ()
        else:
            self._thread = thread

    async def aclose(self, patience: float) -> None:
        """Let the observers see what still waits, for so many seconds at most."""
        with self._change:
            self._is_closed = True
            self._change.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, patience)
        with self._change:
            self._dropped += len(self._waiting)
            self._waiting.clear()
        if self._dropped:
            log.warning("observers were too slow for %d events, which they have not seen", self._dropped)

    def _run(self) -> None:
        while (following := self._next()) is not None:
            context, event = following
            for who, observe in self._observers:
                try:
                    context.run(observe, event)
                except BaseException:  # noqa: BLE001 - Ctrl-C never reaches this thread
                    self._tell_fault(who)

    def _next(self) -> tuple[Context, Event] | None:
        with self._change:
            while not self._waiting:
                if self._is_closed:
                    return None
                self._change.wait()
            return self._waiting.popleft()

    def _tell_fault(self, who: str) -> None:
        if who not in self._faulty:
            self._faulty.add(who)
            log.exception("the observer %s failed: nothing is lost; its further faults are not told", who)
