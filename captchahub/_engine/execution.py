"""One provider's try at a task: create once, ask until it is done, check the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar, cast

import attrs

from captchahub._engine.context import Terms
from captchahub._engine.poller import Poller
from captchahub._journal.journal import JobRow
from captchahub._journal.solutions import unpack
from captchahub._plugins.hooks import Hooks
from captchahub._policy.scheduling import backoff
from captchahub._providers.account import Account, LocalAccount, RemoteAccount, least_time
from captchahub._providers.calls import is_of_contract, translate
from captchahub._support.clock import now
from captchahub._support.guard import foreign_errors
from captchahub._support.redaction import mask, secrets_in
from captchahub._support.tracebacks import let_go
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
from captchahub.jobs import JobEntry
from captchahub.provider import Created, Job, JobId, Reply, Request, Solved
from captchahub.tasks import Solution, Task

__all__ = ["Execution", "LocalExecution", "RemoteExecution", "begin"]

T = TypeVar("T")


class LocalExecution:
    """A try at an engine in this process."""

    job_id: JobId | None = None
    polls = 0
    page = None
    shared = None

    def __init__(self, account: LocalAccount, task: Task[Solution], terms: Terms) -> None:
        self.answer: Solved | None = None
        self.was_refused = False
        self.busy: Future[Solution] | None = None
        """Done once the engine's thread is free again, which may be after the try is over."""
        self._account = account
        self._task = task
        self._terms = terms
        self._frame = WHOLE

    @property
    def may_be_ordered(self) -> bool:
        """Whether the engine has been asked."""
        return self.busy is not None

    async def run(self) -> Solved:
        """The checked answer. Raises a ProviderError."""
        prepared = await self._terms.context.prepare(self._terms.deadline - now())
        self._frame = prepared.frame
        left = self._terms.deadline - now()
        limit = asyncio.timeout(left)
        self.busy = self._account.workers.begin(partial(self._solve, prepared.task))
        try:
            async with limit:
                found = Solved(await asyncio.wrap_future(self.busy))
        except TimeoutError:
            if not limit.expired():
                raise  # the engine's own
            raise JobTimeout(f"no answer within {left:.1f} s") from None
        return self.checked(found)

    @property
    def ran_out(self) -> bool:
        """Whether the engine still works, though its time is over."""
        return self.busy is not None and not self.busy.done()

    def checked(self, found: Solved) -> Solved:
        """The engine's answer, checked, whenever it comes. Raises a ProviderError."""
        answer = self.answer = _placed(self._task, found, self._frame)
        return _checked(self, self._task, answer, self._terms.context.hooks)

    def _solve(self, task: Task[Solution]) -> Solution:
        try:
            return self._account.provider.solve(task)
        except BaseException as error:
            if is_of_contract(error):
                raise
            # Even SystemExit: in this thread it would end nothing but the attempt, and that without a word.
            said = mask(f"{type(error).__name__}: {error}", secrets_in(self._account.settings.own))
            raise JobFailed(f"the engine failed: {said}") from error


