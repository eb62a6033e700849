"""What a solve gives back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Generic, TypeVar

import attrs

from captchahub.errors import Attempt, CaptchaHubError
from captchahub.tasks import Solution, Task

__all__ = ["Attempt", "Outcome", "ProviderHealth", "ProviderState", "Result", "State", "Vote"]

S = TypeVar("S", bound=Solution)


@attrs.frozen
class Vote(Generic[S]):
    """What one provider answered. ``agrees`` where that is the answer which enough of them gave.

    ``kind`` is that of the task.
    """

    provider: str
    job_id: int | str | None
    solution: S
    agrees: bool
    kind: str = ""


@attrs.frozen
class Result(Generic[S]):
    """A checked solution, who delivered it, and on which way.

    ``kind`` is that of the task. ``job_id`` is the service's own id, None for a local provider, and where a
    service that answered at once gave none. ``cost`` is what this job cost, in the provider's currency, None
    where it is not known; what failed attempts and those overtaken by another cost is in ``attempts``.
    ``elapsed`` is the whole solve in seconds. ``ignored_options`` names the options of the task that could
    not be sent to the provider; they did serve the check. ``votes`` has every answer, more than one where the
    route wants several to agree.
    """

    solution: S
    kind: str
    provider: str
    job_id: int | str | None
    cost: Decimal | None
    elapsed: float
    attempts: tuple[Attempt, ...]
    ignored_options: tuple[str, ...] = ()
    votes: tuple[Vote[S], ...] = ()
    is_shared: bool = False
    """Whether it is the answer of a job that was ordered for an equal task: this one cost nothing."""

    @property
    def total_cost(self) -> Decimal | None:
        """What all attempts cost together, None where that of one is not known.

        It is a sum of plain numbers: providers that charge in several currencies make it meaningless.
        """
        costs = [attempt.cost for attempt in self.attempts]
        return sum((cost for cost in costs if cost is not None), Decimal(0)) if None not in costs else None


class ProviderState(Enum):
    """How a provider stands.

    ``HEALTHY`` is asked. ``COOLING`` is left alone for a time, after failures or because it asked for fewer
    requests; then it is ``HALF_OPEN``, and one attempt finds out whether it works again. ``OUT`` refused the
    account, or has no money left.
    """

    HEALTHY = "healthy"
    COOLING = "cooling"
    HALF_OPEN = "half-open"
    OUT = "out"


State = ProviderState
"""The former name of :class:`ProviderState`."""


@attrs.frozen
class ProviderHealth:
    """Whether a provider is asked.

    ``reason`` is what put it into this ``state``, None where it is healthy. ``since`` is when that was, None
    where it has always been healthy; ``until`` is when it is tried again, None where that is no matter of
    time. Both are in UTC.
    """

    state: ProviderState
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@attrs.frozen
class Outcome(Generic[S]):
    """How one task of many ended: with a result or with an error.

    ``index`` is its place in what was given, from 0. ``source`` is what was given there: the task, or the
    callable that was to make it.
    """

    index: int
    _task: Task[S] | None
    result: Result[S] | None = None
    error: Exception | None = None
    source: Task[S] | Callable[[], Task[S]] | None = None

    @property
    def task(self) -> Task[S]:
        """The task; raises the error where none could be made, as of a file that is no picture."""
        if self._task is not None:
            return self._task
        raise self.error or CaptchaHubError("this task was not made")

    def unwrap(self) -> Result[S]:
        """The result; raises the error where there is none."""
        if self.result is not None:
            return self.result
        raise self.error or CaptchaHubError("this task was not solved")
