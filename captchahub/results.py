"""What a solve returns, and how providers are doing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Generic, TypeVar

import attrs

from captchahub._support.notebook import Shown, amount, attempts_card, fields, seconds
from captchahub.errors import Attempt, CaptchaHubError
from captchahub.tasks import Solution, Task

__all__ = ["Attempt", "HealthEntry", "Outcome", "ProviderHealth", "ProviderState", "Result", "State", "Vote"]

S = TypeVar("S", bound=Solution)


@attrs.frozen
class Vote(Generic[S]):
    """The answer of one provider. ``agrees`` is True if it is the answer that enough providers gave.

    ``kind`` is the kind of the task.
    """

    provider: str
    job_id: int | str | None
    solution: S
    agrees: bool
    kind: str = ""


@attrs.frozen
class Result(Generic[S]):
    """A checked solution, the provider that delivered it, and every attempt that was made.

    ``kind`` is the kind of the task. ``job_id`` is the service's own id, or None for a local provider and for
    a service that answered at once without one. ``cost`` is what this job cost, in the provider's currency,
    or None if unknown; ``attempts`` has the costs of failed and overtaken attempts. ``elapsed`` is the
    duration of the whole solve, in seconds. ``ignored_options`` are the names of the task's options that were
    not sent to the provider; they were still used to check the answer. ``votes`` has all answers, which are
    several if the route requires agreement.
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
    """Whether this is the answer of a job created for an equal task, so that it cost nothing extra."""

    @property
    def total_cost(self) -> Decimal | None:
        """What all attempts cost together, or None if the cost of one of them is unknown.

        The currencies are ignored, so the sum has no meaning if the providers charge in different ones.
        """
        costs = [attempt.cost for attempt in self.attempts]
        return sum((cost for cost in costs if cost is not None), Decimal(0)) if None not in costs else None

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        job = "" if self.job_id is None else f", job {self.job_id}"
        facts: dict[str, str | Shown] = {
            "answer": Shown(fields(self.solution), is_good=True),
            "provider": f"{self.provider}{job}",
            "cost": amount(self.cost),
            "time": seconds(self.elapsed),
        }
        if self.total_cost != self.cost:
            facts["cost of all attempts"] = amount(self.total_cost)
        if self.ignored_options:
            facts["not sent"] = ", ".join(self.ignored_options)
        if self.is_shared:
            facts["shared"] = "the answer of an equal task"
        return attempts_card(f"Result of {self.kind}", facts, self.attempts)


class ProviderState(Enum):
    """The state of a provider, which is that of a circuit breaker.

    A ``HEALTHY`` provider is used. A ``COOLING`` one is not used for a time, after failures or because it
    asked for fewer requests. Then it is ``HALF_OPEN``: one attempt finds out whether it works again. One that
    is ``OUT`` refused the account or has no money left, and stays so until it is revived.
    """

    HEALTHY = "healthy"
    COOLING = "cooling"
    HALF_OPEN = "half-open"
    OUT = "out"


State = ProviderState
"""The former name of :class:`ProviderState`."""


@attrs.frozen
class ProviderHealth:
    """Whether a provider is used.

    ``reason`` is why it is in this ``state``, or None if it is healthy. ``since`` is when the state changed,
    or None if the provider has always been healthy. ``until`` is when it is tried again, or None if that does
    not depend on time. Both are in UTC.
    """

    state: ProviderState
    reason: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@attrs.frozen
class HealthEntry:
    """A provider that a hub does not use now, as that hub recorded it in the journal.

    ``provider`` is its name in that hub, and ``state`` is ``COOLING`` or ``OUT``. ``error`` is the name of
    the class of the error that led to it, such as ``AuthenticationError`` or ``InsufficientBalance``.
    ``since`` is when that happened. ``until`` is when the provider is tried again, or None if it is out. Both
    are in UTC.
    """

    provider: str
    state: ProviderState
    error: str
    since: datetime
    until: datetime | None
    owner: str
    """The id of the hub, as in :attr:`JobEntry.owner <captchahub.jobs.JobEntry.owner>`."""
    account: int | None = None
    """The journal's number of the account, or None if the provider works in the process of the hub."""
    plugin: str | None = None
    """The name of the plugin of that account."""
    address: str | None = None
    """The URL of the service of that account."""
    configured_as: str | None = None
    """The name of the provider of this hub that has that account, or None if no provider has."""


@attrs.frozen
class Outcome(Generic[S]):
    """How one task of ``solve_many`` ended: with a result or with an error.

    ``index`` is the position of the task in the input, from 0. ``source`` is the item of the input: the task,
    or the callable that makes it.
    """

    index: int
    _task: Task[S] | None
    result: Result[S] | None = None
    error: Exception | None = None
    source: Task[S] | Callable[[], Task[S]] | None = None

    @property
    def task(self) -> Task[S]:
        """The task. Raises the error if the task could not be made, for example from a broken file."""
        if self._task is not None:
            return self._task
        raise self.error or CaptchaHubError("this task was not made")

    def unwrap(self) -> Result[S]:
        """Return the result, or raise the error if there is none."""
        if self.result is not None:
            return self.result
        raise self.error or CaptchaHubError("this task was not solved")
