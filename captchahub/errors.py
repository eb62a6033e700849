"""Every error that the library raises, and what happens after it.

::

    CaptchaHubError
    ├── ConfigError               the configuration is wrong; nothing was started
    ├── TaskError                 the caller's mistake: an unusable picture, contradicting options
    │   └── TaskRefused           the same, found by the service (also a ProviderError)
    ├── NotOffered                the service has no such call, for example no price list
    ├── HubClosed                 the hub was closed before or during the call
    ├── SolveCancelled            the ticket was cancelled
    ├── AllProvidersFailed        no provider solved the task (also an ExceptionGroup of the reasons)
    │   └── SolveTimeout          the deadline of the solve passed
    └── ProviderError             one attempt at one provider failed
        ├── AuthenticationError   the service refuses the account
        ├── InsufficientBalance   the account has no money left
        ├── RateLimited           too many requests
        │   ├── ServiceBusy       the service works but has no free worker
        │   └── TemporarilyBlocked the service refuses the account for a time
        ├── ServiceUnavailable    the service cannot be reached, is overloaded or broken
        ├── MalformedReply        the reply is not in the service's format
        │   └── PluginFault       the plugin broke its contract
        ├── AmbiguousCreate       a job may exist, but its id is unknown
        ├── UnsupportedTask       this provider cannot take the task; another one may
        ├── JobRefused            the service refused the job, in its own words
        ├── JobFailed             the job ended without an answer
        │   └── JobUnknown        the service does not know the job, or no longer
        ├── JobTimeout            the job took too long (also a TimeoutError)
        ├── WrongSolution         the answer fails a check, so it cannot be right
        ├── Outvoted              too few providers gave this answer
        ├── Overtaken             another provider answered first
        └── NotAsked              nothing was sent: the provider is cooling, out or full, or time is short
            ├── BudgetExceeded    the budget has no room for the job
            ├── PriceUnknown      the price of the job is unknown, and a budget is set
            └── JournalError      the journal cannot be used

``TaskError`` and ``TaskRefused`` end a solve. After every other ``ProviderError`` the next provider of the
route is called, unless the route says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

import attrs


class CaptchaHubError(Exception):
    """The base class of every error raised by captchahub."""


class ConfigError(CaptchaHubError):
    """The configuration is wrong. The message lists every problem found, each with its place.

    Nothing was started. Fix all problems that the message lists.
    """


class TaskError(CaptchaHubError):
    """The picture or an option of the task cannot be used.

    The solve ends without calling a provider, because any of them would fail. Fix the picture or the options.
    """


class NotOffered(CaptchaHubError):
    """The service has no such call, for example no balance, price list or report.

    Calling again does not help.
    """


class HubClosed(CaptchaHubError):
    """The hub was closed before or during the call. Create a new hub."""

    def __init__(self, message: str = "the hub is closed; create a new one") -> None:
        super().__init__(message)


class SolveCancelled(CaptchaHubError):
    """The solve was cancelled through its ticket."""


class ProviderError(CaptchaHubError):
    """One attempt at one provider failed.

    The solve continues with the next provider, except after :class:`TaskRefused`. ``advice`` says what the
    operator of the program can do about it; it is empty if the message already does.
    """

    advice: str = ""


_LONGEST_PAUSE = 86_400.0
"""In seconds: no service asks for more than a day, and a hostile one must not stop a provider forever."""

# 2Captcha's page of error codes documents five minutes for ERROR_IP_BANNED.
_USUAL_BLOCK = 300.0


def bounded_pause(seconds: float | None) -> float | None:
    """Return the pause that a service asked for, between 0 and a day, or None if it is not a number."""
    # Checked at run time because plugins may be written without a type checker.
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        return None
    if isinstance(seconds, float) and math.isnan(seconds):
        return None
    return float(min(max(seconds, 0.0), _LONGEST_PAUSE))


class TaskRefused(TaskError, ProviderError):
    """The service found the picture or its options unusable.

    The solve ends without calling another provider, which would have to refuse the same task.
    """

    advice = "check the picture and the options of the task"


class AuthenticationError(ProviderError):
    """The service says that it does not accept the account: the token is wrong, or the account is closed.

    The provider is left out until ``hub.revive()``, a positive balance in ``hub.balances()``, or a reload
    with other settings. A refusal that the service calls temporary is a :class:`TemporarilyBlocked`.
    """

    advice = "check the provider's token in the configuration"


class InsufficientBalance(ProviderError):
    """The account has no money left.

    The provider is left out until ``hub.revive()``, or until ``hub.balances()`` finds money on the account.
    """

    advice = "top up the account"


class RateLimited(ProviderError):
    """The service asks for fewer requests. It created no job.

    ``retry_after`` is the pause that the service asked for, in seconds, or None if it named none. The
    provider is not called during that time.
    """

    advice = "lower max_in_flight, or add a provider to the route"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = bounded_pause(retry_after)


class ServiceBusy(RateLimited):
    """The service works, but has no free worker for this job. It created no job.

    The provider is not called for ``retry_after`` seconds, or for its ``busy_cooldown`` if that is None;
    then the waiting solves call it again. This never counts as a failure of the provider.
    """

    advice = "raise the bid if the service has one, or add a provider to the route"


class TemporarilyBlocked(RateLimited):
    """The service refuses the account or the address for a limited time. It created no job.

    The provider is not called for ``retry_after`` seconds: five minutes if the service named no time.
    """

    advice = "ask the service why it blocks the account, and add a provider to the route"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        pause = bounded_pause(retry_after)
        super().__init__(message, retry_after=_USUAL_BLOCK if pause is None else pause)


class ServiceUnavailable(ProviderError):
    """The service gave no usable answer: it cannot be reached, is overloaded or broken.

    ``nothing_created`` is True if certainly no job was created, because the request never left or the
    service said so; only then may the create call be repeated. ``retry_after`` is the pause that the service
    asked for, in seconds, or None.
    """

    advice = "try later, or add a provider to the route"

    def __init__(
        self, message: str, *, nothing_created: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.nothing_created = nothing_created
        self.retry_after = bounded_pause(retry_after)


class MalformedReply(ProviderError):
    """The reply is not in the service's own format."""

    advice = "check base_url; if it is right, the service may have changed its format"


