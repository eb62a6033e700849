"""What observers are told of solves: a frozen event for each thing that happens.

An observer is the hook ``captchahub_observe`` of :mod:`captchahub.hookspecs`. It is called in a thread of its
own, after the fact, so that it can neither slow down a solve nor lose its answer.
"""

from __future__ import annotations

from decimal import Decimal

import attrs

from captchahub.errors import Attempt, BudgetExceeded, PriceUnknown, ProviderError
from captchahub.results import ProviderState, Result
from captchahub.tasks import Solution

__all__ = [
    "Attempted",
    "BudgetRefused",
    "Cancelled",
    "CooledDown",
    "Event",
    "Failed",
    "FellBack",
    "JobCreated",
    "Polled",
    "Recovered",
    "Retrying",
    "SolveEvent",
    "Solved",
    "Submitted",
]


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened in a hub. ``at`` is the time on the wall, in seconds since 1970."""

    at: float


@attrs.frozen(kw_only=True)
class SolveEvent(Event):
    """Something that happened to one solve.

    ``solve`` is the same text in all its events, and the ``submission`` of its jobs in the journal; ``kind``
    is that of the task.
    """

    solve: str
    kind: str


@attrs.frozen(kw_only=True)
class Submitted(SolveEvent):
    """A task was given to the hub. One of Solved, Failed and Cancelled follows.

    ``timeout`` is for the whole solve, in seconds.
    """

    timeout: float


@attrs.frozen(kw_only=True)
class JobCreated(SolveEvent):
    """A provider has taken the job; ``price`` is what is reserved for it, None where nobody knows."""

    provider: str
    job_id: int | str
    price: Decimal | None


@attrs.frozen(kw_only=True)
class Polled(SolveEvent):
    """A provider was asked for the answer of a job, for the ``number``-th time, and has it or not.

    ``error`` is what the question met where it got no answer; it is asked again.
    """

    provider: str
    job_id: int | str
    number: int
    is_done: bool
    error: ProviderError | None = None


@attrs.frozen(kw_only=True)
class Attempted(SolveEvent):
    """One provider's try at the task ended: well, or with ``attempt.error``.

    One that another provider has overtaken can end after its solve. It began ``attempt.elapsed`` seconds
    before.
    """

    attempt: Attempt


@attrs.frozen(kw_only=True)
class FellBack(SolveEvent):
    """A provider's try failed with ``error``, and the solve goes on with others."""

    provider: str
    error: ProviderError


@attrs.frozen(kw_only=True)
class Retrying(SolveEvent):
    """An order failed with ``error``, and nobody else is asked: the provider gets it again after a pause."""

    provider: str
    error: ProviderError


@attrs.frozen(kw_only=True)
class BudgetRefused(SolveEvent):
    """Nothing was ordered at a provider, because a budget has no room for it, or its price is unknown."""

    provider: str
    error: BudgetExceeded | PriceUnknown


@attrs.frozen(kw_only=True)
class Solved(SolveEvent):
    """The solve ended with a result. ``result.is_shared`` where it is the answer of an equal task."""

    result: Result[Solution]


@attrs.frozen(kw_only=True)
class Failed(SolveEvent):
    """The solve ended without a result, ``elapsed`` seconds after it was submitted.

    ``error`` is what the caller got: most often an AllProvidersFailed.
    """

    error: Exception
    elapsed: float


@attrs.frozen(kw_only=True)
class Cancelled(SolveEvent):
    """Nobody waits for the solve any more, ``elapsed`` seconds after it was submitted."""

    elapsed: float


@attrs.frozen(kw_only=True)
class CooledDown(Event):
    """A provider is left alone: it cools until a time on the wall, or is out where ``until`` is None.

    ``state`` is :attr:`State.COOLING` or :attr:`State.OUT`; ``reason`` is what led to it.
    """

    provider: str
    state: ProviderState
    reason: str
    until: float | None


@attrs.frozen(kw_only=True)
class Recovered(Event):
    """A provider that was left alone is asked again."""

    provider: str
