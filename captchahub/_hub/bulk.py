"""Many tasks at once: read lazily, bounded in flight, outcomes in order of completion.

A task counts as in flight until its outcome was taken, so a slow consumer slows the reading. What was given
may be a callable that makes the task: what it raises is the outcome of that task alone. An error of the
iterable itself is raised at the end: first come the answers that are already paid for.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator
from contextlib import aclosing, suppress
from functools import partial
from queue import SimpleQueue
from typing import Generic, TypeVar

import attrs

from captchahub._support.forking import process, refuse_elsewhere
from captchahub.errors import TaskError
from captchahub.results import Outcome
from captchahub.tasks import Solution, Task
from captchahub.tickets import AsyncTicket, Ticket

__all__ = ["as_completed", "as_completed_async"]

S = TypeVar("S", bound=Solution)

_Given = Task[S] | Callable[[], Task[S]]


def _made(given: _Given[S]) -> Task[S]:
    """The task. Raises what making it raises."""
    if isinstance(given, (str, os.PathLike)):
        raise TaskError(f"{given} is a path, not a task: use tasks_from(paths, ImageToText)")
    return given() if callable(given) else given


@attrs.frozen(eq=False)
class _InFlight(Generic[S]):
    index: int
    given: _Given[S]
    task: Task[S]
    ticket: Ticket[S]

    def outcome(self) -> Outcome[S]:
        """How it ended; it must have."""
        try:
            return Outcome(self.index, self.task, result=self.ticket.result(0), source=self.given)
        except Exception as error:  # noqa: BLE001 - errors are values here
            return Outcome(self.index, self.task, error=error, source=self.given)


def as_completed(
    tasks: Iterable[_Given[S]], submit: Callable[[Task[S]], Ticket[S]], in_flight: int
) -> Generator[Outcome[S]]:
    """Submit the tasks and give each outcome as it comes. They are read in the caller's own thread."""
    source = _Source(tasks)
    ended: SimpleQueue[_InFlight[S] | Outcome[S]] = SimpleQueue()
    under_way: set[_InFlight[S]] = set()
    home = process()
    try:
        while True:
            refuse_elsewhere(home, "an iterator of solve_many")
            # An outcome that waits to be taken goes before reading on, which may take its time.
            while len(under_way) < in_flight and ended.empty() and (item := source.read()) is not None:
                begun = _begun(*item, submit)
                if isinstance(begun, Outcome):
                    ended.put(begun)
                else:
                    under_way.add(begun)
                    begun.ticket.when_done(partial(ended.put, begun))
            if not under_way and ended.empty():
                break
            one = ended.get()
            if isinstance(one, Outcome):
                yield one
            else:
                under_way.remove(one)
                yield one.outcome()
    finally:
        for one in under_way:
            one.ticket.cancel()
    source.finish()


def _begun(index: int, given: _Given[S], submit: Callable[[Task[S]], Ticket[S]]) -> _InFlight[S] | Outcome[S]:
    try:
        task = _made(given)
    except Exception as error:  # noqa: BLE001 - errors are values here
        return Outcome(index, None, error=error, source=given)
    return _InFlight(index, given, task, submit(task))


class _Source(Generic[S]):
    """The tasks to come."""

    def __init__(self, tasks: Iterable[_Given[S]]) -> None:
        self._tasks: Iterator[tuple[int, _Given[S]]] = enumerate(tasks)
        self._error: Exception | None = None

    def read(self) -> tuple[int, _Given[S]] | None:
        """What comes next and its index; None at the end, and ever after."""
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
    tasks: Iterable[_Given[S]] | AsyncIterable[_Given[S]],
    submit: Callable[[Task[S]], AsyncTicket[S]],
    in_flight: int,
) -> AsyncGenerator[Outcome[S]]:
    """Submit the tasks and give each outcome as it comes, while others are read."""
    reader = _Reader(submit, in_flight)
    reading = asyncio.ensure_future(reader.read(tasks))
    try:
        while reader.under_way or not reading.done():
            solve = await reader.ended.get()
            if solve is not None:
                reader.take(solve)
                yield solve.result()
    finally:
        left = [reading, *reader.under_way]
        for one in left:
            one.cancel()
        await asyncio.wait(left)
    await reading


class _Reader(Generic[S]):
    """Reads tasks and begins to solve them, as long as there are places."""

    def __init__(self, submit: Callable[[Task[S]], AsyncTicket[S]], in_flight: int) -> None:
        self.under_way: set[asyncio.Task[Outcome[S]]] = set()
        self.ended: asyncio.Queue[asyncio.Task[Outcome[S]] | None] = asyncio.Queue()
        """The solves that have ended, not yet taken, and None once all tasks are read."""
        self._submit = submit
        self._places = asyncio.Semaphore(in_flight)

    async def read(self, tasks: Iterable[_Given[S]] | AsyncIterable[_Given[S]]) -> None:
        """Read to the end. Raises what reading raises."""
        index = 0
        try:
            await self._places.acquire()
            async with aclosing(_each(tasks)) as source:
                async for given in source:
                    self._begin(index, given)
                    index += 1
                    await self._places.acquire()
        finally:
            self.ended.put_nowait(None)

    def _begin(self, index: int, given: _Given[S]) -> None:
        # It is made at once, for a callable may depend on a variable of the loop that gives it.
        try:
            task = _made(given)
        except Exception as error:  # noqa: BLE001 - errors are values here
            solve = asyncio.ensure_future(_failed(Outcome(index, None, error=error, source=given)))
        else:
            solve = asyncio.ensure_future(_outcome(index, given, task, self._submit(task)))
        self.under_way.add(solve)
        solve.add_done_callback(self.ended.put_nowait)

    def take(self, solve: asyncio.Task[Outcome[S]]) -> None:
        """Make room for another."""
        self.under_way.remove(solve)
        self._places.release()


async def _each(tasks: Iterable[_Given[S]] | AsyncIterable[_Given[S]]) -> AsyncGenerator[_Given[S]]:
    if isinstance(tasks, AsyncIterable):
        async for task in tasks:
            yield task
    else:
        for task in tasks:
            yield task


async def _failed(outcome: Outcome[S]) -> Outcome[S]:
    return outcome


async def _outcome(index: int, given: _Given[S], task: Task[S], ticket: AsyncTicket[S]) -> Outcome[S]:
    try:
        return Outcome(index, task, result=await ticket, source=given)
    except asyncio.CancelledError:
        ticket.cancel()
        # Whoever stops is to find nothing of it still at work.
        with suppress(Exception):
            await ticket
        raise
    except Exception as error:  # noqa: BLE001 - errors are values here
        return Outcome(index, task, error=error, source=given)
