"""What each class of error means: for the next provider, for health, for the job and for a poll.

``TABLE`` is the rule, one row per class. A create whose reply is lost becomes an AmbiguousCreate before it is
looked up here. :func:`blames_provider` may drop the effect on health, and what a route makes of an error is in
:mod:`captchahub._policy.fallback`.
"""

from __future__ import annotations

from enum import Enum

import attrs

from captchahub.errors import (
    AmbiguousCreate,
    AuthenticationError,
    BudgetExceeded,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobTimeout,
    JobUnknown,
    JournalError,
    MalformedReply,
    NotAsked,
    Outvoted,
    Overtaken,
    PluginFault,
    PriceUnknown,
    ProviderError,
    RateLimited,
    ServiceBusy,
    ServiceUnavailable,
    TaskRefused,
    TemporarilyBlocked,
    UnsupportedTask,
    WrongSolution,
)
from captchahub.jobs import JobState


class Then(Enum):
    """What a solve does after a failed attempt."""

    STOP = "the solve ends"
    NEXT = "the next provider is called, and this one is not called again"
    LATER = "the other providers are called first, then this one again after a pause"
    RETRY = "no other provider is called; this one is called again after a pause"
    """Never in the table: it is LATER on a route that does not allow the next provider."""


class HealthEffect(Enum):
    """What the end of an attempt does to the health of its provider."""

    WORKED = "it solved the task"
    ANSWERED = "it failed as a working service may: ends a probe well, otherwise does not count"
    FAILED = "counts towards a cooldown, which only the answer to a probe ends"
    LOST = "counts towards a cooldown, which a created job ends, because only the create failed"
    UNREACHED = "as LOST, and no job was created, so that a probe costs nothing"
    RATE_LIMITED = "cools down at once"
    SERVICE_BUSY = "cools down at once, and needs no probe afterwards"
    REFUSED = "is out until its configuration or balance changes"
    NONE = "says nothing about the provider"


FAILURES = (HealthEffect.FAILED, HealthEffect.LOST, HealthEffect.UNREACHED)
"""The effects that count towards a cooldown."""


@attrs.frozen
class Row:
    """What one class of error means."""

    error: type[Exception]
    then: Then
    health: HealthEffect
    with_job: JobState | None
    """The job's state in the journal if its id is known, or None if it is not over: it can be collected."""
    without_job: JobState
    """The job's state in the journal if there is no id."""
    poll_goes_on: bool
    """Whether the job is polled again after a poll that met the error."""
    of_every_call: bool
    """Whether the error, met in a call that is not about a job, such as reading prices, holds for a create too."""
    of_plugins: bool
    """Whether a plugin may raise it. The rest is for the engine, because only the engine knows it is true."""
    nothing_created: bool = False
    """Whether the row is only for an error that says itself that no job was created."""

    def job_state(self, *, has_job: bool) -> JobState | None:
        """Return the job's state in the journal, or None if the job is not over."""
        return self.with_job if has_job else self.without_job

    def is_for(self, error: BaseException) -> bool:
        """Return whether the row is for an error; the first such row of the table counts."""
        if not isinstance(error, self.error):
            return False
        return not self.nothing_created or (isinstance(error, ServiceUnavailable) and error.nothing_created)


