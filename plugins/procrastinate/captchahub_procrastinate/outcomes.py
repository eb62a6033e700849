"""How a job ended, as plain JSON for the database and for callbacks, and as typed values."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Generic, TypeVar, cast

import attrs
from cattrs.preconf.json import make_converter

from captchahub import CaptchaHubError, Result, Solution, Task

__all__ = ["Answer", "SolveFailed", "outcome_of_error", "outcome_of_result"]

S = TypeVar("S", bound=Solution)

T = TypeVar("T", bound=Solution)

_converter = make_converter()


class SolveFailed(CaptchaHubError):
    """The job ended without an answer.

    ``job`` is the id of Procrastinate's job. ``error`` is the name of the class of the last error, such as
    ``AllProvidersFailed``, or None if no worker could record one.
    """

    def __init__(self, message: str, *, job: int, error: str | None = None) -> None:
        super().__init__(message)
        self.job = job
        self.error = error


@attrs.frozen
class Answer(Generic[S]):
    """The answer of a job.

    ``job`` is the id of Procrastinate's job, and ``job_id`` the id of the service's. ``solution``, ``kind``,
    ``provider``, ``cost``, ``elapsed`` in seconds and ``is_shared`` are those of the
    :class:`~captchahub.Result`. ``label`` is the caller's own name of the task, or None.
    """

    job: int
    solution: S
    kind: str
    label: str | None
    provider: str
    job_id: int | str | None
    cost: Decimal | None
    elapsed: float
    is_shared: bool

    @staticmethod
    def read(outcome: Mapping[str, object], task_type: type[Task[T]]) -> Answer[T]:
        """Return the answer in the ``outcome`` that a callback received.

        Raises :class:`SolveFailed` if the job failed, and ValueError if it is no outcome of this task type.
        """
        try:
            return _read(outcome, task_type)
        except (ArithmeticError, LookupError, TypeError) as error:
            raise ValueError(f"this is not an outcome of a job: {error!r}") from error


def _read(outcome: Mapping[str, Any], task_type: type[Task[S]]) -> Answer[S]:
    if outcome["kind"] != task_type.kind:
        raise ValueError(f"this is the outcome of a {outcome['kind']} task, not of a {task_type.kind} task")
    if outcome["error"] is not None:
        error = outcome["error"]
        raise SolveFailed(error["message"], job=outcome["job"], error=error["type"])
    answer = outcome["answer"]
    return Answer(
        job=outcome["job"],
        solution=cast("S", _converter.structure(answer["solution"], task_type.solution_type)),
        kind=outcome["kind"],
        label=outcome["label"],
        provider=answer["provider"],
        job_id=answer["job_id"],
        cost=None if answer["cost"] is None else Decimal(answer["cost"]),
        elapsed=answer["elapsed"],
        is_shared=answer["is_shared"],
    )


def outcome_of_result(job: int, label: str | None, result: Result[Solution]) -> dict[str, object]:
    """Return the outcome of a job that was solved."""
    answer = {
        "solution": _converter.unstructure(result.solution),
        "provider": result.provider,
        "job_id": result.job_id,
        "cost": None if result.cost is None else str(result.cost),
        "elapsed": result.elapsed,
        "is_shared": result.is_shared,
    }
    return {"job": job, "kind": result.kind, "label": label, "error": None, "answer": answer}


def outcome_of_error(job: int, kind: str, label: str | None, error: Exception) -> dict[str, object]:
    """Return the outcome of a job that failed."""
    message = str(error).replace("\0", "").encode(errors="backslashreplace").decode()
    described = {"type": type(error).__name__, "message": message}
    return {"job": job, "kind": kind, "label": label, "error": described, "answer": None}
