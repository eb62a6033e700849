"""A job that solves a task."""

from __future__ import annotations

from typing import Generic, TypeVar

import attrs

from captchahub import Solution, Task

__all__ = ["SolverJob"]

S = TypeVar("S", bound=Solution)


@attrs.frozen
class SolverJob(Generic[S]):
    """A job that solves a task: Procrastinate's id of the job, and the type of the task.

    Another process makes an equal one of the id: ``SolverJob(4711, ImageToText)``.
    """

    id: int
    task_type: type[Task[S]]
