"""Solves many tasks: reads them lazily, limits those in flight, yields outcomes in order of completion.

A task counts as in flight until its outcome is consumed, so a slow consumer slows the reading down. An item
may be a callable that makes the task; an error that it raises is the outcome of that task alone. An error of
the iterable itself is raised at the end, after the answers that are already paid for.
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
from captchahub.files import FileTask
from captchahub.results import Outcome
from captchahub.tasks import Solution, Task
from captchahub.tickets import AsyncTicket, Ticket

S = TypeVar("S", bound=Solution)

_Item = Task[S] | Callable[[], Task[S]]


def file_of(item: Callable[[], Task[S]] | Task[S]) -> str | None:
    """Return the path of an item of ``tasks_from``, or None for any other item."""
    return os.fsdecode(item.path) if isinstance(item, FileTask) else None


def _task_of(item: _Item[S]) -> Task[S]:
    """Return the task, or raise what making it raises."""
    if isinstance(item, (str, os.PathLike)):
        raise TaskError(f"{item} is a path, not a task: use tasks_from(paths, ImageToText)")
    return item() if callable(item) else item


@attrs.frozen(eq=False)
class _InFlight(Generic[S]):
    index: int
    item: _Item[S]
    task: Task[S]
    ticket: Ticket[S]

    def outcome(self) -> Outcome[S]:
        """Return how it ended; it must have ended."""
        try:
            return Outcome(self.index, self.task, result=self.ticket.result(0), source=self.item)
        except Exception as error:  # noqa: BLE001 - errors are values here
            return Outcome(self.index, self.task, error=error, source=self.item)


def as_completed(
    tasks: Iterable[_Item[S]], submit: Callable[[Task[S], _Item[S]], Ticket[S]], in_flight: int
) -> Generator[Outcome[S]]:
    """Submit the tasks and yield each outcome as it comes. They are read in the caller's thread."""
    source = _Source(tasks)
    ended: SimpleQueue[_InFlight[S] | Outcome[S]] = SimpleQueue()
    in_progress: set[_InFlight[S]] = set()
    home = process()
    try:
        while True:
            refuse_elsewhere(home, "an iterator of solve_many")
            # An outcome that is there already goes first, because reading can block.
            while len(in_progress) < in_flight and ended.empty() and (read := source.read()) is not None:
                started = _started(*read, submit)
                if isinstance(started, Outcome):
                    ended.put(started)
                else:
                    in_progress.add(started)
                    started.ticket.when_done(partial(ended.put, started))
            if not in_progress and ended.empty():
                break
            one = ended.get()
            if isinstance(one, Outcome):
                yield one
            else:
                in_progress.remove(one)
                yield one.outcome()
    finally:
        for one in in_progress:
            one.ticket.cancel()
    source.finish()


def _started(
    index: int, item: _Item[S], submit: Callable[[Task[S], _Item[S]], Ticket[S]]
) -> _InFlight[S] | Outcome[S]:
    try:
        task = _task_of(item)
    except Exception as error:  # noqa: BLE001 - errors are values here
        return Outcome(index, None, error=error, source=item)
    return _InFlight(index, item, task, submit(task, item))


class _Source(Generic[S]):
    """The tasks that are still to be read."""

    def __init__(self, tasks: Iterable[_Item[S]]) -> None:
        self._tasks: Iterator[tuple[int, _Item[S]]] = enumerate(tasks)
        self._error: Exception | None = None

    def read(self) -> tuple[int, _Item[S]] | None:
        """Return the next item with its index, or None at the end."""
        try:
            return next(self._tasks, None)
        except Exception as error:  # noqa: BLE001 - raised by finish()
            self._tasks, self._error = iter(()), error
            return None

    def finish(self) -> None:
        """Raise the error that reading raised."""
        if self._error is not None:
            raise self._error


async def as_completed_async(
    tasks: Iterable[_Item[S]] | AsyncIterable[_Item[S]],
    submit: Callable[[Task[S], _Item[S]], AsyncTicket[S]],
    in_flight: int,
) -> AsyncGenerator[Outcome[S]]:
    """Submit the tasks and yield each outcome as it comes, while others are read."""
    reader = _Reader(submit, in_flight)
    reading = asyncio.ensure_future(reader.read(tasks))
    try:
        while reader.in_progress or not reading.done():
            solve = await reader.ended.get()
            if solve is not None:
                reader.take(solve)
                yield solve.result()
    finally:
        left = [reading, *reader.in_progress]
        for one in left:
            one.cancel()
        await asyncio.wait(left)
    await reading


class _Reader(Generic[S]):
    """Reads tasks and starts to solve them, up to a limit in flight."""

    def __init__(self, submit: Callable[[Task[S], _Item[S]], AsyncTicket[S]], in_flight: int) -> None:
        self.in_progress: set[asyncio.Task[Outcome[S]]] = set()
        self.ended: asyncio.Queue[asyncio.Task[Outcome[S]] | None] = asyncio.Queue()
        """The solves that have ended and are not yet consumed; None once all tasks are read."""
        self._submit = submit
        self._slots = asyncio.Semaphore(in_flight)

    async def read(self, tasks: Iterable[_Item[S]] | AsyncIterable[_Item[S]]) -> None:
        """Read to the end, or raise what reading raises."""
        index = 0
        try:
            await self._slots.acquire()
            async with aclosing(_each(tasks)) as source:
                async for item in source:
                    self._start(index, item)
                    index += 1
                    await self._slots.acquire()
        finally:
            self.ended.put_nowait(None)

    def _start(self, index: int, item: _Item[S]) -> None:
        # Made at once, because a callable can depend on a variable of the loop that yields it.
        try:
            task = _task_of(item)
        except Exception as error:  # noqa: BLE001 - errors are values here
            solve = asyncio.ensure_future(_failed(Outcome(index, None, error=error, source=item)))
        else:
            solve = asyncio.ensure_future(_outcome(index, item, task, self._submit(task, item)))
        self.in_progress.add(solve)
        solve.add_done_callback(self.ended.put_nowait)

    def take(self, solve: asyncio.Task[Outcome[S]]) -> None:
        """Free the slot of a solve that has ended."""
        self.in_progress.remove(solve)
        self._slots.release()


async def _each(tasks: Iterable[_Item[S]] | AsyncIterable[_Item[S]]) -> AsyncGenerator[_Item[S]]:
    if isinstance(tasks, AsyncIterable):
        async for task in tasks:
            yield task
    else:
        for task in tasks:
            yield task


async def _failed(outcome: Outcome[S]) -> Outcome[S]:
    return outcome


async def _outcome(index: int, item: _Item[S], task: Task[S], ticket: AsyncTicket[S]) -> Outcome[S]:
    try:
        return Outcome(index, task, result=await ticket, source=item)
    except asyncio.CancelledError:
        ticket.cancel()
        # A caller that stops the iteration finds nothing still running.
        with suppress(Exception):
            await ticket
        raise
    except Exception as error:  # noqa: BLE001 - errors are values here
        return Outcome(index, task, error=error, source=item)
