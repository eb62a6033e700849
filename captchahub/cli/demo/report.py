"""The texts of the demo's report. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import attrs

from captchahub.cli.demo.run import DemoRun
from captchahub.cli.text import counted
from captchahub.errors import (
    AllProvidersFailed,
    AmbiguousCreate,
    Attempt,
    InsufficientBalance,
    JobFailed,
    JobTimeout,
    ProviderError,
    RateLimited,
    ServiceBusy,
    ServiceUnavailable,
    TemporarilyBlocked,
)
from captchahub.results import Outcome
from captchahub.tasks import Solution
from captchahub.testing import JobRecord

_ZERO = Decimal(0)

_MAX_NAMES = 4

_LOST_POLLS = "met HTTP 502 or a broken connection: polled again, so no job was lost and none was paid twice"

_DESCRIPTIONS: tuple[tuple[type[ProviderError], str], ...] = (
    (
        AmbiguousCreate,
        "the connection broke after the request: a job may exist, so it was not created again there",
    ),
    (ServiceBusy, "had no free worker"),
    (TemporarilyBlocked, "blocked the account for a time"),
    (RateLimited, "asked for fewer requests (HTTP 429)"),
    (InsufficientBalance, "the account ran out of money"),
    (JobFailed, "the service failed to solve the job"),
    (JobTimeout, "the job took too long"),
    (ServiceUnavailable, "could not be reached"),
)


@attrs.frozen
class Problem:
    """Something that went wrong: the pictures or the number of polls, and what happened."""

    subject: str
    text: str


def attempts_of(outcome: Outcome[Solution]) -> tuple[Attempt, ...]:
    """Return all attempts at a picture, solved or not."""
    if outcome.result is not None:
        return outcome.result.attempts
    return outcome.error.attempts if isinstance(outcome.error, AllProvidersFailed) else ()


def cost_text(cost: Decimal | None) -> str:
    """Return an amount with five digits, as the service writes its balance, or ``-`` if it is unknown."""
    return "-" if cost is None else f"{cost:.5f}"


def problems(run: DemoRun) -> Iterator[Problem]:
    """Yield what went wrong, grouped by description, and finally what the same account recovered from."""
    grouped: dict[str, list[str]] = {}
    for picture in run.pictures:
        for text in _failures(run.outcomes[picture.name]):
            grouped.setdefault(text, []).append(picture.name)
    yield from (Problem(_shortened(names), text) for text, names in grouped.items())
    if run.lost_polls:
        yield Problem(counted(run.lost_polls, "poll"), _LOST_POLLS)


def _shortened(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMES])
    return shown if len(names) <= _MAX_NAMES else f"{shown} and {len(names) - _MAX_NAMES} more"


def _failures(outcome: Outcome[Solution]) -> Iterator[str]:
    solver = None if outcome.result is None else outcome.result.provider
    for attempt in attempts_of(outcome):
        if attempt.error is not None:
            result = f"{solver} solved it" if solver else "no account solved it"
            yield f"{attempt.provider}: {_description(attempt.error)}; {result}"
    if isinstance(outcome.error, Exception) and not attempts_of(outcome):
        yield str(outcome.error)


def _description(error: ProviderError) -> str:
    known = (text for kind, text in _DESCRIPTIONS if isinstance(error, kind))
    return next(known, str(error))


def summary(run: DemoRun) -> Iterator[str]:
    """Yield a summary: the answers, and what the service charged and received."""
    results = [outcome.result for outcome in run.outcomes.values() if outcome.result is not None]
    right = sum(run.is_right(picture) for picture in run.pictures)
    yield f"{right} of {len(run.pictures)} right in {run.seconds:.1f} s"
    jobs = run.sandbox.jobs
    answers = cost_text(sum((result.cost or _ZERO for result in results), _ZERO))
    yield f"The answers cost {answers}. {_charged(jobs, len(jobs) - len(results))}"
    connections = counted(run.sandbox.connections, "TCP connection")
    yield f"It received {counted(len(run.sandbox.calls), 'call')} over {connections}."


def _charged(jobs: Sequence[JobRecord], unanswered: int) -> str:
    """Return what the service charged, which is more than the answers cost if a paid job has none."""
    charged = cost_text(sum((job.price for job in jobs), _ZERO))
    extra = f", {unanswered} without an answer" if unanswered else ""
    return f"The service charged {charged} for {counted(len(jobs), 'job')}{extra}."