# The most specific class first. Three rules explain most cells:
# - A job that may exist is never created again at the same provider, so LATER needs proof that none exists.
# - A job with an id is paid for, so only an error about the job itself ends it (with_job) or its polling.
# - What became of a create is ambiguous unless the error says that there is no job; that keeps its price
#   reserved, because the ledger must never be below what the service charges.
# fmt: off
TABLE: tuple[Row, ...] = (
    #   error                then        health                     job: with an id   without one         poll   every  plugins
    #                                                                                                     again  call
    # The next provider would refuse the same picture and options.
    Row(TaskRefused,         Then.STOP,  HealthEffect.NONE,         None,             JobState.REFUSED,   False, False, True),

    # Firewalls answer a poll with 401 and 403 too, and the account was good when the job was created.
    Row(AuthenticationError, Then.NEXT,  HealthEffect.REFUSED,      None,             JobState.REFUSED,   True,  True,  True),
    Row(InsufficientBalance, Then.NEXT,  HealthEffect.REFUSED,      None,             JobState.REFUSED,   True,  True,  True),

    # They say that nothing was created, so the same job may be created later. A service that says that no
    # worker is free works: no probe is needed. A ban is a long rate limit.
    Row(ServiceBusy,         Then.LATER, HealthEffect.SERVICE_BUSY, None,             JobState.REFUSED,   True,  True,  True),
    Row(TemporarilyBlocked,  Then.LATER, HealthEffect.RATE_LIMITED, None,             JobState.REFUSED,   True,  True,  True),
    Row(RateLimited,         Then.LATER, HealthEffect.RATE_LIMITED, None,             JobState.REFUSED,   True,  True,  True),

    # A job without an answer is ordinary work, if the picture is unclear. A service that says so works.
    Row(JobUnknown,          Then.NEXT,  HealthEffect.ANSWERED,     JobState.EXPIRED, JobState.FAILED,    False, False, True),
    Row(JobFailed,           Then.NEXT,  HealthEffect.ANSWERED,     JobState.FAILED,  JobState.FAILED,    False, False, True),
    # Without an id the answer came with the reply to the create.
    Row(WrongSolution,       Then.NEXT,  HealthEffect.ANSWERED,     JobState.FAILED,  JobState.FAILED,    False, False, True),
    # The reply to a create means that there is no job; to a poll, it is about the poll, and the job may
    # still be done.
    Row(JobRefused,          Then.NEXT,  HealthEffect.ANSWERED,     None,             JobState.REFUSED,   True,  False, True),
    # The job may still be done, so it is collected late.
    Row(JobTimeout,          Then.NEXT,  HealthEffect.FAILED,       None,             JobState.AMBIGUOUS, False, False, True),

    # Only the create failed, so a job that is created shows that the service works again.
    Row(AmbiguousCreate,     Then.NEXT,  HealthEffect.LOST,         None,             JobState.AMBIGUOUS, False, False, True),
    Row(ServiceUnavailable,  Then.LATER, HealthEffect.UNREACHED,    None,             JobState.NOT_SENT,  True,  True,  True, nothing_created=True),
    Row(ServiceUnavailable,  Then.NEXT,  HealthEffect.FAILED,       None,             JobState.AMBIGUOUS, True,  True,  True),
    # A fault in reading a poll may pass with the next reply. One with the answer that has come does not, so
    # with_job is for that.
    Row(PluginFault,         Then.NEXT,  HealthEffect.FAILED,       JobState.FAILED,  JobState.AMBIGUOUS, True,  True,  True),
    Row(MalformedReply,      Then.NEXT,  HealthEffect.FAILED,       None,             JobState.AMBIGUOUS, True,  True,  True),
    # Raised before a request is made, or for a reply that says so.
    Row(UnsupportedTask,     Then.NEXT,  HealthEffect.NONE,         None,             JobState.REFUSED,   False, False, True),

    # What the engine finds out by itself.
    Row(Outvoted,            Then.NEXT,  HealthEffect.NONE,         None,             JobState.AMBIGUOUS, False, False, False),
    Row(Overtaken,           Then.NEXT,  HealthEffect.NONE,         None,             JobState.AMBIGUOUS, False, False, False),
    # The next period of a budget, or a price, would come long after the solve is over.
    Row(BudgetExceeded,      Then.NEXT,  HealthEffect.NONE,         None,             JobState.AMBIGUOUS, False, False, False),
    Row(PriceUnknown,        Then.NEXT,  HealthEffect.NONE,         None,             JobState.AMBIGUOUS, False, False, False),
    # Without the journal, a job of any provider could be lost or paid twice.
    Row(JournalError,        Then.STOP,  HealthEffect.NONE,         None,             JobState.AMBIGUOUS, False, False, False),
    Row(NotAsked,            Then.LATER, HealthEffect.NONE,         None,             JobState.AMBIGUOUS, False, False, False),

    # A class of a plugin's own, or another failure at one provider.
    Row(ProviderError,       Then.NEXT,  HealthEffect.NONE,         None,             JobState.AMBIGUOUS, False, False, True),
    # The caller's mistake, a closed hub, a cancelled solve: another provider does not help.
    Row(Exception,           Then.STOP,  HealthEffect.NONE,         None,             JobState.AMBIGUOUS, False, False, True),
)
# fmt: on


def row_for(error: Exception) -> Row:
    """Return what an error means."""
    return next(row for row in TABLE if row.is_for(error))


# In less time than this, in seconds, even a working service may fail to reply to a create over a slow network.
_TIME_FOR_ONE_CALL = 2.0

# An attempt whose time is up ends a moment before or after that, in seconds: timers are not exact.
_TIMER_TOLERANCE = 0.05


def blames_provider(error: Exception, *, allowed: float, took: float, typical: float) -> bool:
    """Return whether an error says something about the provider, not only about the little time it had.

    ``allowed`` is the time that the attempt had, ``took`` the time it needed and ``typical`` the time that a
    job usually needs, in seconds.
    """
    if isinstance(error, JobTimeout):
        return allowed >= typical
    return took < allowed - _TIMER_TOLERANCE or allowed >= _TIME_FOR_ONE_CALL
