"""One provider's part in a solve: wait for a place and a turn, try once, tell its health what came of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from decimal import Decimal

from captchahub._engine.context import AttemptContext, AttemptOutcome, EngineServices, SolveInfo, Terms
from captchahub._engine.execution import Execution, RemoteExecution, begin
from captchahub._engine.history import too_short
from captchahub._engine.late_answers import LateAnswer, collect_late, collect_late_local
from captchahub._journal.journal import JobRow
from captchahub._journal.solutions import pack
from captchahub._policy.error_table import HealthEffect, blames_provider, row_for
from captchahub._providers.account import Account, RemoteAccount, least_time
from captchahub._providers.admission import Permit, Slot, too_late
from captchahub._providers.calls import report, translate
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub._support.redaction import mask_error, secrets_in
from captchahub._support.tracebacks import forget_frames
from captchahub.errors import (
    AmbiguousCreate,
    Attempt,
    CaptchaHubError,
    ConfigError,
    JobTimeout,
    NotAsked,
    Overtaken,
    PluginFault,
    ProviderError,
    TaskError,
    TaskRefused,
    WrongSolution,
)
from captchahub.jobs import JobState
from captchahub.provider import Job, JobId, Solved
from captchahub.tasks import Solution, Task
from captchahub.tickets import Progress

__all__ = ["AttemptRunner"]


class AttemptRunner:
    """A task at one provider, begun at once.

    ``submission`` describes the solve for the journal; ``progress`` receives the token of the job. ``allot``
    returns the seconds that the provider may use now, given its own limit or None. ``is_early`` is true if
    the solve has no other provider to try, so that it may try one that is cooling down.
    """

    def __init__(
        self,
        account: Account,
        task: Task[Solution],
        desk: EngineServices,
        *,
        submission: SolveInfo,
        progress: Progress,
        allot: Callable[[float | None], float],
        is_early: bool = False,
    ) -> None:
        self.account = account
        self._is_early = is_early
        self.began: float | None = None
        """When the attempt began, in the loop's time; None while it waits for a place or a turn."""
        self.beginning: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the attempt begins."""
        self.deadline = math.inf
        """When the attempt must end, once it has begun."""
        self.is_overtaken = False
        """Whether the solve has its answer from another, and does not wait for this one."""
        self.late: LateAnswer | None = None
        """The answer that may come though the attempt has taken too long; None where there is none."""
        self._started = now()
        self._task = task
        self._desk = desk
        self._context = AttemptContext(
            account,
            task,
            submission,
            progress,
            desk.journal,
            desk.hooks,
            desk.dispatcher,
            desk.preparing,
            desk.background,
        )
        self._allot = allot
        self._try: Execution | None = None
        self._sent: Collection[str] = ()
        self.ending = asyncio.ensure_future(self._go())
        """How it ended, None where the provider could not be asked after all."""

    async def _go(self) -> AttemptOutcome | None:
        with self.account.usage.hold():
            return await self._admitted()

    async def _admitted(self) -> AttemptOutcome | None:
        admission, until = self.account.admission, now() + self._allot(None)
        try:
            async with admission.slot(until) as place:
                await admission.rate_permit(until, place, spare=least_time(self.account))
                with admission.permit(is_early=self._is_early) as permit:
                    return None if permit is None else await self._attempt(permit, place)
        except NotAsked as error:
            return AttemptOutcome(self.account, self._told(error))

    async def _attempt(self, permit: Permit, place: Slot) -> AttemptOutcome:
        given = self._allot(self.account.settings.timeout)
        if given < least_time(self.account):
            raise too_short(self.account) if place.waited_for is None else too_late(place.waited_for)
        self.began = now()
        self.deadline = self.began + given
        self.beginning.set_result(None)
        # It knows nothing of this run, for the try that it keeps would keep it, and the picture, in turn.
        terms = Terms(self.deadline, permit.given, self._desk.chance, self._context)
        self._try = begin(self.account, self._task, terms)
        try:
            ended = await self._solved(self._try)
        except asyncio.CancelledError:
            self._leave_off(self._try)
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, others may still solve the task
            mask_error(error, secrets_in(self.account.settings.own))
            failure = _as_failure(error)
            if (
                isinstance(failure, JobTimeout)
                and isinstance(self._try, RemoteExecution)
                and self.job_id is not None
            ):
                failure.token = self._context.token(self.job_id, self._try.prepared.frame)
            self._note_failure(permit, self._try, failure)
            if self._try.ran_out and not self.is_overtaken:
                self.late = LateAnswer(self._try.checked)
            await self._write_down(self._try, failure)
            self._await_engine(self._try)
            return AttemptOutcome(self.account, self._told(failure))
        finally:
            place.busy = self._try.busy
        if not ended.is_shared:
            permit.end(None, HealthEffect.WORKED)
            self._learn_speed(has_answer=True)
        return ended

    async def _solved(self, one: Execution) -> AttemptOutcome:
        account = self.account
        # Asked first, so that a fault of the plugin here costs nothing.
        sent = translate(account.settings, Collection, account.provider.sent_options, self._task)
        self._sent = sent
        solved = await one.run()
        await self._write_down(one, None)
        is_shared = one.shared is not None
        if one.shared is not None and not one.shared.is_given:
            self._desk.journal.mark_delivered(one.shared.id)
        if solved.cost is not None and not is_shared:
            account.prices.take_charge(self._task.kind, solved.cost)
        return AttemptOutcome(self.account, self._told(None), solved, sent, is_shared)

    async def _write_down(self, one: Execution, error: ProviderError | None) -> None:
        """Settle the job in the journal, where it has ended."""
        if one.page is None:
            return
        has_job = one.job_id is not None
        state = JobState.SOLVED if error is None else row_for(error).job_state(has_job=has_job)
        if state is None:
            self._harvest(one, one.page)
            return
        answer = one.answer
        await one.page.settle(
            state,
            cost=None if answer is None else answer.cost,
            answer=pack(answer.solution) if error is None and answer is not None else None,
            error=None if error is None else f"{type(error).__name__}: {error}",
        )

    def _harvest(self, one: Execution, page: JobRow) -> None:
        """Go on asking for a job that took too long: it is paid for."""
        if (
            isinstance(self.account, RemoteAccount)
            and isinstance(one, RemoteExecution)
            and one.job_id is not None
        ):
            job, undelivered = Job(one.job_id, self._task.kind), self._context.submission.undelivered
            frame, asking = one.prepared.frame, one.asking
            if asking is not None:
                # It holds the task.
                asking.note = None
            harvesting = collect_late(
                self.account, job, frame, page, undelivered, asking=asking, late=self.late
            )
            self._desk.background.track(asyncio.ensure_future(harvesting))

    def _await_engine(self, one: Execution) -> None:
        """Go on waiting for an engine in this process that takes longer than its attempt."""
        if self.late is not None and one.busy is not None:
            self._desk.background.track(asyncio.ensure_future(collect_late_local(one.busy, self.late)))

    def ended_late(self, outcome: Solved | WrongSolution) -> AttemptOutcome:
        """How it ended after all, by the answer that came too late for its attempt."""
        if isinstance(outcome, WrongSolution):
            self._advise_on_wrong(outcome)
            mask_error(outcome, secrets_in(self.account.settings.own))
            forget_frames(outcome)
            attempt, solved = self.attempt(outcome), None
        else:
            if outcome.cost is not None:
                self.account.prices.take_charge(self._task.kind, outcome.cost)
            self._learn_speed(has_answer=True)
            attempt, solved = self.attempt(None), outcome
        log.info("%s: %s, after its attempt was over", self._task.kind, attempt)
        return AttemptOutcome(self.account, attempt, solved, self._sent)

    def _leave_off(self, one: Execution) -> None:
        """See to a job that nobody waits for any more."""
        if one.page is None:
            return
        if one.answer is not None and not one.was_refused:
            leaving = one.page.keep_undelivered(one.answer.cost, pack(one.answer.solution))
            self._desk.background.start(leaving)
            return
        if one.job_id is not None:
            self._harvest(one, one.page)
            return
        state = JobState.AMBIGUOUS if one.may_be_ordered else JobState.NOT_SENT
        self._desk.background.start(one.page.settle(state, error="cancelled while it was ordered"))

    def leave_answer(self) -> None:
        """Leave an answer, for which its solve did not wait any more when it came, to whoever resumes."""
        if self._try is None or not self.ending.done() or self.ending.cancelled() or self.ending.exception():
            return
        ended = self.ending.result()
        if ended is not None and ended.solved is not None:
            self._leave_off(self._try)

    def _note_failure(self, permit: Permit, one: Execution, error: ProviderError) -> None:
        account, took = self.account, self._worked
        typical = account.settings.timeout or account.speeds[self._task.kind].typical_time()
        telling = blames_provider(error, allowed=took + self.deadline - now(), took=took, typical=typical)
        effect = row_for(error).health
        # A probe that was too short must not be followed by the next one at once.
        permit.end(error, effect if telling or permit.given.is_probe else HealthEffect.NONE)
        if effect is not HealthEffect.NONE:
            self._learn_speed(has_answer=False)
        if one.was_refused:
            self._advise_on_wrong(error)

    def _advise_on_wrong(self, error: ProviderError) -> None:
        """Tell the service of a wrong answer, where that is wanted, and say so."""
        is_reported = self.account.settings.report_wrong and self.job_id is not None
        if is_reported:
            self._report()
        if isinstance(error, WrongSolution) and (is_reported or self.job_id is None):
            told = "; the service is told that the answer is wrong" if is_reported else ""
            error.advice = f"check the options of the task{told}"

    def _learn_speed(self, *, has_answer: bool) -> None:
        self.account.speeds[self._task.kind].learn(now(), self._worked, has_answer=has_answer)

    def _report(self) -> None:
        if isinstance(self.account, RemoteAccount) and self.job_id is not None:
            job = Job(self.job_id, self._task.kind)
            self._desk.background.start(_report_wrong(self.account, job))

    @property
    def may_wait(self) -> bool:
        """Whether it is of any use to wait for a place or a turn at the provider."""
        return self.account.admission.admits(is_early=self._is_early)

    @property
    def _provider(self) -> str:
        """Who solves it: this provider, or the one that has solved an equal task."""
        equal = None if self._try is None else self._try.shared
        return self.account.settings.name if equal is None else equal.configured_as or equal.provider

    @property
    def _worked(self) -> float:
        return now() - (self._started if self.began is None else self.began)

    @property
    def job_id(self) -> JobId | None:
        """The service's id of the job, None where none is known."""
        return None if self._try is None else self._try.job_id

    @property
    def may_be_ordered(self) -> bool:
        """Whether there may be a job by now, which ending it would leave undelivered."""
        return self._try is not None and self._try.may_be_ordered

    def attempt(self, error: ProviderError | None) -> Attempt:
        """What there is to tell of it now, with this error."""
        return Attempt(
            provider=self._provider,
            elapsed=now() - self._started,
            polls=0 if self._try is None else self._try.polls,
            job_id=self.job_id,
            error=error,
            cost=self._cost(error),
            kind=self._task.kind,
        )

    def _told(self, error: ProviderError | None) -> Attempt:
        if error is not None:
            mask_error(error, secrets_in(self.account.settings.own))
            forget_frames(error)
        attempt = self.attempt(error)
        late = ", after another one had answered" if self.is_overtaken else ""
        log.info("%s: %s%s", self._task.kind, attempt, late)
        self._context.note_end(attempt)
        return attempt

    def _cost(self, error: ProviderError | None) -> Decimal | None:
        """What it cost: as the reply said, else the price of a job that was, or may have been, created."""
        answer = None if self._try is None else self._try.answer
        if answer is not None and answer.cost is not None:
            return answer.cost
        may_exist = answer is not None or self.job_id is not None
        if not may_exist and not isinstance(error, (AmbiguousCreate, Overtaken)):
            return Decimal(0)
        return self.account.prices.of(self._task.kind)


def _as_failure(error: Exception) -> ProviderError:
    """The error of an attempt, as one that its provider's attempt can end with."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, TaskError):
        return TaskRefused(str(error))
    if isinstance(error, ConfigError):
        return ProviderError(str(error))
    log.error("an attempt failed in a way that was not thought of", exc_info=error)
    return PluginFault(f"{type(error).__name__}: {error}")


async def _report_wrong(account: RemoteAccount, job: Job) -> None:
    name = account.settings.name
    try:
        await report(account, job, correct=False)
    except CaptchaHubError as error:
        log.warning("%s (job %s) could not be told that its answer is wrong: %s", name, job.id, error)
    else:
        log.info("%s (job %s) was told that its answer is wrong", name, job.id)
