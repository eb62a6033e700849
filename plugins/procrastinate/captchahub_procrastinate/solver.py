"""The part of the plugin that programs use: register, defer, wait for the answer."""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Any, Protocol, TypedDict, TypeVar, Unpack, cast

from procrastinate import App, Blueprint
from psycopg import AsyncConnection, Connection

from captchahub import Solution, SolveCancelled, Task
from captchahub_procrastinate.connections import (
    AnyConnection,
    async_pool,
    fetch_one,
    fetch_one_async,
    sync_pool,
)
from captchahub_procrastinate.outcomes import Answer, SolveFailed
from captchahub_procrastinate.retrying import RetryUnpaid
from captchahub_procrastinate.solver_jobs import SolverJob
from captchahub_procrastinate.tables import SCHEMA, Statement, find_outcome, schema_checked, store_picture
from captchahub_procrastinate.task_arguments import TaskTypes
from captchahub_procrastinate.worker_hub import WorkerHub
from captchahub_procrastinate.worker_tasks import WorkerTasks

__all__ = ["DeferOptions", "Solver"]

S = TypeVar("S", bound=Solution)

_SCHEMA = Statement(SCHEMA)

# Between two looks for an outcome, in seconds.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class NamedTask(Protocol):
    """A task of Procrastinate, of which the name is used."""

    name: str


class DeferOptions(TypedDict, total=False):
    """What Procrastinate's ``Task.configure`` accepts, with the same meaning.

    With a ``connection``, the job and its picture are stored in its transaction, which the caller commits.
    """

    queue: str
    priority: int
    lock: str
    queueing_lock: str
    schedule_at: datetime
    connection: AnyConnection


