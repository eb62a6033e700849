"""One solve: the providers in order, one attempt after the other, until an answer or the deadline."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Generic, TypeVar, cast

import attrs

from captchahub._accounts import Account, translate
from captchahub._attempt import Try, begin, least_time, now
from captchahub._routing import Next, backoff, what_next
from captchahub.errors import (
    AllProvidersFailed,
    Attempt,
    JobTimeout,
    PluginFault,
    ProviderError,
    SolveTimeout,
)
from captchahub.provider import Solved
from captchahub.results import Result
from captchahub.tasks import Solution, Task

__all__ = ["Solve"]

S = TypeVar("S", bound=Solution)

# A loop's timers may fire a moment early, in seconds.
_TIMER_SLACK = 0.01

_log = logging.getLogger("captchahub")


@attrs.define
class _Candidate:
    """A provider that can still be asked, and from when."""

    account: Account
    not_before: float = 0.0
    tries: int = 0


class Solve(Generic[S]):
    """A task on its way through the providers of its route."""

    def __init__(
        self, task: Task[S], accounts: Iterable[Account], timeout: float, chance: Callable[[], float]
    ) -> None:
        self._task = task
        self._timeout = timeout
        self._chance = chance
        self._started = now()
        self._deadline = self._started + timeout
        self._candidates = [_Candidate(account) for account in accounts]
        self._attempts: list[Attempt] = []
        self._is_cut_short = False
        self._ran_short = ""

    async def run(self) -> Result[S]:
        """The result.

        Raises :class:`~captchahub.errors.AllProvidersFailed`, or a
        :class:`~captchahub.errors.TaskError` where the caller's own mistake ends it.
        """
        while (candidate := await self._next_candidate()) is not None:
            result = await self._ask(candidate)
            if result is not None:
                return result
        raise self._failure()

    async def _next_candidate(self) -> _Candidate | None:
        """The next to ask, after a pause where all need one; None where there is nobody, or no time."""
        if not self._candidates:
            return None
        moment = now()
        ready = [candidate for candidate in self._candidates if candidate.not_before <= moment]
        following = ready[0] if ready else min(self._candidates, key=lambda one: one.not_before)
        start = max(moment, following.not_before)
        if start >= self._deadline:
            return None
        await asyncio.sleep(start - moment)
        return following

    async def _ask(self, candidate: _Candidate) -> Result[S] | None:
        places = candidate.account.places
        try:
            async with asyncio.timeout_at(self._deadline):
                await places.acquire()
        except TimeoutError:
            limits = candidate.account.settings
            self._ran_short = (
                f": no place came free at {limits.name}, where max_in_flight is {limits.max_in_flight}"
            )
            self._is_cut_short = True
            return None
        try:
            return await self._attempt(candidate) if self._is_worth_a_try(candidate) else None
        finally:
            places.release()

    def _is_worth_a_try(self, candidate: _Candidate) -> bool:
        settings = candidate.account.settings
        left = min(self._deadline - now(), settings.timeout)
        if left >= least_time(candidate.account):
            return True
        self._candidates.remove(candidate)
        if not self._attempts:
            self._ran_short = f": that is too short to order anything at {settings.name}; allow a few seconds"
            self._is_cut_short = True
        return False

    async def _attempt(self, candidate: _Candidate) -> Result[S] | None:
        account = candidate.account
        started = now()
        one = begin(account, self._task, self._deadline, self._chance)
        try:
            # Asked first, so that a fault of the plugin here costs nothing.
            sent = translate(account.settings, Collection, account.provider.sent_options, self._task)
            solved = await one.run()
        except ProviderError as error:
            self._note(account, one, started, error)
            self._after(candidate, error)
            # A job that would have had more time, had the solve had it.
            had_less = started + account.settings.timeout > self._deadline and isinstance(error, JobTimeout)
            self._is_cut_short = had_less or now() >= self._deadline - _TIMER_SLACK
            return None
        self._note(account, one, started, None)
        return self._result(account, one, solved, sent)

    def _note(self, account: Account, one: Try, started: float, error: ProviderError | None) -> None:
        attempt = Attempt(account.settings.name, now() - started, one.polls, one.job_id, _bare(error))
        self._attempts.append(attempt)
        _log.info("%s: %s", self._task.kind, attempt)

    def _after(self, candidate: _Candidate, error: ProviderError) -> None:
        following = what_next(error)
        if following is Next.GIVE_UP:
            raise error
        self._candidates.remove(candidate)
        if following is Next.LATER:
            candidate.tries += 1
            candidate.not_before = now() + backoff(candidate.tries, error, chance=self._chance())
            self._candidates.append(candidate)

    def _result(self, account: Account, one: Try, solved: Solved, sent: Collection[str]) -> Result[S]:
        kind = self._task.kind
        return Result(
            # The task's check has seen that it is of the task's own type.
            solution=cast("S", solved.solution),
            provider=account.settings.name,
            job_id=one.job_id,
            cost=account.settings.prices.get(kind) if solved.cost is None else solved.cost,
            elapsed=now() - self._started,
            attempts=tuple(self._attempts),
            ignored_options=tuple(name for name in self._task.options if name not in sent),
        )

    def _failure(self) -> AllProvidersFailed:
        kind = self._task.kind
        if self._is_cut_short:
            late = f"this {kind} task was not solved within {self._timeout:g} s{self._ran_short}"
            return SolveTimeout(late, self._attempts)
        return AllProvidersFailed(f"no provider solved this {kind} task", self._attempts)


def _bare(error: ProviderError | None) -> ProviderError | None:
    """The error without the frames that led to it, which would keep the picture and the request with it.

    Those of a plugin's fault stay: without them nobody would find it.
    """
    link: BaseException | None = error
    while link is not None and not isinstance(link, PluginFault):
        link.__traceback__ = None
        link = link.__cause__
    return error
