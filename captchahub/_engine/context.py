"""One attempt's dealings with the rest of the hub: journal, plugins, ticket and observers."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import attrs

from captchahub._engine.late_answers import may_be_elsewhere
from captchahub._engine.undelivered import UndeliveredAnswers
from captchahub._journal.journal import JobRow, Journal, NewJob
from captchahub._plugins.dispatcher import EventDispatcher
from captchahub._plugins.hooks import Hooks
from captchahub._plugins.preparation import TaskPreparer
from captchahub._policy.account_identity import AccountIdentity
from captchahub._policy.health import Pass
from captchahub._policy.job_token import Token
from captchahub._providers.account import Account, RemoteAccount
from captchahub._providers.admission import ChangeSignal
from captchahub._providers.price_list import know_price
from captchahub._support.background import BackgroundTasks
from captchahub._support.log import log
from captchahub.errors import Attempt, BudgetExceeded, JobUnknown, PriceUnknown, ProviderError
from captchahub.events import Attempted, BudgetRefused, JobCreated, Polled, Retrying
from captchahub.extending import Prepared
from captchahub.frames import Frame
from captchahub.jobs import JobEntry, JobState
from captchahub.provider import JobId, Solved
from captchahub.tasks import Solution, Task
from captchahub.tickets import Progress

__all__ = ["AttemptContext", "AttemptOutcome", "EngineServices", "SolveInfo", "Terms"]


@attrs.frozen
class SolveInfo:
    """What the journal is told of a solve. ``begun`` is wall clock, in seconds since 1970."""

    id: str
    is_shared: bool
    begun: float
    undelivered: UndeliveredAnswers = attrs.field(factory=UndeliveredAnswers)


@attrs.frozen(eq=False)
class AttemptContext:
    """A task on its way to one provider. ``progress`` is told of its job."""

    account: Account
    task: Task[Solution]
    submission: SolveInfo
    progress: Progress
    journal: Journal
    hooks: Hooks
    dispatcher: EventDispatcher
    preparing: TaskPreparer
    background: BackgroundTasks

    async def know_price(self, patience: float) -> None:
        """See to it that the order has a price, where there is a budget to keep. Raises a ProviderError."""
        account = self.account
        if isinstance(account, RemoteAccount) and self.journal.has_budget_for(account.settings.name):
            await know_price(account, self.task.kind, self.background, patience)

    async def prepare(self, left: float) -> Prepared:
        """The task as the provider is to get it; the attempt has so many seconds left."""
        settings = self.account.settings
        return await self.preparing.prepared(self.hooks, self.task, settings.name, settings.plugin, left)

    async def open_page(self, frame: Frame, refused: JobEntry | None) -> JobRow | JobEntry:
        """Write down that the order is about to be sent. See :meth:`Journal.reserve`."""
        prices = self.account.prices
        order = NewJob(
            submission=self.submission.id,
            provider=self.account.settings.name,
            kind=self.task.kind,
            fingerprint=self.task.fingerprint,
            options=self.task.options,
            price=prices.of(self.task.kind),
            price_source=prices.source_of(self.task.kind),
            currency=prices.currency,
            is_shared=self.submission.is_shared,
            frame=frame,
        )
        return await self.journal.reserve(order, self.submission.begun, refused, self._identity)

    def token(self, job_id: JobId, frame: Frame) -> str:
        """The job as a text."""
        name, task, identity = self.account.settings.name, self.task, self._identity
        digests = () if identity is None else identity.short_digests
        return str(Token(name, task.kind, job_id, task.fingerprint, frame, digests))

    @property
    def _identity(self) -> AccountIdentity | None:
        return self.account.identity if isinstance(self.account, RemoteAccount) else None

    def follow_job(self, job_id: JobId, frame: Frame) -> None:
        """It is this job whose answer the solve waits for."""
        self.progress.own = self.token(job_id, frame)

    async def give_up(self, page: JobRow, found: JobEntry, error: JobUnknown) -> None:
        """Give up a job that was left behind, and that the service does not know."""
        log.info("%s: %s, which was left behind: it is ordered anew", self.account.settings.name, error)
        self.progress.own = None
        if may_be_elsewhere(found, self.journal.now):
            await page.release()
        else:
            await page.settle(JobState.EXPIRED, error=f"{type(error).__name__}: {error}")

    def note_job(self, job_id: JobId, frame: Frame) -> None:
        """The service has taken the job."""
        self.follow_job(job_id, frame)
        name, kind = self.account.settings.name, self.task.kind
        event = partial(JobCreated, solve=self.submission.id, kind=kind, provider=name, job_id=job_id)
        self.dispatcher.emit(lambda at: event(at=at, price=self.account.prices.of(kind)))

    def note_retry(self, error: ProviderError) -> None:
        """The order is sent again, for the service has not got it."""
        name, kind = self.account.settings.name, self.task.kind
        event = partial(Retrying, solve=self.submission.id, kind=kind, provider=name, error=error)
        self.dispatcher.emit(lambda at: event(at=at))

    def note_poll(self, job_id: JobId, number: int, is_done: bool, error: ProviderError | None) -> None:  # noqa: FBT001 - a field of the event
        """The service was asked for the answer."""
        event = partial(Polled, solve=self.submission.id, kind=self.task.kind, job_id=job_id, error=error)
        name = self.account.settings.name
        self.dispatcher.emit(lambda at: event(at=at, provider=name, number=number, is_done=is_done))

    def note_end(self, attempt: Attempt) -> None:
        """The attempt ended."""
        solve, kind, error = self.submission.id, self.task.kind, attempt.error
        if isinstance(error, (BudgetExceeded, PriceUnknown)):
            event = partial(BudgetRefused, solve=solve, kind=kind, provider=attempt.provider, error=error)
            self.dispatcher.emit(lambda at: event(at=at))
        self.dispatcher.emit(lambda at: Attempted(at=at, solve=solve, kind=kind, attempt=attempt))


@attrs.frozen
class Terms:
    """What a try is made under.

    ``deadline`` is in the loop's time; ``given`` is the health's leave for it; ``chance`` gives numbers from
    0 to 1; ``context`` is the way to the journal, the plugins and the observers.
    """

    deadline: float
    given: Pass
    chance: Callable[[], float]
    context: AttemptContext


@attrs.frozen
class EngineServices:
    """What the solves of one hub have in common."""

    chance: Callable[[], float]
    hooks: Hooks
    dispatcher: EventDispatcher
    changes: ChangeSignal
    background: BackgroundTasks
    journal: Journal
    preparing: TaskPreparer


@attrs.frozen
class AttemptOutcome:
    """How a run ended: ``solved`` is the checked answer, None where ``attempt`` has an error.

    ``sent`` names the task's options that reached the service.
    """

    account: Account
    attempt: Attempt
    solved: Solved | None = None
    sent: Collection[str] = ()
    is_shared: bool = False
