"""What the demo says in words: pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

import attrs

from captchahub.cli.demo.stage import Scene
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

__all__ = ["Mishap", "attempts_of", "cost_text", "mishaps", "summary"]

_ZERO = Decimal(0)

_NAMED = 4

_LOST_POLLS = (
    "met HTTP 502 or a broken connection: asked again, so no job was lost and none was paid for twice"
)

_MEANING: tuple[tuple[type[ProviderError], str], ...] = (
    (
        AmbiguousCreate,
        "the connection broke after the order: a job may exist, so it was not ordered there again",
    ),
    (ServiceBusy, "had no free worker"),
    (TemporarilyBlocked, "blocked the account for a time"),
    (RateLimited, "asked for fewer requests (HTTP 429)"),
    (InsufficientBalance, "the account's money was used up"),
    (JobFailed, "the service gave the job up"),
    (JobTimeout, "the job took too long"),
    (ServiceUnavailable, "could not be reached"),
)


@attrs.frozen
class Mishap:
    """Something that went wrong, for which pictures or how often, and what came of it."""

    what: str
    words: str


def attempts_of(outcome: Outcome[Solution]) -> tuple[Attempt, ...]:
    """Every try at a picture, whether it was solved or not."""
    if outcome.result is not None:
        return outcome.result.attempts
    return outcome.error.attempts if isinstance(outcome.error, AllProvidersFailed) else ()


def cost_text(cost: Decimal | None) -> str:
    """An amount to the fifth digit, as the service writes its balance; ``-`` where it is not known."""
    return "-" if cost is None else f"{cost:.5f}"


def mishaps(scene: Scene) -> Iterator[Mishap]:
    """What went wrong, the same things together; last what was got over without another account."""
    grouped: dict[str, list[str]] = {}
    for picture in scene.pictures:
        for words in _failures(scene.outcomes[picture.name]):
            grouped.setdefault(words, []).append(picture.name)
    yield from (Mishap(_some(names), words) for words, names in grouped.items())
    if scene.lost_polls:
        yield Mishap(counted(scene.lost_polls, "poll"), _LOST_POLLS)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _failures(outcome: Outcome[Solution]) -> Iterator[str]:
    solver = None if outcome.result is None else outcome.result.provider
    for attempt in attempts_of(outcome):
        if attempt.error is not None:
            came = f"{solver} solved it" if solver else "nobody else solved it"
            yield f"{attempt.provider}: {_meaning(attempt.error)}; {came}"
    if isinstance(outcome.error, Exception) and not attempts_of(outcome):
        yield str(outcome.error)


def _meaning(error: ProviderError) -> str:
    known = (words for kind, words in _MEANING if isinstance(error, kind))
    return next(known, str(error))


def summary(scene: Scene) -> Iterator[str]:
    """The whole in a few lines: the answers, and what the service's own books say."""
    results = [outcome.result for outcome in scene.outcomes.values() if outcome.result is not None]
    right = sum(scene.is_right(picture) for picture in scene.pictures)
    yield f"{right} of {len(scene.pictures)} right in {scene.seconds:.1f} s"
    jobs = scene.sandbox.jobs
    answers = cost_text(sum((result.cost or _ZERO for result in results), _ZERO))
    yield f"These answers cost {answers}. {_charged(jobs, len(jobs) - len(results))}"
    connections = counted(scene.sandbox.connections, "TCP connection")
    yield f"It saw {counted(len(scene.sandbox.calls), 'call')} over {connections}."


def _charged(jobs: Sequence[JobRecord], unanswered: int) -> str:
    """What the service took, which is more than the answers cost where a paid job gave none."""
    charged = cost_text(sum((job.price for job in jobs), _ZERO))
    extra = f", {unanswered} without an answer" if unanswered else ""
    return f"The service charged {charged} for {counted(len(jobs), 'job')}{extra}."
