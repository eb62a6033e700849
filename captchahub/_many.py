"""Many tasks at once: read lazily, bounded in flight, outcomes in order of completion.

A task counts as in flight until its outcome was taken, so a slow consumer slows the reading. An error of the
iterable itself is raised at the end: first come the answers that are already paid for.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
)
from functools import partial
from queue import SimpleQueue
from typing import Generic, TypeVar

import attrs

from captchahub.results import Outcome
from captchahub.tasks import Solution, Task
from captchahub.tickets import AsyncTicket, Ticket

__all__ = ["as_completed", "as_completed_async"]

S = TypeVar("S", bound=Solution)


@attrs.frozen(eq=False)
class _InFlight(Generic[S]):
    index: int
    task: Task[S]
    ticket: Ticket[S]

    def outcome(self) -> Outcome[S]:
        """How it ended; it must have."""
        try:
            return Outcome(self.index, self.task, result=self.ticket.result(0))
        except Exception as error:  # noqa: BLE001 - errors are values here
            return Outcome(self.index, self.task, error=error)


def as_completed(
    tasks: Iterable[Task[S]], submit: Callable[[Task[S]], Ticket[S]], in_flight: int
) -> Generator[Outcome[S]]:
    """Submit the tasks and give each outcome as it comes. They are read in the caller's own thread."""
    source = _Source(tasks)
    ended: SimpleQueue[_InFlight[S]] = SimpleQueue()
    under_way: set[_InFlight[S]] = set()
    try:
        while True:
            # An outcome that waits to be taken goes before reading on, which may take its time.
            while len(under_way) < in_flight and ended.empty() and (item := source.read()) is not None:
                one = _InFlight(*item, submit(item[1]))
                under_way.add(one)
                one.ticket.when_done(partial(ended.put, one))
            if not under_way:
                break
            one = ended.get()
            under_way.remove(one)
            yield one.outcome()
    finally:
        for one in under_way:
            one.ticket.cancel()
    source.finish()


class _Source(Generic[S]):
    """The tasks to come."""

    def __init__(self, tasks: Iterable[Task[S]]) -> None:
        self._tasks: Iterator[tuple[int, Task[S]]] = enumerate(tasks)
        self._error: Exception | None = None

    def read(self) -> tuple[int, Task[S]] | None:
        """The next task and its index; None at the end, and ever after."""
        try:
            return next(self._tasks, None)
        except Exception as error:  # noqa: BLE001 - raised by finish()
            self._tasks, self._error = iter(()), error
            return None

    def finish(self) -> None:
        """Raise what reading raised."""
        if self._error is not None:
            raise self._error


async def as_completed_async(
    tasks: Iterable[Task[S]] | AsyncIterable[Task[S]],
    submit: Callable[[Task[S]], AsyncTicket[S]],
    in_flight: int,
) -> AsyncGenerator[Outcome[S]]:
    """Submit the tasks and give each outcome as it comes, while others are read."""
    places = asyncio.Semaphore(in_flight)
    solves: set[asyncio.Task[Outcome[S]]] = set()
    ended: asyncio.Queue[asyncio.Task[Outcome[S]] | None] = asyncio.Queue()

    async def read() -> None:
        try:
            index = 0
            await places.acquire()
            async for task in _each(tasks):
                solve = asyncio.ensure_future(_outcome(index, task, submit(task)))
                solves.add(solve)
                solve.add_done_callback(ended.put_nowait)
                index += 1
                await places.acquire()
        finally:
            ended.put_nowait(None)

    reading = asyncio.ensure_future(read())
    try:
        while solves or not reading.done():
            solve = await ended.get()
            if solve is not None:
                solves.remove(solve)
                places.release()
                yield solve.result()
    finally:
        reading.cancel()
        for solve in solves:
            solve.cancel()
        await asyncio.wait([reading, *solves])
    await reading


async def _each(tasks: Iterable[Task[S]] | AsyncIterable[Task[S]]) -> AsyncIterator[Task[S]]:
    if isinstance(tasks, AsyncIterable):
        async for task in tasks:
            yield task
    else:
        for task in tasks:
            yield task


async def _outcome(index: int, task: Task[S], ticket: AsyncTicket[S]) -> Outcome[S]:
    try:
        return Outcome(index, task, result=await ticket)
    except asyncio.CancelledError:
        ticket.cancel()
        raise
    except Exception as error:  # noqa: BLE001 - errors are values here
        return Outcome(index, task, error=error)