class RemoteExecution:
    """A try at a service; what is known of its job can be read at any time."""

    def __init__(self, account: RemoteAccount, task: Task[Solution], terms: Terms) -> None:
        self.job_id: JobId | None = None
        self.answer: Solved | None = None
        """What the service answered, before the check."""
        self.was_refused = False
        """Whether a check refused that answer."""
        self.may_be_ordered = False
        """Whether a job may exist: an order is under way, or was taken."""
        self.busy = None
        self.shared: JobEntry | None = None
        """The job of an equal task whose answer this is."""
        self.prepared = Prepared(task)
        """The task as it is sent."""
        self.page: JobRow | None = None
        """Its place in the journal, once there is one."""
        self._account = account
        self._settings = account.settings
        self._provider = account.provider
        self._task = task
        self._terms = terms
        self.asking: Poller | None = None
        """The questions for its job, once there are any."""
        self._replied_in: float | None = None
        """How long the service took to reply to an order, in seconds; None where it has not."""

    @property
    def polls(self) -> int:
        """How often the service was asked for the answer."""
        return 0 if self.asking is None else self.asking.polls

    async def run(self) -> Solved:
        """The checked answer. Raises a ProviderError, or the TaskError of a task that can't be asked."""
        prepared = self.prepared = await self._terms.context.prepare(self._left())
        request = self._translate(Request, self._provider.create_job, prepared.task)
        await self._terms.context.know_price(self._left() - least_time(self._account))
        answer: Solved | None = None
        refused: JobEntry | None = None
        while answer is None:
            opened = await self._open_page(refused)
            if isinstance(opened, JobEntry):
                answer, refused = self._take_over(opened), opened
            elif opened.found is not None:
                answer, refused = await self._go_on(opened, opened.found), opened.found
            else:
                self.page = opened
                answer = self._checked(await self._ordered(request))
        return answer

    async def _open_page(self, refused: JobEntry | None) -> JobRow | JobEntry:
        limit = asyncio.timeout_at(self._terms.deadline)
        try:
            async with limit:
                return await self._terms.context.open_page(self.prepared.frame, refused)
        except TimeoutError:
            if not limit.expired():
                raise
            see = "see which program keeps the file locked, or how busy its disk is"
            raise NotAsked("the journal did not take the order in time", advice=see) from None

    async def _ordered(self, request: Request) -> Solved:
        """The answer of a new job."""
        created = await self._create(request)
        self.job_id = created.job_id
        frame = self.prepared.frame
        if created.solution is not None:
            # Before anything else is waited for, as a cancel then would lose it.
            self.answer = self._placed(created.solution, created.cost)
        if created.job_id is not None and self.page is not None:
            await self.page.mark_created(created.job_id)
            self._terms.context.note_job(created.job_id, frame)
        self._account.admission.created(self._terms.given)
        # Without an answer Created has an id.
        return self.answer or await self._ask(cast("JobId", created.job_id))

    async def _go_on(self, page: JobRow, found: JobEntry) -> Solved | None:
        """The checked answer of a job that a dead hub ordered for an equal task; None where it is gone."""
        prepared = self.prepared
        self.page, self.may_be_ordered = page, True
        self.prepared = attrs.evolve(prepared, frame=found.frame)
        job_id = self.job_id = cast("JobId", found.job_id)
        self._terms.context.follow_job(job_id, found.frame)
        try:
            return self._checked(await self._ask(job_id))
        except JobUnknown as error:
            await self._terms.context.give_up(page, found, error)
            self.page = self.job_id = self.asking = None
            self.may_be_ordered, self.prepared = False, prepared
            if self._left() < least_time(self._account):
                raise
            let_go(error)
            # A new order follows. Another attempt may have found meanwhile that the provider is out or cools.
            closed = self._account.admission.refusal(self._terms.given)
            if closed is not None:
                raise closed from None
            return None

    @property
    def ran_out(self) -> bool:
        """Whether its job took longer than there was time."""
        return self.asking is not None and self.asking.ran_out

    def checked(self, found: Solved) -> Solved:
        """The answer to the task's own picture, checked, whenever it comes. Raises a ProviderError."""
        answer = self.answer = _placed(self._task, found, WHOLE)
        return _checked(self, self._task, answer, self._terms.context.hooks)

    async def _ask(self, job_id: JobId) -> Solved:
        job = Job(job_id, self._task.kind)
        note = partial(self._terms.context.note_poll, job_id)
        self.asking = Poller(self._account, job, note, replied_in=self._replied_in)
        solved = await self.asking.wait_until(self._terms.deadline)
        self.answer = self._placed(solved.solution, solved.cost)
        return self.answer

    def _placed(self, solution: Solution, cost: Decimal | None) -> Solved:
        return _placed(self._task, Solved(solution, cost), self.prepared.frame)

    def _take_over(self, equal: JobEntry) -> Solved | None:
        """The checked answer of an equal task, which is paid for already; None where that won't do."""
        solution = unpack(self._task.solution_type, equal.answer or {})
        if solution is None:
            return None
        self.shared, self.job_id = equal, equal.job_id
        self.answer = Solved(solution, Decimal(0))
        try:
            return self._checked(self.answer)
        except WrongSolution as error:
            # Nobody has checked it before, and it is for another provider than this one to be wrong.
            let_go(error)
            self.shared = self.job_id = self.answer = None
            self.was_refused = False
            return None

    def _checked(self, answer: Solved) -> Solved:
        return _checked(self, self._task, answer, self._terms.context.hooks)

    async def _create(self, request: Request) -> Created:
        try:
            return await self._create_once(request)
        except ServiceUnavailable as error:
            if not error.nothing_created or not await self._may_try_again(error):
                raise
            let_go(error)
        return await self._create_once(request)

    async def _may_try_again(self, error: ServiceUnavailable) -> bool:
        """Wait for the second try; False where there is none."""
        pause = backoff(1, error, chance=self._terms.chance())
        latest = self._terms.deadline - least_time(self._account)
        # A probe is one try, for a dead service is to cost no more. One that has replied did not miss the
        # order: what it says is true in a moment, too, and others can be asked meanwhile.
        is_heard = self._replied_in is not None
        if is_heard or self._terms.given.is_probe or now() + pause > latest:
            return False
        self._terms.context.note_retry(error)
        await asyncio.sleep(pause)
        admission = self._account.admission
        try:
            await admission.rate_permit(latest)
        except NotAsked:
            return False
        return admission.refusal(self._terms.given) is None

    async def _create_once(self, request: Request) -> Created:
        self.may_be_ordered = True
        sent = now()
        try:
            reply = await self._send(request, self._settings.create_timeout)
            self._replied_in = now() - sent
            return self._translate(Created, self._provider.read_created, self.prepared.task, reply)
        except (ServiceUnavailable, MalformedReply) as error:
            if isinstance(error, ServiceUnavailable) and error.nothing_created:
                self.may_be_ordered = False
                raise
            # Where nobody could read the reply, base_url may be what is wrong.
            why = f"{error}; {error.advice}" if isinstance(error, MalformedReply) else str(error)
            raise AmbiguousCreate(f"the order was sent, and no job id came back: {why}") from error

    async def _send(self, request: Request, limit: float) -> Reply:
        return await self._account.transport.send(request, timeout=max(0.0, min(limit, self._left())))

    def _translate(self, wanted: Any, method: Callable[..., T], *values: object) -> T:
        return translate(self._settings, wanted, method, *values)

    def _left(self) -> float:
        return self._terms.deadline - now()