class PluginFault(MalformedReply):
    """The plugin broke its contract, so the meaning of the reply is unknown.

    ``__cause__`` is the exception that the plugin raised, if it raised one.
    """

    advice = "report it to the plugin's author"


class AmbiguousCreate(ProviderError):
    """The create call was sent and no job id came back: a job may exist and may be billed.

    The call is never repeated at this provider, because a second job could be billed as well. ``__cause__``
    is the error that the call met.
    """

    advice = (
        "look for the job in your account at the service, then settle it with hub.resolve(); until then its "
        "full price counts as spent"
    )


class UnsupportedTask(ProviderError):
    """This provider cannot take the task: its type, an option, or the size of the picture.

    Another provider may take it.
    """

    advice = "route tasks of this type to a provider that accepts them"


class JobRefused(ProviderError):
    """The service refused to create the job, in its own words. It created nothing."""

    advice = "look the reason up in the service's documentation, or ask its support"


class JobFailed(ProviderError):
    """The job ended without an answer."""

    advice = "send a clearer picture, or use another provider"


class JobUnknown(JobFailed):
    """The service does not know the job, or no longer has its answer."""

    advice = "solve the picture again: services keep a job only for a limited time"


class JobTimeout(ProviderError, TimeoutError):
    """The job was not done in time. The service may still finish it.

    ``token`` is a text for ``hub.attach()``, which waits for the same job, or None if there is no such job.
    """

    advice = "increase the timeout of the provider or of the solve"
    token: str | None = None


INSTEAD_OF_WAITING = "allow more time, or pass share=False"

HOW_TO_REPORT = "report the answer with hub.report(attempt, correct=False) if the service accepts reports"


class WrongSolution(ProviderError):
    """The answer fails the check of the task or of a plugin, so it cannot be right."""

    advice = f"check the options of the task; if they are right, {HOW_TO_REPORT}"


class Outvoted(ProviderError):
    """Too few providers gave this answer: others agreed on another answer, or no answer had enough votes."""

    advice = "look at the picture; if the providers often differ, give the task more options"

    def __init__(self, message: str, *, advice: str = advice) -> None:
        super().__init__(message)
        self.advice = advice


class Overtaken(ProviderError):
    """A second provider was called too, and answered first.

    The job continues at this provider, because it cannot be taken back, and its cost is counted.
    """

    advice = "nothing is wrong; hedge_after sets when a second provider is called"


class NotAsked(ProviderError):
    """Nothing was sent to the provider: it is cooling down, out or full, or too little time was left."""

    advice = "allow more time"

    def __init__(self, message: str, *, advice: str = advice) -> None:
        super().__init__(message)
        self.advice = advice


