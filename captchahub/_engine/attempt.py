"""One provider's part in a solve: wait for admission, work once, report how that ended.

The work itself is in :mod:`captchahub._engine.remote_attempt` and :mod:`captchahub._engine.local_attempt`.
"""

from __future__ import annotations

import asyncio
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Generic, TypeVar

import attrs

from captchahub._engine.context import AttemptOutcome, EngineServices, SolveInfo
from captchahub._engine.late_answers import LateAnswer
from captchahub._journal.journal import JobRow
from captchahub._journal.solutions import pack
from captchahub._policy.error_table import HealthEffect, blames_provider, row_for
from captchahub._policy.job_token import Token
from captchahub._providers.account import Account, RemoteAccount
from captchahub._providers.admission import Permit
from captchahub._providers.calls import as_provider_error
from captchahub._providers.limits import too_late
from captchahub._support.clock import now
from captchahub._support.guard import foreign_errors
from captchahub._support.log import log
from captchahub._support.redaction import mask_error
from captchahub._support.tracebacks import forget_frames
from captchahub.errors import (
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
from captchahub.extending import Prepared
from captchahub.frames import WHOLE, Frame
from captchahub.jobs import JobEntry, JobState
from captchahub.provider import Job, JobId, Solved
from captchahub.tasks import Solution

A_co = TypeVar("A_co", bound=Account, covariant=True)


Allot = Callable[[Account, float | None], float]
"""Returns the seconds that an account may use of what its solve has left, given the account's own limit."""


class AttemptRunner(ABC, Generic[A_co]):
    """Runs a task at one provider.

    ``on_begin`` is called when the attempt is admitted. ``patient_until`` is until when jobs that other
    providers have for equal tasks are waited for, in the loop's time, or None if the solve has met none yet.
    ``is_early`` is true if the solve has no other provider to call, so that it may call one that is cooling
    down.
    """

    _permit: Permit
    """The permit of an attempt that was admitted."""
    _deadline = math.inf
    """When the attempt must end, in the loop's time."""

    def __init__(
        self,
        account: A_co,
        solve: SolveInfo[Solution],
        services: EngineServices,
        allot: Allot,
        on_begin: Callable[[], None] | None = None,
        *,
        patient_until: float | None = None,
        is_early: bool = False,
    ) -> None:
        self.account = account
        self.began: float | None = None
        """When the attempt began, in the loop's time; None while it waits for admission."""
        self.is_overtaken = False
        """Whether the solve has its answer from another attempt, and does not wait for this one."""
        self.late_answer: LateAnswer | None = None
        """Brings the answer that may come though the attempt has taken too long; None if there is none."""
        self.job_id: JobId | None = None
        """The service's id of the job, or None if there is none, or none is known."""
        self.may_have_job = False
        """Whether a job may exist, whose answer would be lost if the attempt was cancelled."""
        self.waits_for_equal = False
        """Whether a job for an equal task is under way, so that this attempt ended with nothing sent."""
        self._answer: Solved | None = None
        """What the provider answered, before the check."""
        self._was_refused = False
        """Whether the check refused that answer."""
        self._row: JobRow | None = None
        """The job's row in the journal, once there is one. Each attempt settles its own, once."""
        self._shared: JobEntry | None = None
        """The job of an equal task that was solved elsewhere, if its answer is this one's."""
        self._frame = WHOLE
        """Where the picture that was sent lies in the task's own."""
        self._solve = solve
        self._services = services
        self._allot = allot
        self._on_begin = on_begin
        self._patient_until = patient_until
        self._is_early = is_early
        self._task = solve.task
        self._kind = solve.task.kind
        self._started = now()
        self._sent: Collection[str] = ()

    async def run(self) -> AttemptOutcome | None:
        """Return how the attempt ended, or None if the provider may not be called now.

        It may not if its circuit breaker is open, or if the attempt waits for a job for an equal task.
        """
        account, until = self.account, now() + self._allot(self.account, None)
        admission = account.admission
        # The solve may end before this attempt, and the account be replaced.
        with account.usage:
            try:
                answer = await self._find_answer(until)
                if answer is not None:
                    return self._succeeded(answer)
                permit = await admission.acquire(until, spare=account.least_time, is_early=self._is_early)
                if permit is None:
                    return None
                try:
                    self._begin(permit)
                    return await self._admitted()
                finally:
                    admission.release(permit)
            except NotAsked as error:
                if self.waits_for_equal:
                    return None
                return AttemptOutcome(account, self._recorded(error))

    async def _admitted(self) -> AttemptOutcome | None:
        """Return how the attempt ended, which has begun, or None if it waits for an equal task."""
        try:
            # Called first, so that a fault of the plugin here costs nothing.
            self._sent = self.account.sent_options(self._task)
            solved = await self._work()
            # Before the caller gets the answer: a crash in between must not lose it.
            await self._settle(None)
        except asyncio.CancelledError:
            self.abandon()
            raise
        except Exception as error:  # noqa: BLE001 - other providers may still solve the task
            return None if self.waits_for_equal else await self._failed(error)
        return self._succeeded(solved)

    def _begin(self, permit: Permit) -> None:
        """Begin the attempt, which is admitted. Raises NotAsked if no time is left."""
        account = self.account
        # Again, because waiting for the permit has taken some of the solve's time.
        allowed = self._allot(account, account.settings.timeout)
        if allowed < account.least_time:
            raise account.too_short() if permit.waited_for is None else too_late(permit.waited_for)
        self.began, self._permit = now(), permit
        self._deadline = self.began + allowed
        if self._on_begin is not None:
            self._on_begin()

    async def _find_answer(self, until: float) -> Solved | None:  # noqa: ARG002 - for accounts at a service
        """Return the checked answer of an equal task, for which no admission is needed, or None.

        Raises NotAsked if a job for an equal task is under way.
        """
        return None

    @abstractmethod
    async def _work(self) -> Solved:
        """Return the checked answer. Raises a ProviderError, or TaskError if the task can't be sent."""

    @property
    @abstractmethod
    def _ran_out(self) -> bool:
        """Whether the provider needs more time than there was, and may still answer."""

    @abstractmethod
    def _checked_late(self, found: Solved) -> Solved:
        """Return an answer checked that came after the attempt. Raises a ProviderError."""

    @abstractmethod
    def _collect_later(self) -> None:
        """Wait in the background for the answer of a job that took too long, because it is paid for."""

    @property
    def _polls(self) -> int:
        """How often the service was polled."""
        return 0

    @property
    def _token(self) -> Token | None:
        """The job as it can be attached elsewhere, or None if there is none."""
        return None

    async def _prepare_task(self) -> Prepared:
        """Return the task as the provider will receive it."""
        services, settings = self._services, self.account.settings
        if not services.hooks.prepares:
            return Prepared(self._task)
        return await services.preparer.prepared(
            services.hooks, self._task, settings.name, settings.plugin, self._time_left
        )

    @property
    def _time_left(self) -> float:
        return self._deadline - now()

    def _placed(self, answer: Solved, frame: Frame) -> Solved:
        """Return an answer in the task's own picture, of which the one that was sent is a part."""
        solution, task = answer.solution, self._task
        if not isinstance(solution, task.solution_type):
            found, wanted = type(solution).__name__, task.solution_type.__name__
            raise PluginFault(f"the answer is a {found}, and {task.kind} is answered by a {wanted}")
        return answer if frame == WHOLE else attrs.evolve(answer, solution=solution.placed(frame))

    def _checked(self, answer: Solved) -> Solved:
        """Return the answer if neither the task nor a plugin refuses it. Raises WrongSolution."""
        task = self._task
        try:
            solution = task.complete(answer.solution)
            wrong = task.check(solution)
        except foreign_errors() as error:
            # The answer is paid for; whatever is wrong with it must not take the other providers down.
            raise WrongSolution(f"{answer.solution!r} can't be checked: {type(error).__name__}") from error
        wrong = wrong or self._services.hooks.check_solution(task, solution)
        if wrong:
            self._was_refused = True
            raise WrongSolution(wrong)
        return Solved(solution, answer.cost)

    def _succeeded(self, solved: Solved) -> AttemptOutcome:
        shared = self._shared
        outcome = AttemptOutcome(self.account, self._recorded(None), solved, self._sent, shared is not None)
        if shared is not None:
            # The answer of another solve says nothing of the provider, and was paid for by that.
            if not shared.is_given:
                self._services.journal.mark_delivered(shared.id)
            return outcome
        self._permit.report(None, HealthEffect.WORKED)
        self._learn(solved)
        return outcome

    async def _failed(self, error: Exception) -> AttemptOutcome:
        mask_error(error, self.account.secrets)
        failure = _as_failure(error)
        if isinstance(failure, JobTimeout) and self._token is not None:
            failure.token = str(self._token)
        self._report_health(failure)
        if self._was_refused:
            self._advise_on_wrong(failure)
        if self._ran_out and not self.is_overtaken:
            self.late_answer = LateAnswer(self._checked_late)
        await self._settle(failure)
        return AttemptOutcome(self.account, self._recorded(failure))

    async def _settle(self, error: ProviderError | None) -> None:
        """Settle the job's row in the journal; or go on waiting for the job if it is not over."""
        row, answer, state = self._row, self._answer, self._job_state(error)
        if row is None or state is None:
            self._collect_later()
            return
        await row.settle(
            state,
            cost=None if answer is None else answer.cost,
            answer=pack(answer.solution) if error is None and answer is not None else None,
            error=None if error is None else f"{type(error).__name__}: {error}",
        )

    def _job_state(self, error: ProviderError | None) -> JobState | None:
        """Return the state in which an attempt leaves its job, or None if the job is not over."""
        if error is None:
            return JobState.SOLVED
        state = row_for(error).job_state(has_job=self.job_id is not None)
        # The table does not know whether the request was sent: a setting of the transport, such as a broken
        # proxy, can stop it before.
        return JobState.NOT_SENT if state is JobState.AMBIGUOUS and not self.may_have_job else state

    def abandon(self) -> None:
        """Decide what becomes of a job for which the solve does not wait any more.

        An answer that came when the solve had ended is left to :meth:`captchahub.hub.Hub.resume`.
        """
        row, answer, background = self._row, self._answer, self._services.background
        if row is None:
            return
        if answer is not None and not self._was_refused:
            background.start(row.keep_undelivered(answer.cost, pack(answer.solution)))
        elif self.job_id is not None:
            self._collect_later()
        else:
            # A create that is under way may still reach the service.
            state = JobState.AMBIGUOUS if self.may_have_job else JobState.NOT_SENT
            background.start(row.settle(state, error="cancelled while it was created"))

    def outcome_with(self, answer: Solved | WrongSolution) -> AttemptOutcome:
        """Return how the attempt ended after all, with the answer that came too late for it."""
        if isinstance(answer, WrongSolution):
            self._advise_on_wrong(answer)
            attempt, solved = self._record_of(answer), None
        else:
            self._learn(answer)
            attempt, solved = self._record_of(None), answer
        log.info("%s: %s, after its attempt was over", self._kind, attempt)
        return AttemptOutcome(self.account, attempt, solved, self._sent)

    def _report_health(self, error: ProviderError) -> None:
        took = self._worked
        typical = self.account.settings.timeout or self.account.speed[self._kind].latency.typical_time()
        allowed = took + self._time_left
        blames = blames_provider(error, allowed=allowed, took=took, typical=typical)
        effect = row_for(error).health
        # A probe that was too short must not be followed by the next one at once.
        self._permit.report(error, effect if blames or self._permit.given.is_probe else HealthEffect.NONE)
        if effect is not HealthEffect.NONE:
            self.account.speed[self._kind].latency.learn(now(), took, has_answer=False)

    def _learn(self, solved: Solved) -> None:
        """Learn from an answer what jobs of this kind take there, in time and money."""
        self.account.speed[self._kind].latency.learn(now(), self._worked, has_answer=True)
        if solved.cost is not None:
            self.account.prices.take_charge(self._kind, solved.cost)

    def _advise_on_wrong(self, error: ProviderError) -> None:
        """Report a wrong answer to the service if that is wanted, and say so in the error's advice."""
        also = ""
        if self.account.settings.report_wrong and self.job_id is not None:
            reporting = _report_wrong(self.account.remote(), Job(self.job_id, self._kind))
            self._services.background.start(reporting)
            also = "; the wrong answer is reported to the service"
        if isinstance(error, WrongSolution) and (also or self.job_id is None):
            error.advice = f"check the options of the task{also}"

    @property
    def may_wait(self) -> bool:
        """Whether it is of any use to wait for admission."""
        return self.account.admission.admits(is_early=self._is_early)

    @property
    def _worked(self) -> float:
        return now() - (self._started if self.began is None else self.began)

    def overtaken(self, why: str) -> Attempt:
        """Return the record of an attempt that is still under way, though the solve has its answer."""
        return self._record_of(Overtaken(why))

    def _recorded(self, error: ProviderError | None) -> Attempt:
        """Return the record of the attempt, which is logged and reported."""
        attempt = self._record_of(error)
        late = ", after another one had answered" if self.is_overtaken else ""
        log.info("%s: %s%s", self._kind, attempt, late)
        self._solve.events.attempted(attempt)
        return attempt

    def _record_of(self, error: ProviderError | None) -> Attempt:
        """Return the attempt as it is reported to the caller."""
        if error is not None:
            mask_error(error, self.account.secrets)
            # The caller may keep the record for long, and its frames would keep the picture.
            forget_frames(error)
        # An answer that was taken over is of the provider that solved the equal task.
        equal = self._shared
        return Attempt(
            provider=self.account.name if equal is None else equal.configured_as or equal.provider,
            elapsed=now() - self._started,
            polls=self._polls,
            job_id=self.job_id,
            error=error,
            cost=self._cost(error),
            kind=self._kind,
        )

    def _cost(self, error: ProviderError | None) -> Decimal | None:
        """Return the cost that the reply names, otherwise the price if a job was or may have been created."""
        answer = self._answer
        if answer is not None and answer.cost is not None:
            return answer.cost
        # The journal keeps the price of an ambiguous job reserved, and the attempt must agree with it.
        is_reserved = self._row is not None and self._job_state(error) is JobState.AMBIGUOUS
        if answer is None and self.job_id is None and not is_reserved and not isinstance(error, Overtaken):
            return Decimal(0)
        return self.account.prices.of(self._kind)


def _as_failure(error: Exception) -> ProviderError:
    """Return the error of an attempt as the ProviderError that it is reported with."""
    if isinstance(error, (ProviderError, ConfigError)):
        return as_provider_error(error)
    if isinstance(error, TaskError):
        return TaskRefused(str(error))
    log.error("an attempt failed in an unexpected way", exc_info=error)
    return PluginFault(f"{type(error).__name__}: {error}")


async def _report_wrong(account: RemoteAccount, job: Job) -> None:
    try:
        await account.report(job, correct=False)
    except CaptchaHubError as error:
        log.warning("%s (job %s): the wrong answer could not be reported: %s", account.name, job.id, error)
    else:
        log.info("%s (job %s): the wrong answer was reported", account.name, job.id)
