"""Every error the library raises, and what each one allows.

::

    CaptchaHubError
    ├── ConfigError               the configuration is wrong; nothing was started
    ├── TaskError                 the caller's mistake: a bad picture, contradicting options
    │   └── TaskRefused           the same, found by the service (also a ProviderError)
    ├── NotOffered                the service has no such call (a balance, a price list)
    ├── HubClosed                 the hub was closed before or during the call
    ├── SolveCancelled            the ticket was cancelled
    ├── AllProvidersFailed        no provider solved the task (also an ExceptionGroup, of why)
    │   └── SolveTimeout          the solve's own deadline ended it
    └── ProviderError             one provider's try went wrong
        ├── AuthenticationError   the account is refused
        ├── InsufficientBalance   the account is empty
        ├── RateLimited           too many requests
        │   ├── ServiceBusy       the service is up, and has no free worker
        │   └── TemporarilyBlocked the service refuses the account for a time
        ├── ServiceUnavailable    no usable answer from the service
        ├── MalformedReply        an answer nobody can read
        │   └── PluginFault       nor can the plugin, for a fault of its own
        ├── AmbiguousCreate       a job may exist, its id is not known
        ├── UnsupportedTask       this provider can't take this task, another may
        ├── JobRefused            the service refused the job in its own words
        ├── JobFailed             the job ended without an answer
        │   └── JobUnknown        the service does not know the job (any more)
        ├── JobTimeout            the job took too long (also a TimeoutError)
        ├── WrongSolution         the answer fails a check, so it can't be right
        ├── Outvoted              too few providers gave this answer
        ├── Overtaken             another provider was asked as well, and answered first
        └── NotAsked              nothing was sent: the provider is cooling, out or full, or time was short
            ├── BudgetExceeded    a budget has no room for the order
            ├── PriceUnknown      nobody says what the order costs, and there is a budget
            └── JournalError      the journal can't be used

``TaskError`` and ``TaskRefused`` end a solve; every other ``ProviderError`` lets the next provider try.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

import attrs


class CaptchaHubError(Exception):
    """The base of every error raised by captchahub."""


class ConfigError(CaptchaHubError):
    """The configuration is wrong: the message lists every problem found, each with its place."""


class TaskError(CaptchaHubError):
    """The caller's mistake: the picture or an option can't be used. No provider is asked."""


class NotOffered(CaptchaHubError):
    """The service behind this provider has no such call."""


class HubClosed(CaptchaHubError):
    """The hub was closed before or while it worked on this."""

    def __init__(self, message: str = "the hub is closed; make a new one") -> None:
        super().__init__(message)


class SolveCancelled(CaptchaHubError):
    """The solve was cancelled through its ticket."""


class ProviderError(CaptchaHubError):
    """One provider's try went wrong.

    ``advice`` says what a person can do about it.
    """

    advice: str = ""


_LONGEST_PAUSE = 86_400.0

# What 2Captcha's page of error codes says of ERROR_IP_BANNED.
_USUAL_BLOCK = 300.0


def sane_pause(seconds: float | None) -> float | None:
    """A pause as services can mean it: from none to a day; None for what is no number."""
    # Plugins need not use a type checker.
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    if isinstance(seconds, float) and math.isnan(seconds):
        return None
    return float(min(max(seconds, 0.0), _LONGEST_PAUSE))


class TaskRefused(TaskError, ProviderError):
    """The service refused the picture or its options: the caller's mistake, so nobody else is asked."""

    advice = "check the picture and the options of the task"


class AuthenticationError(ProviderError):
    """The service does not accept the account, in its own words: a wrong token, a closed account.

    A refusal that the service calls temporary is a :class:`TemporarilyBlocked`.
    """

    advice = "check the provider's token in the configuration"


class InsufficientBalance(ProviderError):
    """The account has no money left."""

    advice = "top up the account"


class RateLimited(ProviderError):
    """The service asks for fewer requests; it created nothing.

    ``retry_after`` is what the service asked for, in seconds, or None where it did not say.
    """

    advice = "lower max_in_flight, or add a provider to the route"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = sane_pause(retry_after)


