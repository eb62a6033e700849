"""One provider's part in a solve: wait for admission, run once, report how it ended."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Protocol

from captchahub._engine.context import AttemptContext, AttemptOutcome
from captchahub._engine.execution import Execution, execution_of
from captchahub._engine.late_answers import LateAnswer
from captchahub._journal.solutions import pack
from captchahub._policy.error_table import HealthEffect, blames_provider, row_for
from captchahub._providers.account import Account, RemoteAccount
from captchahub._providers.admission import Permit
from captchahub._providers.limits import too_late
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub._support.redaction import mask_error
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

__all__ = ["AttemptRunner"]


class Allot(Protocol):
    """Returns the seconds that an account may use of what its solve has left."""

    def __call__(self, account: Account, limit: float | None) -> float:
        """``limit`` is the account's own, or None."""
        ...


class AttemptRunner:
    """Runs a task at one provider.

    ``on_begin`` is called when the attempt is admitted. ``is_early`` is true if the solve has no other
    provider to call, so that it may call one that is cooling down.
    """

    def __init__(
        self,
        context: AttemptContext,
        allot: Allot,
        on_begin: Callable[[], None] | None = None,
        *,
        is_early: bool = False,
    ) -> None:
        self.account = context.account
        self.began: float | None = None
        """When the attempt began, in the loop's time; None while it waits for admission."""
        self.is_overtaken = False
        """Whether the solve has its answer from another attempt, and does not wait for this one."""
        self.late: LateAnswer | None = None
        """Brings the answer that may come though the attempt has taken too long; None if there is none."""
        self._context = context
        self._allot = allot
        self._on_begin = on_begin
        self._is_early = is_early
        self._kind = context.task.kind
        self._started = now()
        self._deadline = math.inf
        self._execution: Execution | None = None
        self._sent: Collection[str] = ()

    async def run(self) -> AttemptOutcome | None:
        """Return how the attempt ended, or None if the provider may not be called after all."""
        account, until = self.account, now() + self._allot(self.account, None)
        admission = account.admission.permit(until, spare=account.least_time, is_early=self._is_early)
        try:
            # The solve may end before this attempt, and the account be replaced.
            with account.usage:
                async with admission as permit:
                    if permit is None:
                        return None
                    execution = self._execution = self._begin(permit)
                    try:
                        # Called first, so that a fault of the plugin here costs nothing.
                        self._sent = account.sent_options(self._context.task)
                        solved = await execution.run()
                        await self._settle(execution, None)
                    except asyncio.CancelledError:
                        self._abandon(execution)
                        raise
                    except Exception as error:  # noqa: BLE001 - other providers may still solve the task
                        return await self._failed(execution, permit, error)
                    return self._succeeded(execution, permit, solved)
        except NotAsked as error:
            return AttemptOutcome(account, self._recorded(error))

    def _begin(self, permit: Permit) -> Execution:
        """Return the execution of the attempt, which is admitted. Raises NotAsked if no time is left."""
        account = self.account
        allowed = self._allot(account, account.settings.timeout)
        if allowed < account.least_time:
            raise account.too_short() if permit.waited_for is None else too_late(permit.waited_for)
        self.began = now()
        self._deadline = self.began + allowed
        if self._on_begin is not None:
            self._on_begin()
        return execution_of(self._context, permit, self._deadline)

    def _succeeded(self, execution: Execution, permit: Permit, solved: Solved) -> AttemptOutcome:
        outcome = AttemptOutcome(
            self.account, self._recorded(None), solved, self._sent, execution.shared is not None
        )
        if execution.shared is not None:
            # The answer of another solve says nothing of the provider, and was paid for by that.
            if not execution.shared.is_given:
                self._context.services.journal.mark_delivered(execution.shared.id)
            return outcome
        permit.report(None, HealthEffect.WORKED)
        self._learn_latency(has_answer=True)
        if solved.cost is not None:
            self.account.prices.take_charge(self._kind, solved.cost)
        return outcome

    async def _failed(self, execution: Execution, permit: Permit, error: Exception) -> AttemptOutcome:
        mask_error(error, self.account.secrets)
        failure = _as_failure(error)
        if isinstance(failure, JobTimeout) and execution.token is not None:
            failure.token = str(execution.token)
        self._report_health(permit, failure)
        if execution.was_refused:
            self._advise_on_wrong(failure)
        if execution.ran_out and not self.is_overtaken:
            self.late = LateAnswer(execution.checked)
        await self._settle(execution, failure)
        return AttemptOutcome(self.account, self._recorded(failure))

    async def _settle(self, execution: Execution, error: ProviderError | None) -> None:
        """Settle the job's row in the journal; or go on waiting for the job if it is not over."""
        has_job = execution.job_id is not None
        state = JobState.SOLVED if error is None else row_for(error).job_state(has_job=has_job)
        row, answer = execution.row, execution.answer
        if row is None or state is None:
            self._collect_later(execution)
            return
        await row.settle(
            state,
            cost=None if answer is None else answer.cost,
            answer=pack(answer.solution) if error is None and answer is not None else None,
            error=None if error is None else f"{type(error).__name__}: {error}",
        )

    def _collect_later(self, execution: Execution) -> None:
        """Wait in the background for the answer of a job that took too long, because it is paid for."""
        waiting = execution.late_answer(self.late)
        if waiting is not None:
            self._context.services.background.track(asyncio.ensure_future(waiting))

    def _abandon(self, execution: Execution) -> None:
        """See to the row of a job that the solve does not wait for any more."""
        row, answer, background = execution.row, execution.answer, self._context.services.background
        if row is None:
            return
        if answer is not None and not execution.was_refused:
            background.start(row.keep_undelivered(answer.cost, pack(answer.solution)))
        elif execution.job_id is not None:
            self._collect_later(execution)
        else:
            # A create that is under way may still reach the service.
            state = JobState.AMBIGUOUS if execution.may_have_job else JobState.NOT_SENT
            background.start(row.settle(state, error="cancelled while it was created"))

    def abandon_answer(self) -> None:
        """Leave an answer that came when its solve had ended to :meth:`captchahub.hub.Hub.resume`."""
        if self._execution is not None:
            self._abandon(self._execution)

    def late_outcome(self, answer: Solved | WrongSolution) -> AttemptOutcome:
        """Return how the attempt ended after all, with the answer that came too late for it."""
        if isinstance(answer, WrongSolution):
            self._advise_on_wrong(answer)
            attempt, solved = self._record_of(answer), None
        else:
            if answer.cost is not None:
                self.account.prices.take_charge(self._kind, answer.cost)
            self._learn_latency(has_answer=True)
            attempt, solved = self._record_of(None), answer
        log.info("%s: %s, after its attempt was over", self._kind, attempt)
        return AttemptOutcome(self.account, attempt, solved, self._sent)

    def _report_health(self, permit: Permit, error: ProviderError) -> None:
        took = self._worked
        typical = self.account.settings.timeout or self.account.latency[self._kind].typical_time()
        allowed = took + self._deadline - now()
        blames = blames_provider(error, allowed=allowed, took=took, typical=typical)
        effect = row_for(error).health
        # A probe that was too short must not be followed by the next one at once.
        permit.report(error, effect if blames or permit.is_probe else HealthEffect.NONE)
        if effect is not HealthEffect.NONE:
            self._learn_latency(has_answer=False)

    def _advise_on_wrong(self, error: ProviderError) -> None:
        """Report a wrong answer to the service if that is wanted, and say so in the error's advice."""
        job_id = self.job_id
        is_reported = self.account.settings.report_wrong and job_id is not None
        if is_reported and job_id is not None:
            reporting = _report_wrong(self.account.remote(), Job(job_id, self._kind))
            self._context.services.background.start(reporting)
        if isinstance(error, WrongSolution) and (is_reported or job_id is None):
            also = "; the wrong answer is reported to the service" if is_reported else ""
            error.advice = f"check the options of the task{also}"

    def _learn_latency(self, *, has_answer: bool) -> None:
        self.account.latency[self._kind].learn(now(), self._worked, has_answer=has_answer)

    @property
    def may_wait(self) -> bool:
        """Whether it is of any use to wait for admission."""
        return self.account.admission.admits(is_early=self._is_early)

    @property
    def _worked(self) -> float:
        return now() - (self._started if self.began is None else self.began)

    @property
    def job_id(self) -> JobId | None:
        """The service's id of the job, or None if there is none, or none is known."""
        return None if self._execution is None else self._execution.job_id

    @property
    def may_have_job(self) -> bool:
        """Whether a job may exist, whose answer would be lost if the attempt was cancelled."""
        return self._execution is not None and self._execution.may_have_job

    def overtaken(self, why: str) -> Attempt:
        """Return the record of an attempt that is still under way, though the solve has its answer."""
        return self._record_of(Overtaken(why))

    def _recorded(self, error: ProviderError | None) -> Attempt:
        """Return the record of the attempt, which is logged and reported."""
        attempt = self._record_of(error)
        late = ", after another one had answered" if self.is_overtaken else ""
        log.info("%s: %s%s", self._kind, attempt, late)
        self._context.solve.events.attempted(attempt)
        return attempt

    def _record_of(self, error: ProviderError | None) -> Attempt:
        """Return the attempt as it is reported to the caller."""
        if error is not None:
            mask_error(error, self.account.secrets)
            # The caller may keep the record for long, and its frames would keep the picture.
            forget_frames(error)
        execution = self._execution
        # An answer that was taken over is of the provider that solved the equal task.
        equal = None if execution is None else execution.shared
        return Attempt(
            provider=self.account.name if equal is None else equal.configured_as or equal.provider,
            elapsed=now() - self._started,
            polls=0 if execution is None else execution.polls,
            job_id=self.job_id,
            error=error,
            cost=self._cost(error),
            kind=self._kind,
        )

    def _cost(self, error: ProviderError | None) -> Decimal | None:
        """Return the cost that the reply names, otherwise the price if a job was or may have been created."""
        answer = None if self._execution is None else self._execution.answer
        if answer is not None and answer.cost is not None:
            return answer.cost
        may_exist = answer is not None or self.job_id is not None
        if not may_exist and not isinstance(error, (AmbiguousCreate, Overtaken)):
            return Decimal(0)
        return self.account.prices.of(self._kind)


def _as_failure(error: Exception) -> ProviderError:
    """Return the error of an attempt as the ProviderError that it is reported with."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, TaskError):
        return TaskRefused(str(error))
    if isinstance(error, ConfigError):
        return ProviderError(str(error))
    log.error("an attempt failed in an unexpected way", exc_info=error)
    return PluginFault(f"{type(error).__name__}: {error}")


async def _report_wrong(account: RemoteAccount, job: Job) -> None:
    try:
        await account.report(job, correct=False)
    except CaptchaHubError as error:
        log.warning("%s (job %s): the wrong answer could not be reported: %s", account.name, job.id, error)
    else:
        log.info("%s (job %s): the wrong answer was reported", account.name, job.id)
