"""The journal as the engine sees it: writes that are awaited, grouped into few commits under load.

A file is written by one thread of its own, for a commit waits for the disk. A journal in memory is written
in the loop itself: it takes microseconds, and needs no thread on a virtual clock.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

import attrs

from captchahub._journal.database import Database
from captchahub._support.clock import steady
from captchahub.errors import HubClosed

__all__ = ["FileWriter", "MemoryWriter", "Writer", "open_writer"]

T = TypeVar("T")

Work = Callable[[sqlite3.Connection], T]

# The most works in one commit: more would let the first of them wait for long.
_MOST_AT_ONCE = 500

# Commits are at least this far apart, in seconds, so that under load each carries many works.
_APART = 0.012

# How long closing waits for the last commit, in seconds.
_PATIENCE = 5.0


class Writer(Protocol):
    """Where jobs and money are written down."""

    async def write(self, work: Work[T]) -> T:
        """What a work returns or raises, once that is committed. Raises JournalError where it can't be."""
        ...

    async def aclose(self) -> None:
        """Commit what is waiting, and let go of the file."""
        ...


def open_writer(path: Path | None) -> Writer:
    """The journal in a file, or one in memory. Raises JournalError where the file can't be used."""
    store = Database(path)
    return MemoryWriter(store) if path is None else FileWriter(store)


class MemoryWriter:
    """A journal that is gone with the hub."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def write(self, work: Work[T]) -> T:
        """See :meth:`Journal.write`."""
        return _settled(self._store.transact([work])[0])

    async def aclose(self) -> None:
        """See :meth:`Journal.aclose`."""
        self._store.close()


@attrs.frozen(eq=False)
class _Waiting:
    work: Work[Any]
    future: asyncio.Future[Any]


class FileWriter:
    """A journal that outlives the process."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._committed = 0.0

    async def write(self, work: Work[T]) -> T:
        """See :meth:`Journal.write`. What was begun is committed even where nobody waits any more."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._is_closed:
                raise HubClosed
            self._queue.put(_Waiting(work, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="captchahub journal", daemon=True)
                self._thread.start()
        return await future

    async def aclose(self) -> None:
        """See :meth:`Journal.aclose`."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
            self._queue.put(None)
        if thread is None:
            self._store.close()
        else:
            await asyncio.to_thread(thread.join, _PATIENCE)

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._commit(batch)
            self._committed = steady()
        self._store.close()

    def _next_batch(self) -> Sequence[_Waiting] | None:
        """All that waits, at least one; None at the end."""
        first = self._queue.get()
        if first is None:
            return None
        time.sleep(max(0.0, self._committed + _APART - steady()))
        batch = [first]
        while len(batch) < _MOST_AT_ONCE and not self._queue.empty():
            following = self._queue.get()
            if following is None:
                # The end comes after this batch.
                self._queue.put(None)
                break
            batch.append(following)
        return batch

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        try:
            done: Sequence[object] = self._store.transact([waiting.work for waiting in batch])
        except Exception as error:  # noqa: BLE001 - it belongs to all who wait
            done = [error] * len(batch)
        # One wake-up of the loop for all of them. A loop that is closed has nobody who waits.
        with suppress(RuntimeError):
            batch[0].future.get_loop().call_soon_threadsafe(_deliver, batch, done)


def _deliver(batch: Sequence[_Waiting], done: Sequence[object]) -> None:
    for waiting, outcome in zip(batch, done, strict=True):
        if waiting.future.done():  # who asked was cancelled; it is committed all the same
            continue
        if isinstance(outcome, Exception):
            waiting.future.set_exception(outcome)
        else:
            waiting.future.set_result(outcome)


def _settled(outcome: T | Exception) -> T:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
