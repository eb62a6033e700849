"""The texts of the demo's report. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

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
from captchahub.results import Outcome, Result
from captchahub.tasks import Solution

_ZERO = Decimal(0)

_MAX_NAMES = 4

_LOST_POLLS = "met HTTP 502 or a broken connection: polled again, so no job was lost and none was paid twice"

# In this order: ServiceBusy and TemporarilyBlocked are kinds of RateLimited.
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


def attempts_of(outcome: Outcome[Solution]) -> tuple[Attempt, ...]:
    """Return all attempts at a picture, solved or not."""
    if outcome.result is not None:
        return outcome.result.attempts
    return outcome.error.attempts if isinstance(outcome.error, AllProvidersFailed) else ()


def cost_text(cost: Decimal | None) -> str:
    """Return an amount with five digits, as the service writes its balance, or ``-`` if it is unknown."""
    return "-" if cost is None else f"{cost:.5f}"


def problems(run: DemoRun) -> Iterator[tuple[str, str]]:
    """Yield the pictures or polls that met a problem, with its description.

    Last come the polls, because the account that they met it at recovered from it.
    """
    grouped: dict[str, list[str]] = {}
    for picture in run.pictures:
        for text in _failures(run.outcomes[picture.name]):
            grouped.setdefault(text, []).append(picture.name)
    for text, names in grouped.items():
        shown = ", ".join(names[:_MAX_NAMES])
        yield shown if len(names) <= _MAX_NAMES else f"{shown} and {len(names) - _MAX_NAMES} more", text
    if run.lost_polls:
        yield counted(run.lost_polls, "poll"), _LOST_POLLS


def _failures(outcome: Outcome[Solution]) -> Iterator[str]:
    solver = None if outcome.result is None else outcome.result.provider
    result = f"{solver} solved it" if solver else "no account solved it"
    for attempt in attempts_of(outcome):
        if attempt.error is not None:
            known = (text for kind, text in _DESCRIPTIONS if isinstance(attempt.error, kind))
            yield f"{attempt.provider}: {next(known, str(attempt.error))}; {result}"
    if isinstance(outcome.error, Exception) and not attempts_of(outcome):
        yield str(outcome.error)


def summary(run: DemoRun) -> Iterator[str]:
    """Yield a summary: the answers, and what the service charged and received."""
    results = [outcome.result for outcome in run.outcomes.values() if outcome.result is not None]
    right = sum(run.is_right(picture) for picture in run.pictures)
    yield f"{right} of {len(run.pictures)} right in {run.seconds:.1f} s"
    jobs = run.sandbox.jobs
    answers = cost_text(_total(results))
    # The service charges more than the answers cost if a paid job has none.
    charged = cost_text(sum((job.price for job in jobs), _ZERO))
    unanswered = len(jobs) - len(results)
    extra = f", {unanswered} without an answer" if unanswered else ""
    yield f"The answers cost {answers}. The service charged {charged} for {counted(len(jobs), 'job')}{extra}."
    connections = counted(run.sandbox.connections, "TCP connection")
    yield f"It received {counted(len(run.sandbox.calls), 'call')} over {connections}."


def _total(results: Sequence[Result[Solution]]) -> Decimal | None:
    """Return what the answers cost together, or None if the cost of one is unknown."""
    costs = [result.cost for result in results]
    return None if None in costs else sum((cost for cost in costs if cost is not None), _ZERO)
