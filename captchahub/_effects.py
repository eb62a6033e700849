"""What the end of an attempt says of its provider's health: pure."""

from __future__ import annotations

from enum import Enum

from captchahub.errors import (
    AmbiguousCreate,
    AuthenticationError,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobTimeout,
    MalformedReply,
    RateLimited,
    ServiceBusy,
    ServiceUnavailable,
    TaskError,
    WrongSolution,
)

__all__ = ["FAILURES", "Effect", "effect_of", "is_telling"]

# In less time than this, in seconds, even a good service may fail to take an order.
_FAIR_FOR_CALL = 2.0
# Attempts end a moment before or after their time is up, in seconds.
_SLACK = 0.05


class Effect(Enum):
    """What the end of an attempt does to its provider's health."""

    WORKED = "it solved the task"
    ANSWERED = "it failed as a working service does: ends a probe well, else counts neither way"
    FAILED = "its job failed it: counts to a cooldown, which only a probe that is answered ends"
    LOST = "nobody knows what became of the order: counts as well, and a job that is created ends it"
    UNREACHED = "no order got there: as LOST, and a probe costs nothing"
    BUSY = "it asks for fewer requests: it cools at once"
    FULL = "it has no free worker: it cools at once, and needs no probe"
    REFUSED = "it is out"
    NONE = "it says nothing of the provider"


_EFFECTS: tuple[tuple[type[Exception], Effect], ...] = (
    (TaskError, Effect.NONE),
    (AuthenticationError, Effect.REFUSED),
    (InsufficientBalance, Effect.REFUSED),
    (ServiceBusy, Effect.FULL),
    (RateLimited, Effect.BUSY),
    (JobFailed, Effect.ANSWERED),
    (WrongSolution, Effect.ANSWERED),
    (JobRefused, Effect.ANSWERED),
    (JobTimeout, Effect.FAILED),
    (AmbiguousCreate, Effect.LOST),
    (ServiceUnavailable, Effect.FAILED),
    (MalformedReply, Effect.FAILED),
)
FAILURES = (Effect.FAILED, Effect.LOST, Effect.UNREACHED)


def effect_of(error: Exception | None) -> Effect:
    """The last column of the design's table; None is an attempt that solved the task."""
    if error is None:
        return Effect.WORKED
    if isinstance(error, ServiceUnavailable) and error.nothing_created:
        return Effect.UNREACHED
    return next((effect for kind, effect in _EFFECTS if isinstance(error, kind)), Effect.NONE)


def is_telling(error: Exception, *, given: float, took: float, fair: float) -> bool:
    """Whether an error says something of the provider, and not only of the little time that it was given.

    ``given`` and ``took`` are the seconds that the attempt had and needed, ``fair`` what a job should have.
    """
    if isinstance(error, JobTimeout):
        return given >= fair
    return took < given - _SLACK or given >= _FAIR_FOR_CALL
