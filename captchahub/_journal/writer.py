"""The way into the database: writes are awaited, and grouped into few commits under load."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol

import attrs

from captchahub._journal.database import Database, T, Work
from captchahub._support.clock import steady
from captchahub._support.log import log
from captchahub.errors import CaptchaHubError, HubClosed

# The most works in one commit. 500 reservations take 50 to 100 ms, and the first of them waits for all.
_GROUP_LIMIT = 500

# The shortest time from one commit to the next, in seconds. It costs a solve, which takes seconds, nothing
# that is felt, and under load each commit, which waits for the disk, carries many works: 0.03 commits a job
# at 500 solves a second (benchmarks/journal.py).
_COMMIT_INTERVAL = 0.012

# How long closing waits for the last commit, in seconds: as long as it may wait for a lock of the file.
_CLOSE_TIMEOUT = 5.0


class Writer(Protocol):
    """Where the journal reads and writes. The simulator has one whose thread is a timer."""

    async def write(self, work: Work[T]) -> T:
        """Return or raise what a work does, once it is committed. Raises JournalError if it cannot be."""
        ...

    async def read(self, work: Work[T]) -> T:
        """Return what a work that only reads finds. Raises JournalError if it cannot be read."""
        ...

    async def aclose(self) -> None:
        """Commit what is waiting, and close the database."""
        ...


@attrs.frozen(eq=False)
class _Waiting:
    work: Work[Any]
    is_read: bool
    future: asyncio.Future[Any]


class DatabaseWriter:
    """Reads and writes one database, by one thread of its own if ``thread`` is true.

    A database on a disk or behind a network needs the thread, because a commit waits. One in memory takes
    microseconds, and without a thread it also works on a virtual clock.
    """

    def __init__(self, database: Database, *, thread: bool) -> None:
        self._database = database
        self._has_thread = thread
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._committed = 0.0

    async def write(self, work: Work[T]) -> T:
        """See :meth:`Writer.write`. A write that was begun is committed even if its caller is cancelled."""
        if self._has_thread:
            return await self._enqueue(work, is_read=False)
        if self._is_closed:
            raise HubClosed
        (outcome,) = self._database.transact([work])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def read(self, work: Work[T]) -> T:
        """See :meth:`Writer.read`."""
        if self._has_thread:
            return await self._enqueue(work, is_read=True)
        if self._is_closed:
            raise HubClosed
        return self._database.read(work)

    async def aclose(self) -> None:
        """See :meth:`Writer.aclose`."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
            self._queue.put(None)
        if thread is None:
            self._database.close()
        else:
            await asyncio.to_thread(thread.join, _CLOSE_TIMEOUT)

    async def _enqueue(self, work: Work[T], *, is_read: bool) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        # Closing must not come between the check and the queue, because nothing reads the queue after that.
        with self._lock:
            if self._is_closed:
                raise HubClosed
            self._queue.put(_Waiting(work, is_read, future))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="captchahub journal", daemon=True)
                self._thread.start()
        return await future

    def _run(self) -> None:
        while (batch := self._next_batch()) is not None:
            self._execute(batch)
            self._committed = steady()
        self._database.close()

    def _next_batch(self) -> Sequence[_Waiting] | None:
        """Wait for a request, and return all that wait by then; None at the end."""
        first = self._queue.get()
        if first is None:
            return None
        time.sleep(max(0.0, self._committed + _COMMIT_INTERVAL - steady()))
        batch = [first]
        while len(batch) < _GROUP_LIMIT and not self._queue.empty():
            following = self._queue.get()
            if following is None:
                # The end comes after this batch.
                self._queue.put(None)
                break
            batch.append(following)
        return batch

    def _execute(self, batch: Sequence[_Waiting]) -> None:
        writes = [one for one in batch if not one.is_read]
        outcomes: list[tuple[_Waiting, object]] = []
        # Whatever a database raises must not end the thread, because all callers would wait forever.
        try:
            if writes:
                outcomes += zip(writes, self._database.transact([one.work for one in writes]), strict=True)
        except Exception as error:  # noqa: BLE001 - all that wait get it
            outcomes += [(one, error) for one in writes]
        # After the writes, so that a read finds what was written before it.
        for one in [request for request in batch if request.is_read]:
            try:
                outcomes.append((one, self._database.read(one.work)))
            except Exception as error:  # noqa: BLE001 - the caller of the work gets it
                outcomes.append((one, error))
        # One wake-up of the loop for all of them. In a loop that is closed, nothing waits any more.
        with suppress(RuntimeError):
            batch[0].future.get_loop().call_soon_threadsafe(_deliver, outcomes)


def _deliver(outcomes: Sequence[tuple[_Waiting, object]]) -> None:
    for request, outcome in outcomes:
        if request.future.done():
            # Its caller was cancelled; it is committed all the same.
            continue
        if isinstance(outcome, Exception):
            request.future.set_exception(outcome)
        else:
            request.future.set_result(outcome)


class PendingWrites:
    """Writes that must not get lost: those that fail are tried again later, in their order.

    A work must do no harm if it is done twice, because a commit can succeed and yet report a failure.
    """

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._pending: list[Work[object]] = []

    async def write(self, work: Work[object], what: str) -> None:
        """Write now or, if that fails, with the next :meth:`catch_up`. ``what`` describes it for the log."""
        if not self._pending:
            try:
                await self._writer.write(work)
            except CaptchaHubError as error:
                log.error("%s could not be written to the journal, and is tried again later: %s", what, error)
                self._pending.append(work)
            return
        # After the others: a job cannot be settled before its id is written.
        self._pending.append(work)
        await self.catch_up()

    async def catch_up(self) -> None:
        """Write what could not be written before."""
        try:
            while self._pending:
                work = self._pending[0]
                await self._writer.write(work)
                # Another task may have written it meanwhile, as both of them wait for the writer.
                if self._pending[:1] == [work]:
                    del self._pending[0]
        except CaptchaHubError as error:
            log.warning("the journal still fails; %d writes wait for it: %s", len(self._pending), error)
