"""One provider's work on a task: create the job once, poll it until it is done, check the answer."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from decimal import Decimal
from functools import partial
from typing import Any, cast

import attrs

from captchahub._engine.context import AttemptContext
from captchahub._engine.late_answers import (
    LateAnswer,
    OpenJob,
    collect_late,
    collect_late_local,
    may_be_elsewhere,
)
from captchahub._engine.poller import Poller
from captchahub._journal.journal import JobRow, NewJob
from captchahub._journal.solutions import unpack
from captchahub._policy.job_token import Token
from captchahub._policy.scheduling import backoff
from captchahub._providers.account import LocalAccount, RemoteAccount
from captchahub._providers.admission import Permit
from captchahub._providers.calls import is_of_contract
from captchahub._support.clock import now
from captchahub._support.guard import foreign_errors
from captchahub._support.log import log
from captchahub._support.redaction import mask
from captchahub.errors import (
    AmbiguousCreate,
    JobFailed,
    JobTimeout,
    JobUnknown,
    MalformedReply,
    NotAsked,
    PluginFault,
    ServiceUnavailable,
    WrongSolution,
)
from captchahub.extending import Prepared
from captchahub.frames import WHOLE, Frame
from captchahub.jobs import JobEntry, JobState
from captchahub.provider import Created, Job, JobId, Request, Solved
from captchahub.tasks import Solution, Task

__all__ = ["Execution", "LocalExecution", "RemoteExecution", "execution_of"]


class Execution(ABC):
    """The work of one attempt that was admitted; what is known of its job can be read at any time."""

    def __init__(self, context: AttemptContext, permit: Permit, deadline: float) -> None:
        self.job_id: JobId | None = None
        """The service's id of the job, or None if there is none, or none is known."""
        self.answer: Solved | None = None
        """What the provider answered, before the check."""
        self.was_refused = False
        """Whether the check refused that answer."""
        self.may_have_job = False
        """Whether a job may exist: a create is under way, or has succeeded."""
        self.row: JobRow | None = None
        """The job's row in the journal, once there is one. Whoever runs the execution settles it, once."""
        self.shared: JobEntry | None = None
        """The job of an equal task that was solved elsewhere, if its answer is this one's."""
        self._frame = WHOLE
        """Where the picture that was sent lies in the task's own."""
        self._context = context
        self._task = context.task
        self._permit = permit
        self._deadline = deadline

    @abstractmethod
    async def run(self) -> Solved:
        """Return the checked answer. Raises a ProviderError, or TaskError if the task can't be sent."""

    @property
    def polls(self) -> int:
        """How often the service was polled."""
        return 0

    @property
    def token(self) -> Token | None:
        """The job as it can be attached elsewhere, or None if there is none."""
        return None

    @property
    @abstractmethod
    def ran_out(self) -> bool:
        """Whether the provider needs more time than there was, and may still answer."""

    @abstractmethod
    def checked(self, found: Solved) -> Solved:
        """Return an answer checked, whenever it comes. Raises a ProviderError."""

    @abstractmethod
    def late_answer(self, late: LateAnswer | None) -> Coroutine[Any, Any, None] | None:
        """Return what waits for the answer after the attempt has ended, or None if nothing may come.

        ``late`` brings the answer to the solve, or is None if the solve does not wait for it.
        """

    async def _prepared(self) -> Prepared:
        services, settings = self._context.services, self._context.account.settings
        return await services.preparer.prepared(
            services.hooks, self._task, settings.name, settings.plugin, self._time_left()
        )

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
        wrong = wrong or self._context.services.hooks.check_solution(task, solution)
        if wrong:
            self.was_refused = True
            raise WrongSolution(wrong)
        return Solved(solution, answer.cost)


class LocalExecution(Execution):
    """The work of an engine in this process."""

    def __init__(
        self, account: LocalAccount, context: AttemptContext, permit: Permit, deadline: float
    ) -> None:
        super().__init__(context, permit, deadline)
        self._account = account

    async def run(self) -> Solved:
        """Return the checked answer. Raises a ProviderError."""
        prepared = await self._prepared()
        self._frame = prepared.frame
        left = self._time_left()
        limit = asyncio.timeout(left)
        self.may_have_job = True
        # The permit keeps its slot until the thread is free, because nothing can interrupt the engine.
        busy = self._permit.busy = self._account.workers.begin(partial(self._solve, prepared.task))
        try:
            async with limit:
                found = Solved(await asyncio.wrap_future(busy))
        except TimeoutError:
            if not limit.expired():
                raise  # the engine's own
            raise JobTimeout(f"no answer within {left:.1f} s") from None
        return self.checked(found)

    @property
    def ran_out(self) -> bool:
        """Whether the engine still works, though its time is over."""
        return self._permit.busy is not None and not self._permit.busy.done()

    def checked(self, found: Solved) -> Solved:
        """Return the engine's answer checked, whenever it comes. Raises a ProviderError."""
        self.answer = self._placed(found, self._frame)
        return self._checked(self.answer)

    def late_answer(self, late: LateAnswer | None) -> Coroutine[Any, Any, None] | None:
        """Return what waits for an engine that takes longer than its attempt."""
        busy = self._permit.busy
        return None if late is None or busy is None else collect_late_local(busy, late)

    def _solve(self, task: Task[Solution]) -> Solution:
        try:
            return self._account.provider.solve(task)
        except BaseException as error:
            if is_of_contract(error):
                raise
            # Even SystemExit: in this thread it would end nothing but the attempt, and that without a word.
            why = mask(f"{type(error).__name__}: {error}", self._account.secrets)
            raise JobFailed(f"the engine failed: {why}") from error