class BudgetExceeded(NotAsked):
    """The budget has no room for the price of the job, so nothing was sent.

    ``budget`` names the budget. ``limit`` is the most that one of its periods may cost. ``spent`` is what the
    current period has cost or may have cost, jobs that are still open included. ``frees`` is when the next
    period begins, or None if waiting does not help.
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
        wait = "" if frees is None else ", or wait for its next period"
        super().__init__(message, advice=f"raise the budget{wait}")
        self.budget = budget
        self.limit = limit
        self.spent = spent
        self.frees = frees


class PriceUnknown(NotAsked):
    """The price of the job is unknown and a budget is set, so nothing was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(message, advice="give the provider a price in the configuration")


class JournalError(NotAsked):
    """The journal cannot be used. The message names the file, the cause and the remedy.

    No job is created that cannot be recorded first: it could be paid for and lost.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message, advice="")


@attrs.frozen
class Attempt:
    """One attempt at one provider.

    ``kind`` is the kind of the task. ``job_id`` is the service's own id, or None if no job is known.
    ``error`` is None if the provider delivered an answer. ``elapsed`` is in seconds; ``polls`` is the number
    of polls sent. ``cost`` is what the job cost as far as the reply or the configuration says, in the
    provider's currency; it is 0 if no job was created, and None if the price is unknown.
    """

    provider: str
    elapsed: float
    polls: int = 0
    job_id: int | str | None = None
    error: ProviderError | None = None
    cost: Decimal | None = None
    kind: str = ""

    def __str__(self) -> str:
        return _line([self])

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from captchahub._support.notebook import attempts_card  # noqa: PLC0415 - that module needs this one

        return attempts_card("Attempt", {}, [self])


def _line(alike: Sequence[Attempt]) -> str:
    """Return one line for attempts that differ in their duration only."""
    first = alike[0]
    job = "" if first.job_id is None else f" (job {first.job_id})"
    times = "" if len(alike) == 1 else f"{len(alike)} times, "
    elapsed = sum(attempt.elapsed for attempt in alike)
    return f"{first.provider}{job}, {times}{elapsed:.1f} s: {_ending(first.error)}"


def _ending(error: ProviderError | None) -> str:
    if error is None:
        return "solved"
    advice = f"; {error.advice}" if error.advice else ""
    return f"{type(error).__name__}: {error}{advice}"


def _errors(attempts: Sequence[Attempt]) -> list[ProviderError]:
    return [attempt.error for attempt in attempts if attempt.error is not None]


class AllProvidersFailed(CaptchaHubError, ExceptionGroup[ProviderError]):
    """No provider solved the task: an exception group with one error for each failed attempt.

    ``attempts`` lists, in order, the providers that were called and how that ended, and those that were
    skipped and why; at least one of them has an error. ``except*`` selects errors by their class.
    """

    attempts: tuple[Attempt, ...]

    def __new__(cls, message: str, attempts: Sequence[Attempt]) -> Self:
        """Return the group of the errors of the attempts."""
        self = super().__new__(cls, message, _errors(attempts))
        self.attempts = tuple(attempts)
        return self

    # __new__ has done everything: this only declares the arguments to type checkers.
    def __init__(self, message: str, attempts: Sequence[Attempt]) -> None:
        super().__init__(message, _errors(attempts))

    def __reduce__(self) -> tuple[Any, ...]:
        # The default would pass the errors as the second argument, which is the attempts here.
        return type(self), (self.message, self.attempts)

    def derive(self, excs: Sequence[Exception], /) -> Self:  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]  # only ever called with our own errors
        """Return a group of some of the errors, for ``split`` and ``except*``."""
        wanted = [id(error) for error in excs]
        kept: list[Attempt] = []
        for attempt in self.attempts:
            # Two attempts can share one error object, which then is wanted as often as it is listed.
            if id(attempt.error) in wanted:
                wanted.remove(id(attempt.error))
                kept.append(attempt)
        return type(self)(self.message, kept)

    def __str__(self) -> str:
        # Retries of one provider often end alike: a line for each would hide the others.
        alike: dict[tuple[object, ...], list[Attempt]] = {}
        for attempt in self.attempts:
            key = attempt.provider, attempt.job_id, _ending(attempt.error)
            alike.setdefault(key, []).append(attempt)
        return "\n".join([self.message, *(f"  - {_line(attempts)}" for attempts in alike.values())])

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from captchahub._support.notebook import Shown, attempts_card  # noqa: PLC0415 - as above

        facts = {"error": Shown(self.message, is_good=False)}
        return attempts_card(type(self).__name__, facts, self.attempts)


class SolveTimeout(AllProvidersFailed):
    """The deadline of the solve passed while a provider was working, or before one was free."""
