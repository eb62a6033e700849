"""One provider's try at a task: create once, ask until it is done, check the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from captchahub._accounts import Account, LocalAccount, RemoteAccount, translate
from captchahub._polling import Durations, next_pause, time_to_ask
from captchahub._routing import backoff
from captchahub._secrets import mask, secrets_in
from captchahub.errors import (
    AmbiguousCreate,
    AuthenticationError,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobTimeout,
    MalformedReply,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
    TaskError,
    WrongSolution,
)
from captchahub.provider import Created, Job, JobId, Pending, Reply, Request, Solved
from captchahub.tasks import Solution, Task

__all__ = ["LocalTry", "RemoteTry", "Try", "begin", "least_time", "now"]

T = TypeVar("T")

# What a poll can meet without the job being over: it is paid for, and asking again is free. Even a refused
# token is among them, for it was good when the job was created; firewalls answer 403 as well.
_SURVIVED = (
    AuthenticationError,
    InsufficientBalance,
    JobRefused,
    MalformedReply,
    RateLimited,
    ServiceUnavailable,
)


def now() -> float:
    """The event loop's time, in seconds."""
    return asyncio.get_running_loop().time()


class LocalTry:
    """A try at an engine in this process."""

    job_id: JobId | None = None
    polls = 0

    def __init__(self, account: LocalAccount, task: Task[Solution], deadline: float) -> None:
        self._account = account
        self._task = task
        self._left = min(deadline - now(), account.settings.timeout)

    async def run(self) -> Solved:
        """The checked answer. Raises a ProviderError."""
        try:
            async with asyncio.timeout(self._left):
                solution = await self._account.workers.run(self._solve)
        except TimeoutError:
            raise JobTimeout(f"no answer within {self._left:.1f} s") from None
        return _checked(self._task, Solved(solution))

    def _solve(self) -> Solution:
        try:
            return self._account.provider.solve(self._task)
        except (ProviderError, TaskError):
            raise
        except BaseException as error:
            # Even SystemExit: in this thread it would end nothing but the attempt, and that without a word.
            said = mask(f"{type(error).__name__}: {error}", secrets_in(self._account.settings.own))
            raise JobFailed(f"the engine failed: {said}") from error


class RemoteTry:
    """A try at a service; what is known of its job can be read at any time."""

    def __init__(
        self,
        account: RemoteAccount,
        task: Task[Solution],
        deadline: float,
        chance: Callable[[], float],
    ) -> None:
        self.job_id: JobId | None = None
        self.polls = 0
        self._account = account
        self._settings = account.settings
        self._provider = account.provider
        self._task = task
        self._deadline = min(deadline, now() + account.settings.timeout)
        self._chance = chance
        self._said = "nothing"

    async def run(self) -> Solved:
        """The checked answer. Raises a ProviderError, or the TaskError of a task that can't be asked."""
        request = self._translate(Request, self._provider.create_job, self._task)
        created = await self._create(request)
        self.job_id = created.job_id
        if created.solution is not None:
            return _checked(self._task, Solved(created.solution, created.cost))
        return _checked(self._task, await self._answer(Job(created.job_id, self._task.kind)))

    async def _create(self, request: Request) -> Created:
        try:
            return await self._create_once(request)
        except ServiceUnavailable as error:
            pause = backoff(1, error, chance=self._chance())
            least = pause + time_to_ask(self._provider.minimum_gap)
            if not error.nothing_created or least > self._left():
                raise
        await asyncio.sleep(pause)
        return await self._create_once(request)

    async def _create_once(self, request: Request) -> Created:
        try:
            reply = await self._send(request, self._settings.create_timeout)
            return self._translate(Created, self._provider.read_created, self._task, reply)
        except (ServiceUnavailable, MalformedReply) as error:
            if isinstance(error, ServiceUnavailable) and error.nothing_created:
                raise
            # Where nobody could read the reply, base_url may be what is wrong.
            why = f"{error}; {error.advice}" if isinstance(error, MalformedReply) else str(error)
            raise AmbiguousCreate(f"the order was sent, and no job id came back: {why}") from error

    async def _answer(self, job: Job) -> Solved:
        gap = self._provider.minimum_gap
        created, asked = now(), None
        pause = self._durations.first_pause(gap=gap, left=self._left())
        while pause < self._left():
            await asyncio.sleep(pause)
            found, asked_for = await self._poll(job)
            waited = now() - created
            if found is not None:
                self._learn(self._durations.with_job(asked_before=asked, done=waited))
                return found
            asked = waited
            pause = next_pause(waited=waited, gap=gap, left=self._left(), asked_for=asked_for)
        said = mask(self._said, secrets_in(self._settings.own))
        raise JobTimeout(f"not done after {now() - created:.1f} s; the service last said {said}")

    async def _poll(self, job: Job) -> tuple[Solved | None, float | None]:
        """The answer if there is one, and the pause the service demands if it does."""
        self.polls += 1
        try:
            request = self._translate(Request, self._provider.poll_job, job)
            reply = await self._send(request, self._settings.poll_timeout)
            state = self._translate((Pending, Solved), self._provider.read_result, job, reply)
        except _SURVIVED as error:
            self._said = str(error)
            return None, getattr(error, "retry_after", None)
        if isinstance(state, Pending):
            self._said = repr(state.status)
            return None, None
        return state, None

    async def _send(self, request: Request, limit: float) -> Reply:
        return await self._account.transport.send(request, timeout=max(0.0, min(limit, self._left())))

    def _translate(self, wanted: Any, method: Callable[..., T], *values: object) -> T:
        return translate(self._settings, wanted, method, *values)

    def _left(self) -> float:
        return self._deadline - now()

    @property
    def _durations(self) -> Durations:
        return self._account.durations.get(self._task.kind, Durations())

    def _learn(self, durations: Durations) -> None:
        self._account.durations[self._task.kind] = durations


Try = LocalTry | RemoteTry


def least_time(account: Account) -> float:
    """How much time must be left, in seconds, for a try to make sense."""
    return time_to_ask(account.provider.minimum_gap) if isinstance(account, RemoteAccount) else 0.0


def begin(account: Account, task: Task[Solution], deadline: float, chance: Callable[[], float]) -> Try:
    """A try of either shape."""
    if isinstance(account, LocalAccount):
        return LocalTry(account, task, deadline)
    return RemoteTry(account, task, deadline, chance)


def _checked(task: Task[Solution], solved: Solved) -> Solved:
    try:
        solution = task.complete(solved.solution)
        wrong = task.check(solution)
    except Exception as error:
        # The answer is paid for; whatever is wrong with it must not take the other providers down.
        raise WrongSolution(f"{solved.solution!r} can't be checked: {type(error).__name__}") from error
    if wrong is not None:
        raise WrongSolution(wrong)
    return Solved(solution, solved.cost)
