"""What a worker runs: the job that solves a task, and the one that looks after jobs and tables."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import attrs
from procrastinate import App, Blueprint, JobContext
from procrastinate.exceptions import JobAborted
from procrastinate.job_context import AbortReason
from procrastinate.jobs import Job, Status
from procrastinate.tasks import Task as ProcrastinateTask
from procrastinate.types import JSONValue

from captchahub import CaptchaHubError, Solution, Task
from captchahub.tasks import OptionValue
from captchahub_procrastinate.connections import async_pool, fetch_one_async
from captchahub_procrastinate.outcomes import SolveFailed, outcome_of_error, outcome_of_result
from captchahub_procrastinate.retrying import RetryUnpaid
from captchahub_procrastinate.tables import (
    DELETE_EXPIRED,
    delete_ended_jobs,
    find_picture,
    only_worker,
    schema_checked,
    store_outcome,
)
from captchahub_procrastinate.task_arguments import TaskTypes
from captchahub_procrastinate.worker_hub import WorkerHub

__all__ = ["WorkerTasks"]


class PictureDeleted(CaptchaHubError):
    """The picture of the job is no longer in the database."""


class WorkerLost(CaptchaHubError):
    """Each worker that ran the job ended before the job did."""


@attrs.frozen
class WorkerTasks:
    """The tasks of a blueprint, and what they need in a worker."""

    hub: WorkerHub
    task_types: TaskTypes
    retry: RetryUnpaid
    queue: str
    answer_lifetime: float
    stalled_after: float

    def add_to(self, blueprint: Blueprint) -> ProcrastinateTask[..., Any, ...]:
        """Add the tasks, and return the one that solves."""

        @blueprint.task(name="solve", queue=self.queue, retry=self.retry, pass_context=True)
        async def solve(
            context: JobContext,
            *,
            kind: str,
            options: Mapping[str, OptionValue],
            label: str | None = None,
            timeout: float | None = None,
            callback: str | None = None,
        ) -> None:
            ending = _Ending(context.app, _id_of(context.job), kind, label, callback, self.answer_lifetime)
            try:
                await self._solve(context.job, ending, options, timeout)
            except asyncio.CancelledError:
                if context.abort_reason() is AbortReason.USER_REQUEST:
                    raise JobAborted from None
                # The worker stops. Its hub leaves the jobs at the service to those of other workers.
                await self.hub.close()
                raise

        @blueprint.periodic(cron="* * * * *")
        @blueprint.task(
            name="maintain", queue=self.queue, queueing_lock="captchahub:maintain", pass_context=True
        )
        async def maintain(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - passed by periodic
            async with async_pool(context.app).connection() as connection:
                if (await fetch_one_async(connection, only_worker())) != (True,):
                    return
                for statement in DELETE_EXPIRED:
                    await fetch_one_async(connection, statement)
                await fetch_one_async(
                    connection, delete_ended_jobs(context.job.task_name, _id_of(context.job))
                )
                await self._follow_stalled(context.app, solve.name)

        return solve

    async def _solve(
        self, job: Job, ending: _Ending, options: Mapping[str, OptionValue], timeout: float | None
    ) -> None:
        try:
            task = await self._task_of(ending, options)
            if task is None:
                return
            result = await self.hub.get().solve(task, timeout=timeout, label=ending.label)
            await ending.store(outcome_of_result(ending.job_id, ending.label, result))
        except Exception as error:
            if self.retry.get_retry_decision(exception=error, job=job) is None:
                await ending.store(ending.failed(error))
            raise

    async def _task_of(self, ending: _Ending, options: Mapping[str, OptionValue]) -> Task[Solution] | None:
        """Return the task, or None if an earlier attempt has stored the outcome of the job."""
        with schema_checked():
            async with async_pool(ending.app).connection() as connection:
                row = await fetch_one_async(connection, find_picture(ending.job_id))
        picture, outcome = row or (None, None)
        if isinstance(outcome, dict):
            error = cast("dict[str, Any]", outcome)["error"]
            if error is None:
                return None
            raise SolveFailed(
                f"this job has failed, and its picture was deleted; defer the task again: {error['message']}",
                job=ending.job_id,
                error=error["type"],
            )
        if not isinstance(picture, bytes):
            raise PictureDeleted(
                "the picture of this job was deleted: the job ended before, or was not run within "
                "picture_lifetime; defer the task again"
            )
        return self.task_types.task(ending.kind, options, picture)

    async def _follow_stalled(self, app: App, task_name: str) -> None:
        """Give the jobs of workers that have died to the others."""
        stalled = await app.job_manager.get_stalled_jobs(
            task_name=task_name, seconds_since_heartbeat=self.stalled_after
        )
        for job in stalled:
            if job.attempts + 1 < self.retry.max_attempts:
                await app.job_manager.retry_job(job)
                continue
            given = job.task_kwargs
            ending = _Ending(
                app,
                _id_of(job),
                str(given.get("kind")),
                cast("str | None", given.get("label")),
                cast("str | None", given.get("callback")),
                self.answer_lifetime,
            )
            lost = WorkerLost(f"{job.attempts + 1} workers ended while they ran this job")
            await ending.store(ending.failed(lost))
            await app.job_manager.finish_job(job, Status.FAILED, delete_job=False)


@attrs.frozen
class _Ending:
    """What is known of a job when it ends."""

    app: App
    job_id: int
    kind: str
    label: str | None
    callback: str | None
    lifetime: float

    def failed(self, error: Exception) -> dict[str, object]:
        """Return the outcome for an error."""
        return outcome_of_error(self.job_id, self.kind, self.label, error)

    async def store(self, outcome: dict[str, object]) -> None:
        """Store the outcome and defer the callback, both or neither, unless the job has an outcome."""
        async with async_pool(self.app).connection() as connection:
            is_new = await fetch_one_async(connection, store_outcome(self.job_id, outcome, self.lifetime))
            if is_new and self.callback is not None:
                callback = self.app.configure_task(self.callback, connection=connection)
                await callback.defer_async(outcome=cast("JSONValue", outcome))


def _id_of(job: Job) -> int:
    if job.id is None:
        raise ValueError("this job is not in the database")
    return job.id
