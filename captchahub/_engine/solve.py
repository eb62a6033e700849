"""One solve: whom to ask now, whom as well, when to stop; until there is an answer, or no time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from enum import Enum
from functools import partial
from typing import Any, Generic, TypeVar

import attrs

from captchahub._engine.attempt import AttemptRunner
from captchahub._engine.context import EngineServices, SolveInfo
from captchahub._engine.history import AttemptHistory
from captchahub._policy.error_table import Then, next_step
from captchahub._policy.scheduling import HedgeBudget, backoff, first_open, hedge_delay, time_for
from captchahub._policy.voting import Tally
from captchahub._providers.account import Account, last_call, least_time
from captchahub._support.background import cancel_all
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub.errors import Attempt, JobTimeout, Overtaken, ProviderError, ServiceBusy, ServiceUnavailable
from captchahub.events import FellBack, Retrying
from captchahub.results import Result
from captchahub.settings import RouteSettings
from captchahub.tasks import Solution, Task
from captchahub.tickets import Progress

__all__ = ["Solve", "SolvePlan"]

S = TypeVar("S", bound=Solution)

# A loop's timers may fire a moment early, in seconds.
_TIMER_SLACK = 0.01

# Or late: with how much more than the least time a last try is begun, in seconds.
_HEADROOM = 0.1

# Where all solves meet the same trouble, the pause of each grows with so many tries and no longer.
_TRIES_THAT_GROW = 4


@attrs.frozen
class SolvePlan:
    """Who is asked, in order; by which rules; and what the hedges of this route may still spend."""

    accounts: Sequence[Account]
    route: RouteSettings
    hedges: HedgeBudget


@attrs.define(eq=False)
class _Queued:
    """A provider that can still be asked. ``rank`` is its place among the others."""

    account: Account
    rank: int
    not_before: float = 0.0
    tries: int = 0

    @property
    def opens_at(self) -> float | None:
        """From when, as its health says too; None for never."""
        healthy_from = self.account.admission.health.opens_at
        return None if healthy_from is None else max(healthy_from, self.not_before)

    def opens_early_at(self, latest: float) -> float | None:
        """The same where nobody else can be asked, and an order must be sent by ``latest``."""
        healthy_from = self.account.admission.health.opens_early_at(latest)
        return None if healthy_from is None else max(healthy_from, self.not_before)


class _Hedge(Enum):
    """Whether a second provider is asked while the first still works."""

    NOT_YET = "not yet"
    ASKED = "asked as well"
    OVER = "not again"


class Solve(Generic[S]):
    """A task on its way through the providers of its route. ``begun`` is in the loop's time."""

    def __init__(
        self,
        task: Task[S],
        plan: SolvePlan,
        desk: EngineServices,
        *,
        begun: float,
        timeout: float,
        progress: Progress,
        submission: SolveInfo,
    ) -> None:
        self._task = task
        self._plan = plan
        self._route = plan.route
        self._desk = desk
        self._deadline = begun + timeout
        self._submission = submission
        self._progress = progress
        self._candidates = [_Queued(account, rank) for rank, account in enumerate(plan.accounts)]
        self._runs: dict[AttemptRunner, _Queued] = {}
        # Those that have taken too long and may still bring an answer, with their places in the history.
        self._given_up: dict[AttemptRunner, int] = {}
        self._tally: Tally[Solution] = Tally(plan.route.agree, task.agrees)
        self._history: AttemptHistory[S] = AttemptHistory(task, plan.route, begun=begun, timeout=timeout)
        self._hedge = _Hedge.NOT_YET
        self._sole: _Queued | None = None
        self._last: Account | None = None

    async def run(self) -> Result[S]:
        """The result.

        Raises :class:`~captchahub.errors.AllProvidersFailed`, or a
        :class:`~captchahub.errors.TaskError` where the caller's own mistake ends it.
        """
        self._plan.hedges.count_solve()
        try:
            while self._tally.winner is None:
                self._let_go_of_closed()
                self._begin_runs()
                if not self._runs and not self._can_wait() and not self._may_still_come():
                    ran_short = self._ran_short()
                    raise self._history.failure(self._plan.accounts, self._tally, ran_short=ran_short)
                await self._next_ended()
            self._submission.undelivered.answered()
            return self._history.result(self._tally, self._overtaken)
        finally:
            await self._leave()
            # An error that is raised, and a frame that holds it, would keep each other and the picture.
            self._history.forget()

    def _let_go_of_closed(self) -> None:
        """Wait no longer for a place or a turn at a provider that has closed meanwhile."""
        for run in [run for run in self._runs if run.began is None and not run.may_wait]:
            run.ending.cancel()
            self._put_back(self._runs.pop(run))

    def _begin_runs(self) -> None:
        """Ask as many providers as are wanted and ready."""
        self._hedge_where_due()
        while self._is_short_of_runs():
            place = first_open(self._opens(), now())
            if place is None:
                return
            self._begin(self._candidates.pop(place))

    def _opens(self) -> list[float | None]:
        """From when each candidate may be asked: one that cools earlier, where there is nobody else."""
        at_hand = len(self._runs) + sum(map(self._is_open, self._candidates))
        if at_hand >= self._tally.missing:
            return [candidate.opens_at for candidate in self._candidates]
        return [candidate.opens_early_at(self._latest(candidate)) for candidate in self._candidates]

    @staticmethod
    def _is_open(candidate: _Queued) -> bool:
        return candidate.account.admission.is_open

    def _latest(self, candidate: _Queued) -> float:
        """When a last order can be sent there."""
        return self._deadline - least_time(candidate.account) - _HEADROOM

    def _is_short_of_runs(self) -> bool:
        wanted = self._tally.missing + (self._hedge is _Hedge.ASKED)
        return len(self._runs) < wanted and self._may_begin()

    def _may_begin(self) -> bool:
        """Whether one more attempt is allowed, and of any use."""
        if self._history.final is not None:
            return False
        left = math.inf
        if self._route.max_attempts is not None:
            left = self._route.max_attempts - self._history.asked - len(self._runs)
        # Half-open ones may open before the deadline too.
        reachable = sum(at is not None and (at < self._deadline or math.isinf(at)) for at in self._opens())
        return left > 0 and len(self._runs) + min(left, reachable) >= self._tally.missing

    def _begin(self, candidate: _Queued) -> None:
        account = candidate.account
        least = least_time(account)
        # What a job that took too long has left over is too little to order the next one with.
        is_remnant = self._history.asked > 0 and self._deadline - now() < least + _TIMER_SLACK
        if not is_remnant and self._allot(account, account.settings.timeout) >= least:
            run = AttemptRunner(
                account,
                self._task,
                self._desk,
                submission=self._submission,
                progress=self._progress,
                allot=partial(self._allot, account),
                is_early=not account.admission.is_open,
            )
            self._runs[run] = candidate
        else:
            self._history.was_too_short = True

    def _allot(self, account: Account, limit: float | None) -> float:
        """The seconds that an account may take of what is left."""
        # One that cools for longer has no claim, though a probe of it may go earlier.
        opens = (candidate.opens_at for candidate in self._candidates)
        others = sum(at is not None and at < self._deadline for at in opens)
        typical = account.speeds[self._task.kind].typical_time()
        return time_for(self._deadline - now(), limit, others=others, typical=typical)

    def _hedge_where_due(self) -> None:
        due = self._hedge_due()
        if due is None or now() < due - _TIMER_SLACK or not self._may_begin():
            return
        if first_open(self._opens(), now()) is None:
            return
        slow = [run.account.settings.name for run in self._runs]
        if self._plan.hedges.take():
            self._hedge = _Hedge.ASKED
            log.info("%s: %s is slow, and another provider is asked as well", self._task.kind, *slow)
        else:
            self._hedge = _Hedge.OVER
            share = 100 * self._route.hedge_limit
            log.debug(
                "%s: %s is slow, and hedge_limit is %g%%: no other one is asked as well",
                self._task.kind,
                *slow,
                share,
            )

    def _hedge_due(self) -> float | None:
        """When a second provider is to be asked as well, None for never."""
        if self._hedge is not _Hedge.NOT_YET or len(self._runs) != 1:
            return None
        (run,) = self._runs
        delay = hedge_delay(self._route, run.account.speeds[self._task.kind])
        return None if run.began is None or delay is None else run.began + delay

    def _can_wait(self) -> bool:
        """Whether somebody can be asked later, now that nobody is being asked."""
        return bool(self._candidates) and now() < self._deadline - _TIMER_SLACK and self._may_begin()

    def _may_still_come(self) -> bool:
        """Whether a job of this solve may yet be done that had less time than the solve, for others' sake."""
        if self._history.final is not None or now() >= self._deadline - _TIMER_SLACK:
            return False
        return any(run.account.settings.timeout is None for run in self._given_up)

    def _ran_short(self) -> bool:
        """Whether it was the deadline that ended the solve."""
        reach = _TIMER_SLACK
        if self._last is not None and self._history.ended_with(JobTimeout):
            # A job is given up when there is no time for one more question.
            reach += 2 * last_call(self._last)
        return self._history.was_too_short_for_all or now() >= self._deadline - reach

    async def _next_ended(self) -> None:
        """Wait until something happens that may change what to do, and note which runs have ended."""
        change = self._desk.changes.next()
        awaited: set[asyncio.Future[Any]] = {change, *(run.ending for run in self._runs)}
        awaited.update(run.late.coming for run in self._given_up if run.late is not None)
        if self._route.hedge_after is not None and self._hedge is _Hedge.NOT_YET:
            # From its beginning on it is known when a second one is due.
            awaited |= {run.beginning for run in self._runs if run.began is None}
        try:
            await asyncio.wait(awaited, timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            change.cancel()
        for run in [run for run in self._runs if run.ending.done()]:
            # Who answers in the same moment as the winner is overtaken like any other.
            if self._tally.winner is None:
                self._take(run)
        for run in list(self._given_up):
            if self._tally.winner is None:
                self._take_late(run)

    def _take_late(self, run: AttemptRunner) -> None:
        """Count an answer of this solve that came too late for its attempt."""
        if run.late is None or not run.late.coming.done():
            return
        place, outcome = self._given_up.pop(run), run.late.coming.result()
        run.late.forget()
        ended = run.ended_late(outcome)
        self._history.replace(place, ended)
        if ended.solved is not None:
            self._tally.add(ended.solved.solution)

    def _patience(self) -> float | None:
        """How long nothing needs to be looked at but the runs, in seconds; None for as long as they last."""
        moment = now()
        # A run keeps to the deadline by itself, and has the last word.
        times: list[float | None] = [] if self._runs else [self._deadline]
        due = self._hedge_due()
        if self._is_short_of_runs() or (due is not None and due <= moment):
            times += self._opens()
        times.append(due)
        soonest = min((at for at in times if at is not None and at > moment), default=math.inf)
        # Rounding must not let a timer fire again and again just before its time.
        return None if math.isinf(soonest) else max(soonest - moment, 0.001)

    def _take(self, run: AttemptRunner) -> None:
        candidate = self._runs.pop(run)
        ended = run.ending.result()
        if ended is None:
            self._put_back(candidate)
            return
        # Not the run, for it holds this solve, and both would keep the picture.
        self._last = run.account
        if self._hedge is _Hedge.ASKED:
            self._hedge = _Hedge.OVER
        place = self._history.add(ended)
        if run.late is not None:
            self._given_up[run] = place
        if ended.solved is not None:
            self._tally.add(ended.solved.solution)
        elif ended.attempt.error is not None:
            self._after(candidate, run, ended.attempt.error)
            self._tell_what_follows(candidate, ended.attempt.error)

    def _tell_what_follows(self, failed: _Queued, error: ProviderError) -> None:
        has_others = any(candidate is not failed for candidate in self._candidates)
        if self._runs or (has_others and self._may_begin()):
            event: type[FellBack | Retrying] = FellBack
        elif failed in self._candidates and self._can_wait():
            event = Retrying
        else:
            return
        provider = failed.account.settings.name
        solve, kind = self._submission.id, self._task.kind
        self._desk.dispatcher.emit(
            lambda at: event(at=at, solve=solve, kind=kind, provider=provider, error=error)
        )

    def _after(self, candidate: _Queued, run: AttemptRunner, error: ProviderError) -> None:
        following = next_step(error, self._route, has_job=run.job_id is not None)
        if following is Then.STOP:
            self._history.end_with(error)
        elif following in (Then.LATER, Then.RETRY):
            if following is Then.RETRY:
                self._history.only = error
                self._sole = candidate
                self._candidates.clear()
            self._put_off(candidate, error)

    def _put_off(self, candidate: _Queued, error: ProviderError) -> None:
        """Let the others go first, and this one again after a pause that leaves time for one more try."""
        candidate.tries += 1
        candidate.rank += len(self._plan.accounts)
        # For one that can't be reached one probe goes for all, and one that is busy says so to all at once:
        # no solve has to stay away for long.
        is_shared = isinstance(error, (ServiceBusy, ServiceUnavailable))
        tries = min(candidate.tries, _TRIES_THAT_GROW) if is_shared else candidate.tries
        pause = backoff(tries, error, chance=self._desk.chance())
        latest = self._latest(candidate)
        shortest = min(pause / 2, backoff(1)) if is_shared else pause / 2
        shortest = max(shortest, getattr(error, "retry_after", None) or 0.0)
        if candidate.tries > 1 and now() + shortest < latest < now() + pause:
            candidate.not_before = latest
        else:
            candidate.not_before = max(now() + pause, candidate.account.admission.next_turn)
        # Whose turn is known to come too late is not waited for.
        if candidate.not_before <= latest:
            self._put_back(candidate)

    def _put_back(self, candidate: _Queued) -> None:
        if self._sole not in (None, candidate):
            return
        self._candidates.append(candidate)
        self._candidates.sort(key=lambda one: one.rank)

    def _overtaken(self, why: str) -> Sequence[Attempt]:
        return [run.attempt(Overtaken(why)) for run in self._runs if run.may_be_ordered]

    async def _leave(self) -> None:
        """Let what may be paid for go on where there is an answer; end the rest."""
        has_answer = self._tally.winner is not None
        for run in (*self._runs, *self._given_up):
            if run.late is not None:
                run.late.forget()
        ending: list[asyncio.Task[Any]] = []
        for run in self._runs:
            if has_answer and run.may_be_ordered:
                run.is_overtaken = True
                self._desk.background.track(run.ending)
            else:
                ending.append(run.ending)
                run.leave_answer()
        # Each holds this solve.
        self._runs.clear()
        self._given_up.clear()
        if not has_answer and self._submission.undelivered.is_holding:
            self._desk.background.start(self._submission.undelivered.hand_over())
        await cancel_all(ending)
