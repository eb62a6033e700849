"""Which errors are followed by another attempt, and when."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from captchahub_procrastinate.retrying import RetryUnpaid, pause_before_retry
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job

from captchahub import (
    AllProvidersFailed,
    AmbiguousCreate,
    Attempt,
    AuthenticationError,
    BudgetExceeded,
    ConfigError,
    HubClosed,
    JobFailed,
    JobTimeout,
    JournalError,
    NotAsked,
    PriceUnknown,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
    SolveTimeout,
    TaskError,
    TaskRefused,
    WrongSolution,
)

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def all_failed(*errors: ProviderError) -> AllProvidersFailed:
    return AllProvidersFailed("failed", [Attempt("omo", 1.0, error=error) for error in errors])


def budget(seconds: float | None) -> BudgetExceeded:
    frees = None if seconds is None else NOW + timedelta(seconds=seconds)
    return BudgetExceeded("spent", frees=frees)


@pytest.mark.parametrize(
    ("error", "pause"),
    [
        (asyncio.CancelledError(), 0.0),
        (ConfigError("wrong"), 5.0),
        (HubClosed(), 5.0),
        (ConnectorException(), 5.0),
        (psycopg.OperationalError(), 5.0),
        (JournalError("locked"), 5.0),
        (all_failed(NotAsked("full")), 5.0),
        (all_failed(ServiceUnavailable("down", nothing_created=True, retry_after=20)), 20.0),
        (all_failed(RateLimited("slower", retry_after=40), NotAsked("cooling")), 5.0),
        (all_failed(RateLimited("slower", retry_after=40), AuthenticationError("token")), 40.0),
        (all_failed(budget(600.0)), 600.0),
        (all_failed(budget(600.0), NotAsked("cooling")), 5.0),
        (SolveTimeout("late", [Attempt("omo", 1.0, error=NotAsked("full"))]), 5.0),
    ],
    ids=repr,
)
def test_errors_that_pass(error: BaseException, pause: float) -> None:
    assert pause_before_retry(error, 0, NOW) == pause


@pytest.mark.parametrize(
    "error",
    [
        TaskError("no picture"),
        TaskRefused("too small"),
        ValueError("a bug"),
        all_failed(AuthenticationError("token")),
        all_failed(PriceUnknown("unknown")),
        all_failed(budget(None)),
        all_failed(budget(7200.0)),
        # What could be paid for twice.
        all_failed(AmbiguousCreate("lost"), RateLimited("slower")),
        all_failed(ServiceUnavailable("down"), NotAsked("full")),
        all_failed(JobFailed("unreadable"), RateLimited("slower")),
        all_failed(WrongSolution("too long"), NotAsked("full")),
        all_failed(JobTimeout("late"), NotAsked("full")),
    ],
    ids=repr,
)
def test_errors_that_do_not(error: BaseException) -> None:
    assert pause_before_retry(error, 0, NOW) is None


def test_the_pauses_grow_to_an_hour() -> None:
    pauses = [pause_before_retry(HubClosed(), attempts, NOW) or math.inf for attempts in (0, 1, 2, 3, 10_000)]
    assert pauses == [5, 15, 45, 135, 3600]


def test_the_last_attempt_is_the_last_unless_the_worker_stops() -> None:
    retry = RetryUnpaid(3)
    second, third = (
        Job(id=1, queue="captchahub", lock=None, queueing_lock=None, task_name="solve", attempts=attempts)
        for attempts in (1, 2)
    )
    assert retry.get_retry_decision(exception=HubClosed(), job=second) is not None
    assert retry.get_retry_decision(exception=HubClosed(), job=third) is None
    assert retry.get_retry_decision(exception=asyncio.CancelledError(), job=third) is not None