Execution = LocalExecution | RemoteExecution


def begin(account: Account, task: Task[Solution], terms: Terms) -> Execution:
    """A try of either shape."""
    if isinstance(account, LocalAccount):
        return LocalExecution(account, task, terms)
    return RemoteExecution(account, task, terms)


def _placed(task: Task[Solution], answer: Solved, frame: Frame) -> Solved:
    """The answer for the task's own picture, of which the one that was sent is a part."""
    solution = answer.solution
    if not isinstance(solution, task.solution_type):
        found, wanted = type(solution).__name__, task.solution_type.__name__
        raise PluginFault(f"the answer is a {found}, and {task.kind} is answered by a {wanted}")
    return answer if frame == WHOLE else attrs.evolve(answer, solution=solution.placed(frame))


def _checked(one: Execution, task: Task[Solution], answer: Solved, hooks: Hooks) -> Solved:
    """The try's answer, where neither the task nor a plugin has anything against it."""
    try:
        solution = task.complete(answer.solution)
        wrong = task.check(solution)
    except foreign_errors() as error:
        # The answer is paid for; whatever is wrong with it must not take the other providers down.
        raise WrongSolution(f"{answer.solution!r} can't be checked: {type(error).__name__}") from error
    wrong = wrong or hooks.check_solution(task, solution)
    if wrong:
        one.was_refused = True
        raise WrongSolution(wrong)
    return Solved(solution, answer.cost)