class RemoteExecution(Execution):
    """The work of a service."""

    def __init__(
        self, account: RemoteAccount, context: AttemptContext, permit: Permit, deadline: float
    ) -> None:
        super().__init__(context, permit, deadline)
        self._account = account
        self._poller: Poller | None = None
        self._replied_in: float | None = None
        """How long the service took to reply to the create, in seconds, or None if it has not replied."""

    async def run(self) -> Solved:
        """Return the checked answer. Raises a ProviderError, or TaskError if the task can't be sent."""
        account, services = self._account, self._context.services
        prepared = await self._prepared()
        self._frame = prepared.frame
        request = account.call_plugin(Request, account.provider.create_job, prepared.task)
        if services.journal.has_budget_for(account.name):
            patience = self._time_left() - account.least_time
            await account.ensure_price(self._task.kind, services.background, patience)
        refused: JobEntry | None = None
        while True:
            reserved = await self._reserve(refused)
            if isinstance(reserved, JobRow) and reserved.found is None:
                self.row = reserved
                await self._record(await self._create(request, prepared.task))
                # Without an answer Created has an id.
                return self._checked(self.answer or await self._poll(cast("JobId", self.job_id)))
            if isinstance(reserved, JobRow):
                refused = cast("JobEntry", reserved.found)
                answer = await self._poll_inherited(reserved, refused)
            else:
                refused, answer = reserved, self._take_over(reserved)
            if answer is not None:
                return answer
            self._frame = prepared.frame

    async def _reserve(self, refused: JobEntry | None) -> JobRow | JobEntry:
        """Write into the journal that a job is about to be created. See :meth:`Journal.reserve`."""
        solve, prices = self._context.solve, self._account.prices
        job = NewJob(
            submission=solve.id,
            provider=self._account.name,
            kind=self._task.kind,
            fingerprint=solve.fingerprint,
            options=solve.options,
            price=prices.of(self._task.kind),
            price_source=prices.source_of(self._task.kind),
            currency=prices.currency,
            is_shared=solve.is_shared,
            frame=self._frame,
        )
        limit = asyncio.timeout_at(self._deadline)
        try:
            async with limit:
                return await self._context.services.journal.reserve(
                    job, solve.begun, refused, self._account.identity
                )
        except TimeoutError:
            if not limit.expired():
                raise
            see = "see which program keeps the file locked, or how busy its disk is"
            raise NotAsked("the journal did not record the job in time", advice=see) from None

    async def _create(self, request: Request, task: Task[Solution]) -> Created:
        """Create the job; once more if it is known that the first request did not reach the service."""
        account, has_retried = self._account, False
        while True:
            self.may_have_job = True
            sent = now()
            try:
                timeout = max(0.0, min(account.settings.create_timeout, self._deadline - sent))
                reply = await account.transport.send(request, timeout=timeout)
                self._replied_in = now() - sent
                return account.call_plugin(Created, account.provider.read_created, task, reply)
            except (ServiceUnavailable, MalformedReply) as error:
                if not isinstance(error, ServiceUnavailable) or not error.nothing_created:
                    # If nobody could read the reply, base_url may be what is wrong.
                    why = f"{error}; {error.advice}" if isinstance(error, MalformedReply) else str(error)
                    raise AmbiguousCreate(f"the request was sent, but no job id came back: {why}") from error
                self.may_have_job = False
                if has_retried or not await self._may_retry(error):
                    raise
                has_retried = True

    async def _may_retry(self, error: ServiceUnavailable) -> bool:
        """Wait for the second try to create the job. Return False if there is none."""
        pause = backoff(1, error, chance=self._context.services.chance())
        latest = self._deadline - self._account.least_time
        # A service that has replied did not miss the request: what it says is true in a moment, too, and
        # others can be called meanwhile. A probe is one try, because a dead service is to cost no more.
        if self._replied_in is not None or self._permit.is_probe or now() + pause > latest:
            return False
        self._context.solve.events.retrying(self._account.name, error)
        await asyncio.sleep(pause)
        try:
            await self._account.admission.wait_for_rate(latest)
        except NotAsked:
            return False
        return self._permit.refusal() is None

    async def _record(self, created: Created) -> None:
        """Write down the job that the service has created."""
        self.job_id = created.job_id
        if created.solution is not None:
            # Before anything else is waited for, because a cancellation then would lose it.
            self.answer = self._placed(Solved(created.solution, created.cost), self._frame)
        if created.job_id is not None and self.row is not None:
            await self.row.mark_created(created.job_id)
            solve, kind = self._context.solve, self._task.kind
            solve.progress.job = self.token
            solve.events.job_created(self._account.name, created.job_id, self._account.prices.of(kind))
        self._permit.job_created()

    async def _poll(self, job_id: JobId) -> Solved:
        job, events = Job(job_id, self._task.kind), self._context.solve.events
        self._poller = Poller(self._account, job, events, replied_in=self._replied_in)
        self.answer = self._placed(await self._poller.wait_until(self._deadline), self._frame)
        return self.answer

    def _take_over(self, equal: JobEntry) -> Solved | None:
        """Return the checked answer of an equal task, which is paid for, or None if it is refused here."""
        solution = unpack(self._task.solution_type, equal.answer or {})
        if solution is None:
            return None
        self.shared, self.job_id = equal, equal.job_id
        self.answer = Solved(solution, Decimal(0))
        try:
            return self._checked(self.answer)
        except WrongSolution:
            # It was not checked before, and this provider is not the one that was wrong.
            self.shared = self.job_id = self.answer = None
            self.was_refused = False
            return None

    async def _poll_inherited(self, row: JobRow, found: JobEntry) -> Solved | None:
        """Return the checked answer of a dead hub's job for an equal task, or None if the job is gone."""
        self.row, self.may_have_job, self._frame = row, True, found.frame
        job_id = self.job_id = cast("JobId", found.job_id)
        self._context.solve.progress.job = self.token
        try:
            return self._checked(await self._poll(job_id))
        except JobUnknown as error:
            await self._give_up(row, found, error)
            self.row = self.job_id = self._poller = None
            self.may_have_job = False
            if self._time_left() < self._account.least_time:
                raise
        # A new job follows. Another attempt may have found meanwhile that the provider is out or cools down.
        refusal = self._permit.refusal()
        if refusal is not None:
            raise refusal
        return None

    async def _give_up(self, row: JobRow, found: JobEntry, error: JobUnknown) -> None:
        """Settle the row of an inherited job that the service does not know; the next job has another row."""
        log.info("%s: %s, which was left behind: a new job is created", self._account.name, error)
        self._context.solve.progress.job = None
        if may_be_elsewhere(found, self._context.services.journal.now):
            await row.release()
        else:
            await row.settle(JobState.EXPIRED, error=f"{type(error).__name__}: {error}")

    @property
    def polls(self) -> int:
        """How often the service was polled."""
        return 0 if self._poller is None else self._poller.polls

    @property
    def token(self) -> Token | None:
        """The job as it can be attached elsewhere, or None if there is none."""
        if self.job_id is None:
            return None
        fingerprint, digests = self._context.solve.fingerprint, self._account.short_digests
        return Token(self._account.name, self._task.kind, self.job_id, fingerprint, self._frame, digests)

    @property
    def ran_out(self) -> bool:
        """Whether the job took longer than there was time."""
        return self._poller is not None and self._poller.ran_out

    def checked(self, found: Solved) -> Solved:
        """Return the answer to the task's own picture checked, whenever it comes. Raises a ProviderError."""
        self.answer = self._placed(found, WHOLE)
        return self._checked(self.answer)

    def late_answer(self, late: LateAnswer | None) -> Coroutine[Any, Any, None] | None:
        """Return what goes on polling a job that is paid for, and settles its row."""
        if self.row is None or self.job_id is None:
            return None
        job = OpenJob(self._account, Job(self.job_id, self._task.kind), self._frame, self.row)
        poller = self._poller or Poller(self._account, job.job)
        # The events of the solve are over.
        poller.events = None
        return collect_late(job, poller.wait_until, self._context.solve.undelivered, late)


def execution_of(context: AttemptContext, permit: Permit, deadline: float) -> Execution:
    """Return the execution of an attempt, which must end at ``deadline``, in the loop's time."""
    match context.account:
        case RemoteAccount() as remote:
            return RemoteExecution(remote, context, permit, deadline)
        case LocalAccount() as local:
            return LocalExecution(local, context, permit, deadline)
        case other:
            raise TypeError(f"no execution for {other!r}")