class ServiceBusy(RateLimited):
    """The service works, and says that it has no free worker for this job; it created nothing.

    It is left alone for ``retry_after`` seconds, or for the provider's ``busy_cooldown`` where that is None;
    then every solve that waits asks it again. It never counts as a failure.
    """

    advice = "raise the bid where the service has one, or add a provider to the route"


class TemporarilyBlocked(RateLimited):
    """The service refuses the account or the address, and says that this ends by itself; it created nothing.

    Nobody asks it for ``retry_after`` seconds, which are five minutes where they are not known.
    """

    advice = "see at the service why it blocks the account, and add a provider to the route"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        pause = sane_pause(retry_after)
        super().__init__(message, retry_after=_USUAL_BLOCK if pause is None else pause)


class ServiceUnavailable(ProviderError):
    """The service gave no usable answer: not reachable, overloaded, broken.

    ``nothing_created`` is True where it is known that no job was created: the request never left, or the
    service said so. ``retry_after`` is what the service asked for, in seconds, or None.
    """

    advice = "try later, or add a provider to the route"

    def __init__(
        self, message: str, *, nothing_created: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.nothing_created = nothing_created
        self.retry_after = sane_pause(retry_after)


class MalformedReply(ProviderError):
    """The service sent something that is not an answer in its own dialect."""

    advice = "check base_url; if it is right, the service may have changed its dialect"


class PluginFault(MalformedReply):
    """The plugin broke its contract, so nobody knows what the service said.

    ``__cause__`` is what the plugin raised.
    """

    advice = "report it to the plugin's author"


class AmbiguousCreate(ProviderError):
    """The order went out and no job id came back: a job may exist and may be billed.

    It is never sent again at this provider. ``__cause__`` is what happened.
    """

    advice = (
        "look for the job in the account at the service, then settle it with hub.resolve(); until then its "
        "full price counts"
    )


class UnsupportedTask(ProviderError):
    """This provider can't take this task (its type, an option, the picture's size); another one may."""

    advice = "route tasks of this type to a provider that offers it"


class JobRefused(ProviderError):
    """The service refused to create the job, in words of its own. Nothing was created."""

    advice = "look it up in the service's documentation, or ask its support"


class JobFailed(ProviderError):
    """The job ended without an answer."""

    advice = "send a clearer picture, or another provider"


class JobUnknown(JobFailed):
    """The service does not know the job, or has already dropped its answer."""

    advice = "solve the picture again: the service keeps a job only for some time"


class JobTimeout(ProviderError, TimeoutError):
    """The job was not done in time. It may still finish at the service.

    ``token`` is the job as a text for ``hub.attach``, None where there is no job to ask for.
    """

    advice = "allow more time: the provider's timeout, or that of the solve"
    token: str | None = None


INSTEAD_OF_WAITING = "allow more time, or share=False"

HOW_TO_REPORT = "hub.report(attempt, correct=False) tells the service, where it takes reports"


class WrongSolution(ProviderError):
    """The answer fails the task's own check, or a plugin's, so it can't be right."""

    advice = f"check the options of the task; if they are right, {HOW_TO_REPORT}"


class Outvoted(ProviderError):
    """Too few providers gave this answer: others agreed on another one, or nobody agreed."""

    advice = "look at the picture; where the providers often differ, give the task more options"

    def __init__(self, message: str, *, advice: str = advice) -> None:
        super().__init__(message)
        self.advice = advice


class Overtaken(ProviderError):
    """Another provider was asked as well, and answered first.

    The job is left to finish, and what it costs is counted.
    """

    advice = "nothing is wrong; hedge_after says when a second provider is asked"


class NotAsked(ProviderError):
    """Nothing was sent to the provider: it is cooling, out or full, or too little time was left."""

    advice = "allow more time"

    def __init__(self, message: str, *, advice: str = advice) -> None:
        super().__init__(message)
        self.advice = advice


class BudgetExceeded(NotAsked):
    """A budget has no room for the price of the order.

    ``budget`` is whose it is, ``limit`` the most that may be spent, ``spent`` what its present period has
    cost or may have cost, with what is still open; ``frees`` is when the next period begins, None where
    waiting does not help.
    """

    def __init__(
        self,
        message: str,
        *,
        budget: str = "",
        limit: Decimal = Decimal(0),
        spent: Decimal = Decimal(0),
        frees: datetime | None = None,
    ) -> None:
        wait = "" if frees is None else ", or wait until it begins anew"
        super().__init__(message, advice=f"raise the budget{wait}")
        self.budget = budget
        self.limit = limit
        self.spent = spent
        self.frees = frees


class PriceUnknown(NotAsked):
    """Nobody says what the order costs, and there is a budget to keep."""

    def __init__(self, message: str) -> None:
        super().__init__(message, advice="give the provider a price in the configuration")


class JournalError(NotAsked):
    """The journal can't be used: the message says which file, what is wrong and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, advice="")


@attrs.frozen
class Attempt:
    """One provider's try at a task.

    ``job_id`` is the service's own id, None where no job is known. ``error`` is None where the provider
    delivered. ``elapsed`` is in seconds; ``polls`` counts how often the service was asked for the answer.
    ``cost`` is what it is known or configured to cost, in the provider's currency, 0 where no job was
    created, None where no price is known. ``kind`` is that of the task.
    """

    provider: str
    elapsed: float
    polls: int = 0
    job_id: int | str | None = None
    error: ProviderError | None = None
    cost: Decimal | None = None
    kind: str = ""

    def __str__(self) -> str:
        return _told([self])


def _told(alike: Sequence[Attempt]) -> str:
    """One line for attempts that went the same way."""
    one = alike[0]
    job = "" if one.job_id is None else f" (job {one.job_id})"
    times = "" if len(alike) == 1 else f"{len(alike)} times, "
    elapsed = sum(attempt.elapsed for attempt in alike)
    return f"{one.provider}{job}, {times}{elapsed:.1f} s: {_said(one.error)}"


def _way(attempt: Attempt) -> tuple[object, ...]:
    return attempt.provider, attempt.job_id, _said(attempt.error)


def _said(error: ProviderError | None) -> str:
    if error is None:
        return "solved"
    advice = f"; {error.advice}" if error.advice else ""
    return f"{type(error).__name__}: {error}{advice}"


def _errors(attempts: Sequence[Attempt]) -> list[ProviderError]:
    return [attempt.error for attempt in attempts if attempt.error is not None]


class AllProvidersFailed(CaptchaHubError, ExceptionGroup[ProviderError]):
    """No provider solved the task: a group of what went wrong, one error an attempt.

    ``attempts`` tells, in order, who was asked, what came of it, and who was not asked and why; one of them
    at least has an error. ``except*`` takes the group apart by the classes of the errors.
    """

    attempts: tuple[Attempt, ...]

    def __new__(cls, message: str, attempts: Sequence[Attempt]) -> Self:
        """The group of the attempts' errors."""
        self = super().__new__(cls, message, _errors(attempts))
        self.attempts = tuple(attempts)
        return self

    # The group is whole by now; this only tells type checkers what it is made of.
    def __init__(self, message: str, attempts: Sequence[Attempt]) -> None:
        super().__init__(message, _errors(attempts))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.attempts)

    def derive(self, excs: Sequence[Exception], /) -> Self:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]  # only ever called with our own errors
        """The same for some of the errors: what ``split`` and ``except*`` are made of."""
        wanted = [id(error) for error in excs]
        kept: list[Attempt] = []
        for attempt in self.attempts:
            # Two attempts can have one error in common: each is for one of the times it is wanted.
            if id(attempt.error) in wanted:
                wanted.remove(id(attempt.error))
                kept.append(attempt)
        return type(self)(self.message, kept)

    def __str__(self) -> str:
        alike: dict[tuple[object, ...], list[Attempt]] = {}
        for attempt in self.attempts:
            alike.setdefault(_way(attempt), []).append(attempt)
        return "\n".join([self.message, *(f"  - {_told(attempts)}" for attempts in alike.values())])


class SolveTimeout(AllProvidersFailed):
    """The deadline of the solve passed while a provider was still working, or before one was free."""
