"""Whom to ask, when, for how long, and what an error allows next: pure."""

from __future__ import annotations

from enum import Enum

from captchahub.errors import (
    AmbiguousCreate,
    AuthenticationError,
    BudgetExceeded,
    CaptchaHubError,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobTimeout,
    JobUnknown,
    JournalError,
    MalformedReply,
    NotAsked,
    PluginFault,
    PriceUnknown,
    ProviderError,
    RateLimited,
    ServiceBusy,
    ServiceUnavailable,
    TaskError,
    TaskRefused,
    UnsupportedTask,
    WrongSolution,
)
from captchahub.jobs import JobState
from captchahub.settings import Otherwise, RouteSettings

__all__ = [
    "FAILURES",
    "HealthEffect",
    "Next",
    "backoff",
    "effect_of",
    "end_of",
    "is_telling",
    "rules_against",
    "what_next",
]

_FIRST_PAUSE = 0.5

_LONGEST_PAUSE = 10.0


class Next(Enum):
    """What to do after a failed attempt."""

    GIVE_UP = "nobody is asked any more"
    OTHERS = "this provider is done with; the others are asked"
    LATER = "the others are asked first; when none is left, this provider again after a pause"
    AGAIN = "nobody else is asked; this provider again after a pause"


_ANY = RouteSettings(())


def what_next(error: CaptchaHubError, route: RouteSettings = _ANY) -> Next:
    """What an error allows: the table of the design in one place, and what the route makes of it."""
    if isinstance(error, (JournalError, TaskError)) or not isinstance(error, ProviderError):
        return Next.GIVE_UP
    if isinstance(error, (BudgetExceeded, PriceUnknown)):
        return Next.OTHERS
    falls_back = isinstance(error, NotAsked) or not rules_against(error, route)
    if _is_worth_waiting_for(error):
        return Next.LATER if falls_back else Next.AGAIN
    return Next.OTHERS if falls_back else Next.GIVE_UP


def _is_worth_waiting_for(error: ProviderError) -> bool:
    if isinstance(error, ServiceUnavailable):
        return error.nothing_created
    return isinstance(error, (RateLimited, NotAsked))


def rules_against(error: ProviderError, route: RouteSettings) -> list[str]:
    """The rules of the route after which nobody else is asked; none where another one may be."""
    rules: list[str] = []
    if isinstance(error, AmbiguousCreate) and route.on_ambiguous is Otherwise.FAIL:
        rules.append("on_ambiguous")
    if isinstance(error, JobTimeout) and route.on_timeout is Otherwise.FAIL:
        rules.append("on_timeout")
    if not isinstance(error, route.fallback_on):
        rules.append("fallback_on")
    return rules


def backoff(tries: int, error: CaptchaHubError | None = None, *, chance: float = 1.0) -> float:
    """How long to leave a provider alone after its ``tries``-th failure, in seconds.

    It doubles with each try up to a ceiling, shortened by ``chance`` (from 0 to 1) by up to a half so that
    many waiting solves do not come back at once. What the service asked for only lengthens it.
    """
    doubled = min(_FIRST_PAUSE * 2.0 ** min(tries - 1, 10), _LONGEST_PAUSE)
    asked_for = error.retry_after if isinstance(error, (RateLimited, ServiceUnavailable)) else None
    return max(doubled * (0.5 + chance / 2), asked_for or 0.0)


# What a poll can meet without the job being over: it is paid for, and asking again is free. Even a refused
# token is among them, for it was good when the job was created; firewalls answer 403 as well.
SURVIVED = (
    AuthenticationError,
    InsufficientBalance,
    JobRefused,
    MalformedReply,
    RateLimited,
    ServiceUnavailable,
)

# In less time than this, in seconds, even a good service may fail to take an order.
_FAIR_FOR_CALL = 2.0

# Attempts end a moment before or after their time is up, in seconds.
_SLACK = 0.05


class HealthEffect(Enum):
    """What the end of an attempt does to its provider's health."""

    WORKED = "it solved the task"
    ANSWERED = "it failed as a working service does: ends a probe well, else counts neither way"
    FAILED = "its job failed it: counts to a cooldown, which only a probe that is answered ends"
    LOST = "nobody knows what became of the order: counts as well, and a job that is created ends it"
    UNREACHED = "no order got there: as LOST, and a probe costs nothing"
    RATE_LIMITED = "it asks for fewer requests: it cools at once"
    SERVICE_BUSY = "it has no free worker: it cools at once, and needs no probe"
    REFUSED = "it is out"
    NONE = "it says nothing of the provider"


_EFFECTS: tuple[tuple[type[Exception], HealthEffect], ...] = (
    (TaskError, HealthEffect.NONE),
    (AuthenticationError, HealthEffect.REFUSED),
    (InsufficientBalance, HealthEffect.REFUSED),
    (ServiceBusy, HealthEffect.SERVICE_BUSY),
    (RateLimited, HealthEffect.RATE_LIMITED),
    (JobFailed, HealthEffect.ANSWERED),
    (WrongSolution, HealthEffect.ANSWERED),
    (JobRefused, HealthEffect.ANSWERED),
    (JobTimeout, HealthEffect.FAILED),
    (AmbiguousCreate, HealthEffect.LOST),
    (ServiceUnavailable, HealthEffect.FAILED),
    (MalformedReply, HealthEffect.FAILED),
)

FAILURES = (HealthEffect.FAILED, HealthEffect.LOST, HealthEffect.UNREACHED)


def effect_of(error: Exception | None) -> HealthEffect:
    """The last column of the design's table; None is an attempt that solved the task."""
    if error is None:
        return HealthEffect.WORKED
    if isinstance(error, ServiceUnavailable) and error.nothing_created:
        return HealthEffect.UNREACHED
    return next((effect for kind, effect in _EFFECTS if isinstance(error, kind)), HealthEffect.NONE)


def is_telling(error: Exception, *, given: float, took: float, fair: float) -> bool:
    """Whether an error says something of the provider, and not only of the little time that it was given.

    ``given`` and ``took`` are the seconds that the attempt had and needed, ``fair`` what a job should have.
    """
    if isinstance(error, JobTimeout):
        return given >= fair
    return took < given - _SLACK or given >= _FAIR_FOR_CALL


_OF_A_JOB: tuple[tuple[type[ProviderError], JobState], ...] = (
    (JobUnknown, JobState.EXPIRED),
    (JobFailed, JobState.FAILED),
    (WrongSolution, JobState.FAILED),
    (PluginFault, JobState.FAILED),
)

_OF_AN_ORDER: tuple[tuple[type[ProviderError], JobState], ...] = (
    (AuthenticationError, JobState.REFUSED),
    (InsufficientBalance, JobState.REFUSED),
    (JobRefused, JobState.REFUSED),
    (RateLimited, JobState.REFUSED),
    (TaskRefused, JobState.REFUSED),
    (UnsupportedTask, JobState.REFUSED),
    (JobFailed, JobState.FAILED),
    # The answer came with the order.
    (WrongSolution, JobState.FAILED),
)


def end_of(error: ProviderError | None, *, has_job: bool) -> JobState | None:
    """What a job is after its attempt ended; None where it is not over, so that its answer can be collected.

    What nobody can tell of an order is ambiguous.
    """
    if error is None:
        return JobState.SOLVED
    if has_job:
        return next((state for kind, state in _OF_A_JOB if isinstance(error, kind)), None)
    if isinstance(error, ServiceUnavailable) and error.nothing_created:
        return JobState.NOT_SENT
    return next((state for kind, state in _OF_AN_ORDER if isinstance(error, kind)), JobState.AMBIGUOUS)