class Solver:
    """Solves tasks as jobs of Procrastinate, in workers that have one hub each.

    ``configuration`` is the path of the hub's YAML file, and ``plugins`` are further plugins of the hub. Only
    workers read the file. ``task_types`` are the types that can be deferred besides ``ImageToText`` and
    ``PhoneSlide``. ``queue`` is the queue of the jobs.

    A job is attempted at most ``max_attempts`` times, ends of workers included. A job that was not run
    ``picture_lifetime`` seconds after it was due loses its picture, and fails when it is run. Answers are
    kept for ``answer_lifetime`` seconds. The job of a worker without a heartbeat for ``stalled_after``
    seconds is given to another worker.
    """

    def __init__(
        self,
        configuration: str | os.PathLike[str],
        *,
        plugins: Sequence[object] = (),
        task_types: Sequence[type[Task[Solution]]] = (),
        queue: str = "captchahub",
        max_attempts: int = 5,
        picture_lifetime: float = 86_400.0,
        answer_lifetime: float = 3600.0,
        stalled_after: float = 30.0,
    ) -> None:
        positive = {
            "max_attempts": max_attempts,
            "picture_lifetime": picture_lifetime,
            "answer_lifetime": answer_lifetime,
            "stalled_after": stalled_after,
        }
        for name, value in positive.items():
            if not value > 0:
                raise ValueError(f"{name} must be more than 0, not {value!r}")
        self._hub = WorkerHub(configuration, plugins)
        self._task_types = TaskTypes(task_types)
        self._picture_lifetime = picture_lifetime
        self._blueprint = Blueprint()
        tasks = WorkerTasks(
            hub=self._hub,
            task_types=self._task_types,
            retry=RetryUnpaid(max_attempts),
            queue=queue,
            answer_lifetime=answer_lifetime,
            stalled_after=stalled_after,
        )
        self._solve = tasks.add_to(self._blueprint)
        self._app: App | None = None

    def register(self, app: App, *, namespace: str = "captchahub") -> None:
        """Add the tasks of the solver to an app, as ``app.add_tasks_from`` does.

        Raises RuntimeError if the solver was registered before, and
        ``procrastinate.exceptions.TaskAlreadyRegistered`` if the namespace is taken.
        """
        if self._app is not None:
            raise RuntimeError("this solver is registered; make a Solver for each app")
        app.add_tasks_from(self._blueprint, namespace=namespace)
        self._app = app

    def apply_schema(self) -> None:
        """Make the tables of the plugin, or do nothing if they exist. Procrastinate's must exist."""
        with schema_checked(), sync_pool(self._registered()).connection() as connection:
            connection.execute(_SCHEMA.sql)

    async def apply_schema_async(self) -> None:
        """As :meth:`apply_schema`."""
        with schema_checked():
            async with async_pool(self._registered()).connection() as connection:
                await connection.execute(_SCHEMA.sql)

    def defer(
        self,
        task: Task[S],
        *,
        callback: NamedTask | str | None = None,
        label: str | None = None,
        timeout: float | None = None,
        **options: Unpack[DeferOptions],
    ) -> SolverJob[S]:
        """Store a task and its picture as a job for a worker, and return the job.

        ``timeout``, in seconds, and ``label`` are those of ``hub.solve``. ``callback`` is a task of
        Procrastinate or its name. When the job ends, it is deferred with the argument ``outcome``, which
        :meth:`Answer.read` turns into an answer or an error. It is not deferred for a job that is cancelled
        or aborted.

        Nothing is stored if this raises an error: :class:`~captchahub.TaskError`, TypeError or ValueError
        for bad arguments, :class:`SchemaMissing` without the tables, and what Procrastinate's ``defer``
        raises.
        """
        app, arguments = self._registered(), self._arguments(task, callback, label, timeout)
        connection = options.get("connection")
        if connection is None:
            with sync_pool(app).connection() as own:
                options["connection"] = own
                return self._defer(own, task, arguments, options)
        if not isinstance(connection, Connection):
            raise TypeError(f"defer() needs a psycopg.Connection, not {type(connection).__name__}")
        return self._defer(connection, task, arguments, options)

    async def defer_async(
        self,
        task: Task[S],
        *,
        callback: NamedTask | str | None = None,
        label: str | None = None,
        timeout: float | None = None,
        **options: Unpack[DeferOptions],
    ) -> SolverJob[S]:
        """As :meth:`defer`."""
        app, arguments = self._registered(), self._arguments(task, callback, label, timeout)
        connection = options.get("connection")
        if connection is None:
            async with async_pool(app).connection() as own:
                options["connection"] = own
                return await self._defer_async(own, task, arguments, options)
        if not isinstance(connection, AsyncConnection):
            raise TypeError(f"defer_async() needs a psycopg.AsyncConnection, not {type(connection).__name__}")
        return await self._defer_async(connection, task, arguments, options)

    def result(self, job: SolverJob[S], timeout: float | None = None) -> Answer[S]:
        """Wait for the answer of a job, for at most ``timeout`` seconds, and return it.

        Raises TimeoutError if the job has not ended by then, :class:`SolveFailed` if it failed,
        :class:`~captchahub.SolveCancelled` if it was cancelled or aborted, and LookupError if the database
        has neither the job nor its answer.
        """
        for pause in _pauses(timeout):
            with schema_checked(), sync_pool(self._registered()).connection() as connection:
                row = fetch_one(connection, find_outcome(job.id))
            answer = _answer_in(row, job)
            if answer is not None:
                return answer
            time.sleep(pause)
        raise AssertionError  # the pauses end with an error

    async def result_async(self, job: SolverJob[S], timeout: float | None = None) -> Answer[S]:
        """As :meth:`result`."""
        for pause in _pauses(timeout):
            with schema_checked():
                async with async_pool(self._registered()).connection() as connection:
                    row = await fetch_one_async(connection, find_outcome(job.id))
            answer = _answer_in(row, job)
            if answer is not None:
                return answer
            await asyncio.sleep(pause)
        raise AssertionError  # the pauses end with an error

    async def close(self) -> None:
        """Close the hub of this process now, and not when its event loop ends."""
        await self._hub.close()

    def _registered(self) -> App:
        if self._app is None:
            raise RuntimeError("call solver.register(app) first")
        return self._app

    def _arguments(
        self,
        task: Task[Solution],
        callback: NamedTask | str | None,
        label: str | None,
        timeout: float | None,
    ) -> dict[str, object]:
        name = getattr(callback, "name", callback)
        if name is not None and not isinstance(name, str):
            raise TypeError(f"callback must be a task of Procrastinate or its name, not {name!r}")
        return self._task_types.arguments(task, label=label, timeout=timeout, callback=name)

    def _defer(
        self,
        connection: Connection[Any],
        task: Task[S],
        arguments: dict[str, object],
        options: DeferOptions,
    ) -> SolverJob[S]:
        with schema_checked(), connection.transaction():
            job_id = self._solve.configure(**options).defer(**cast("dict[str, Any]", arguments))
            for statement in self._storing(job_id, task, options):
                fetch_one(connection, statement)
        return SolverJob(job_id, type(task))

    async def _defer_async(
        self,
        connection: AsyncConnection[Any],
        task: Task[S],
        arguments: dict[str, object],
        options: DeferOptions,
    ) -> SolverJob[S]:
        with schema_checked():
            async with connection.transaction():
                job_id = await self._solve.configure(**options).defer_async(
                    **cast("dict[str, Any]", arguments)
                )
                for statement in self._storing(job_id, task, options):
                    await fetch_one_async(connection, statement)
        return SolverJob(job_id, type(task))

    def _storing(self, job_id: int, task: Task[Solution], options: DeferOptions) -> tuple[Statement, ...]:
        return store_picture(job_id, task.image.data, options.get("schedule_at"), self._picture_lifetime)


def _pauses(timeout: float | None) -> Generator[float]:
    """Yield the pauses between two looks, in seconds. Raises TimeoutError after ``timeout`` seconds."""
    until = math.inf if timeout is None else time.monotonic() + timeout
    pause = _SHORTEST_PAUSE
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"the job has not ended after {timeout} seconds")
        yield min(pause, left)
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _answer_in(row: tuple[object, ...] | None, job: SolverJob[S]) -> Answer[S] | None:
    """Return the answer of a job, or None if the job has not ended. Raises as :meth:`Solver.result`."""
    outcome, status = row or (None, None)
    if isinstance(outcome, dict):
        return Answer.read(cast("dict[str, object]", outcome), job.task_type)
    if status in {"todo", "doing"}:
        return None
    if status in {"cancelled", "aborted"}:
        raise SolveCancelled(f"job {job.id} was {status}")
    if status is None:
        raise LookupError(f"there is no job {job.id}, or it and its answer were deleted")
    raise SolveFailed(
        f"job {job.id} {status}, and the database has no outcome: the worker could not store one, or it is "
        "older than answer_lifetime; see the log of the worker",
        job=job.id,
    )
