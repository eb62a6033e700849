"""Calls the observers of events in a thread of their own, so that a slow one cannot hold up the engine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from captchahub._support.log import log
from captchahub.events import Event

if TYPE_CHECKING:
    # Only the types of arguments: the dispatcher calls callbacks, and does not register any.
    from captchahub._plugins.callbacks import Callbacks, Registration

Observer = Callable[[Event], None]
"""Takes an event; it is called in the thread of the observers."""

# Events that wait for slow observers; further ones are dropped. An event is below 1 kB, but it can hold a
# result or an error, so the limit bounds what slow observers keep in memory.
_MAX_WAITING = 10_000


class EventDispatcher:
    """Passes events to observers, each of them with its plugin's name for the log, and to callbacks.

    ``clock`` returns wall-clock time, in seconds since 1970. All methods belong to the hub's thread, but
    callbacks come and go in any thread. The thread of the observers is started by the first event.
    """

    def __init__(
        self,
        observers: Sequence[tuple[str, Observer]],
        clock: Callable[[], float],
        callbacks: Callbacks,
    ) -> None:
        self._observers = observers
        self._callbacks = callbacks
        self._clock = clock
        self._queue: SimpleQueue[tuple[Context, Event] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._dropped = 0
        self._faulty: set[str] = set()

    def replace(self, observers: Sequence[tuple[str, Observer]]) -> None:
        """Call these observers from now on, also with the events that still wait."""
        self._observers = observers

    def emit(self, make: Callable[[float], Event]) -> None:
        """Queue the event that ``make`` returns for the current time. Nothing is made without observers."""
        if self._is_closed or not (self._observers or self._callbacks.registered):
            return
        if self._queue.qsize() >= _MAX_WAITING:
            self._dropped += 1
            return
        # With the context variables of the caller, so that an observer can know whose task it was.
        self._queue.put((copy_context(), make(self._clock())))
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        # A daemon, because an observer that hangs must not keep the program from ending.
        thread = threading.Thread(target=self._run, name="captchahub observers", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            log.error("observers are not called, because no thread can be started: %s", error)
            # Not retried for each event: the system has no more threads.
            self._is_closed = True
        else:
            self._thread = thread

    async def aclose(self, patience: float) -> None:
        """Give the observers up to ``patience`` seconds for the events that still wait, and drop the rest."""
        self._is_closed = True
        self._queue.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, patience)
        try:
            while True:
                # None is no event, but ends the thread.
                self._dropped += self._queue.get_nowait() is not None
        except Empty:
            # Again, for a thread that is still in an observer: it was taken out of the queue with the rest.
            self._queue.put(None)
        if self._dropped:
            log.warning("observers were too slow for %d events, which they have not seen", self._dropped)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            context, event = item
            for name, observe in self._observers:
                try:
                    context.run(observe, event)
                except BaseException:  # noqa: BLE001 - Ctrl-C never reaches this thread
                    self._log_first_fault_of(name)
            for one in self._callbacks.of(event):
                try:
                    context.run(one.callback, event)
                except BaseException:  # noqa: BLE001 - as above
                    _log_first_fault_of(one)

    def _log_first_fault_of(self, name: str) -> None:
        # A broken observer fails at every event, and each solve has several.
        if name not in self._faulty:
            self._faulty.add(name)
            log.exception("the observer %s failed; its further failures are not logged", name)


def _log_first_fault_of(one: Registration) -> None:
    if not one.has_failed:
        one.has_failed = True
        log.exception("the callback %s failed; its further failures are not logged", one.name)
