"""Which errors are worth another attempt at a job, and when: those that pass, and pay nothing again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import attrs
from procrastinate import BaseRetryStrategy, RetryDecision
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from captchahub import (
    AllProvidersFailed,
    AuthenticationError,
    BudgetExceeded,
    ConfigError,
    HubClosed,
    InsufficientBalance,
    JobRefused,
    NotAsked,
    PriceUnknown,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
    UnsupportedTask,
)

__all__ = ["RetryUnpaid", "pause_before_retry"]

_FIRST_PAUSE = 5.0
_GROWTH = 3.0

# No picture is worth more. In seconds.
_LONGEST_PAUSE = 3600.0

_PASSING = (ConfigError, ConnectorException, HubClosed, OperationalError, PoolTimeout)
"""Errors before anything was ordered, or after the answer is in the journal."""

_LASTING = (AuthenticationError, InsufficientBalance, JobRefused, PriceUnknown, UnsupportedTask)
"""Errors of a provider that ordered nothing, and will order nothing soon."""


def pause_before_retry(error: BaseException, attempts: int, now: datetime) -> float | None:
    """Return the pause before another attempt, in seconds, or None if none is worth it.

    ``attempts`` is the number of attempts before the one that failed. If the job may have been paid for and
    another attempt could not continue it, there is none: the caller decides.
    """
    if isinstance(error, asyncio.CancelledError):
        return 0.0  # the worker stops, and another one continues the job at the service
    usual = min(_FIRST_PAUSE * _GROWTH ** min(attempts, 10), _LONGEST_PAUSE)
    if isinstance(error, _PASSING):
        return usual
    errors: Sequence[BaseException] = ()
    if isinstance(error, AllProvidersFailed):
        errors = error.exceptions
    elif isinstance(error, ProviderError):
        errors = (error,)
    pauses = [_wait_for(one, usual, now) for one in errors if not isinstance(one, _LASTING)]
    known = [one for one in pauses if one is not None]
    if not known or len(known) < len(pauses):
        return None
    # The first provider that can be used again is enough.
    pause = min(known)
    return pause if pause <= _LONGEST_PAUSE else None


def _wait_for(error: BaseException, usual: float, now: datetime) -> float | None:
    """Return when the provider is worth another call, or None if that could be paid for twice."""
    if isinstance(error, BudgetExceeded):
        return float("inf") if error.frees is None else max((error.frees - now).total_seconds(), 0.0)
    if isinstance(error, RateLimited):
        return max(usual, error.retry_after or 0.0)
    if isinstance(error, ServiceUnavailable) and error.nothing_created:
        return max(usual, error.retry_after or 0.0)
    # Not a JobTimeout: only another process continues its job, and this one would order another.
    return usual if isinstance(error, NotAsked) else None


@attrs.frozen
class RetryUnpaid(BaseRetryStrategy):
    """Repeats a job after an error that passes, for at most ``max_attempts`` attempts in all."""

    max_attempts: int

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Return when the job is attempted again, or None if it has failed."""
        pause = pause_before_retry(exception, job.attempts, datetime.now(UTC))
        if pause is None:
            return None
        if job.attempts + 1 >= self.max_attempts and not isinstance(exception, asyncio.CancelledError):
            return None
        return RetryDecision(retry_in={"seconds": round(pause)})
