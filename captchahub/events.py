"""The events that observers receive: one frozen object for each thing that happens in a hub.

An observer is a plugin with the hook ``captchahub_observe`` of :mod:`captchahub.hookspecs`. It is called in a
separate thread after the event, so that it can neither slow down a solve nor lose its answer.
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
    """Something that happened in a hub. ``at`` is the wall-clock time, in seconds since 1970."""

    at: float


@attrs.frozen(kw_only=True)
class SolveEvent(Event):
    """Something that happened in one solve.

    ``solve`` is the id of the solve: the same text in all its events, and the ``submission`` of its jobs in
    the journal. ``kind`` is the kind of the task.
    """

    solve: str
    kind: str


@attrs.frozen(kw_only=True)
class Submitted(SolveEvent):
    """A task was submitted. Solved, Failed or Cancelled follows.

    ``timeout`` is the time limit of the whole solve, in seconds.
    """

    timeout: float


@attrs.frozen(kw_only=True)
class JobCreated(SolveEvent):
    """A provider accepted the job. ``price`` is what is reserved for it, or None if unknown."""

    provider: str
    job_id: int | str
    price: Decimal | None


@attrs.frozen(kw_only=True)
class Polled(SolveEvent):
    """A job was polled. ``number`` counts its polls from 1; ``is_done`` is True if the job has ended.

    ``error`` is set if the poll failed. The job is polled again.
    """

    provider: str
    job_id: int | str
    number: int
    is_done: bool
    error: ProviderError | None = None


@attrs.frozen(kw_only=True)
class Attempted(SolveEvent):
    """One attempt ended, with an answer or with ``attempt.error``.

    It started ``attempt.elapsed`` seconds before. An attempt that another provider has overtaken can end
    after its solve.
    """

    attempt: Attempt


@attrs.frozen(kw_only=True)
class FellBack(SolveEvent):
    """An attempt failed with ``error``, and the solve continues with other providers."""

    provider: str
    error: ProviderError


@attrs.frozen(kw_only=True)
class Retrying(SolveEvent):
    """A create call failed with ``error``, and is repeated at the same provider after a pause."""

    provider: str
    error: ProviderError


@attrs.frozen(kw_only=True)
class BudgetRefused(SolveEvent):
    """No job was created at a provider, because a budget has no room for it or its price is unknown."""

    provider: str
    error: BudgetExceeded | PriceUnknown


@attrs.frozen(kw_only=True)
class Solved(SolveEvent):
    """The solve ended with a result. ``result.is_shared`` is True if it is the answer of an equal task."""

    result: Result[Solution]


@attrs.frozen(kw_only=True)
class Failed(SolveEvent):
    """The solve ended without a result, ``elapsed`` seconds after it was submitted.

    ``error`` is the error that the caller receives, usually an AllProvidersFailed.
    """

    error: Exception
    elapsed: float


@attrs.frozen(kw_only=True)
class Cancelled(SolveEvent):
    """The solve was cancelled, ``elapsed`` seconds after it was submitted."""

    elapsed: float


@attrs.frozen(kw_only=True)
class CooledDown(Event):
    """A provider is not used any more, for a time or until it is revived.

    ``state`` is ``ProviderState.COOLING`` or ``ProviderState.OUT``, and ``reason`` says why. ``until`` is the
    end of the pause in seconds since 1970, or None if the provider is out.
    """

    provider: str
    state: ProviderState
    reason: str
    until: float | None


@attrs.frozen(kw_only=True)
class Recovered(Event):
    """A provider that had cooled down, or was out, is used again."""

    provider: str
