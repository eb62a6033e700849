"""What a solve gives back."""

from __future__ import annotations

from decimal import Decimal
from typing import Generic, TypeVar

import attrs

from captchahub.errors import Attempt, CaptchaHubError
from captchahub.tasks import Solution, Task

__all__ = ["Attempt", "Outcome", "Result"]

S = TypeVar("S", bound=Solution)


@attrs.frozen
class Result(Generic[S]):
    """A checked solution, who delivered it, and on which way.

    ``job_id`` is the service's own id, None for a local provider. ``cost`` is in the provider's currency,
    None where it is not known. ``elapsed`` is the whole solve in seconds. ``ignored_options`` names the
    options of the task that could not be sent to the provider; they did serve the check.
    """

    solution: S
    provider: str
    job_id: int | str | None
    cost: Decimal | None
    elapsed: float
    attempts: tuple[Attempt, ...]
    ignored_options: tuple[str, ...] = ()


@attrs.frozen
class Outcome(Generic[S]):
    """How one task of many ended: with a result or with an error.

    ``index`` is the task's place in what was given, from 0.
    """

    index: int
    task: Task[S]
    result: Result[S] | None = None
    error: Exception | None = None

    def unwrap(self) -> Result[S]:
        """The result; raises the error where there is none."""
        if self.result is not None:
            return self.result
        raise self.error or CaptchaHubError("this task was not solved")
