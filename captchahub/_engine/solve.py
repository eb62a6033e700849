"""One solve: which provider to call now, whether to call a second one as well, and when to stop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from enum import Enum
from typing import Generic, TypeVar, cast

import attrs

from captchahub._engine.attempt import AttemptRunner
from captchahub._engine.context import AttemptOutcome, EngineServices, SolveInfo
from captchahub._engine.history import AttemptHistory
from captchahub._engine.late_answers import LateAnswer
from captchahub._engine.local_attempt import LocalAttempt
from captchahub._engine.remote_attempt import RemoteAttempt
from captchahub._policy.error_table import Then
from captchahub._policy.fallback import next_step
from captchahub._policy.scheduling import HedgeBudget, backoff, first_open, hedge_delay, time_for
from captchahub._policy.voting import Tally
from captchahub._providers.account import Account, RemoteAccount, read_due_price_lists
from captchahub._support.background import cancel_all
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub.errors import JobTimeout, ProviderError, ServiceBusy, ServiceUnavailable
from captchahub.results import Result
from captchahub.settings import RouteSettings, Strategy
from captchahub.tasks import Solution

S = TypeVar("S", bound=Solution)

# How long a solve waits for price lists, in seconds. It is one small reply; most of the time is for the job.
_LONGEST_PRICE_WAIT = 2.0

# A loop's timers may fire a moment early, in seconds.
_TIMER_SLACK = 0.01

# They may fire late too, so the last attempt begins this much before the latest possible time, in seconds.
_HEADROOM = 0.1

# If all solves meet the same trouble, the pause of each grows with this many tries and no longer.
_TRIES_THAT_GROW = 4


@attrs.frozen
class SolvePlan:
    """The route of one kind of task, its accounts by name, and what its hedges may still spend."""

    route: RouteSettings
    accounts: Mapping[str, Account]
    hedges: HedgeBudget


@attrs.define(eq=False)
class _Queued:
    """A provider that can still be called. ``rank`` is its place among the others."""

    account: Account
    rank: int
    not_before: float = 0.0
    tries: int = 0
    looks: int = 0
    """How often in a row it was not called because a job for an equal task was under way."""

    @property
    def opens_at(self) -> float | None:
        """From when it may be called, as its health says too, in the loop's time; or None for never."""
        healthy_from = self.account.admission.health.opens_at
        return None if healthy_from is None else max(healthy_from, self.not_before)

    def opens_early_at(self, latest: float) -> float | None:
        """The same if no other provider can be called, and a job must be created by ``latest``."""
        healthy_from = self.account.admission.health.opens_early_at(latest)
        return None if healthy_from is None else max(healthy_from, self.not_before)


@attrs.frozen(eq=False)
class _Running:
    """An attempt under way."""

    runner: AttemptRunner[Account]
    queued: _Queued
    task: asyncio.Task[AttemptOutcome | None]

    @property
    def has_answer(self) -> bool:
        """Whether it has ended with an answer."""
        if not self.task.done() or self.task.cancelled() or self.task.exception() is not None:
            return False
        outcome = self.task.result()
        return outcome is not None and outcome.solved is not None


@attrs.frozen(eq=False)
class _GivenUp:
    """An attempt that has taken too long and may still bring an answer; ``place`` is that in the history."""

    runner: AttemptRunner[Account]
    place: int
    late: LateAnswer


class _Hedge(Enum):
    """Whether a second provider is called while the first still works."""

    NOT_YET = "not yet"
    STARTED = "a second one was called"
    OVER = "not again"


class Solve(Generic[S]):
    """A task on its way through the providers of its route."""

    def __init__(
        self, plan: SolvePlan, info: SolveInfo[S], services: EngineServices, *, timeout: float
    ) -> None:
        self._plan = plan
        self._route = plan.route
        self._info = info
        self._services = services
        self._timeout = timeout
        begun = now()
        self._deadline = begun + timeout
        self._accounts: Sequence[Account] = ()
        """Those that this solve may call, in order."""
        self._queue: list[_Queued] = []
        self._running: list[_Running] = []
        self._given_up: list[_GivenUp] = []
        self._kind = info.task.kind
        self._tally: Tally[Solution] = Tally(plan.route.agree, info.task.agrees)
        self._history = AttemptHistory(info, plan.route, begun=begun, timeout=timeout)
        self._hedge = _Hedge.OVER if plan.route.hedge_after is None else _Hedge.NOT_YET
        self._only_provider: _Queued | None = None
        """The only provider that may be called again, after an error for which the route allows no other."""
        self._last: Account | None = None
        self._in_use = ExitStack()
        """What is used until the solve ends."""
        self._patient_until: float | None = None
        """Until when a job for an equal task is waited for in place of other providers, in the loop's time.
        None before the first one."""
        self._equal_ended = False
        """Whether a job for an equal task may have ended since the latest attempt was started."""
        # Set by whatever may change what to do: an attempt, a late answer, the health of a provider, a timer.
        change = self._change = asyncio.Event()
        # As the callback of a task, which must not hold the solve for as long as the task goes on.
        self._wake: Callable[[object], None] = lambda _: change.set()

    async def run(self) -> Result[S]:
        """Return the result.

        Raises :class:`~captchahub.errors.AllProvidersFailed`, or :class:`~captchahub.errors.TaskError` if the
        caller's own mistake ends the solve.
        """
        self._services.changes.add(self._change)
        try:
            with self._in_use as in_use:
                # Also those that are not called yet, because a reload closes an account that is not in use.
                for account in self._plan.accounts.values():
                    in_use.enter_context(account.usage)
                await self._queue_providers()
                while self._tally.winner is None:
                    self._stop_waiting_for_closed()
                    self._start_attempts()
                    if not self._running and not self._can_wait() and not self._may_still_come():
                        ran_short = self._ran_short()
                        raise self._history.failure(self._accounts, self._tally, ran_short=ran_short)
                    await self._wait_for_change()
                    self._take_ended()
                self._info.undelivered.answered()
                overtaken = [run.runner for run in self._running if run.runner.may_have_job]
                return self._history.result(
                    self._tally, lambda why: [runner.overtaken(why) for runner in overtaken]
                )
        finally:
            self._services.changes.remove(self._change)
            await self._leave()
            # The frames of an error that is raised from here hold this solve, and it holds attempts and their
            # errors. Such a cycle would keep the picture, of which there may be thousands, until the next
            # garbage collection. All that lasts longer than a solve (accounts, background tasks, records)
            # holds neither the solve nor its task.
            self._running.clear()
            self._given_up.clear()
            self._history.forget()

    async def _queue_providers(self) -> None:
        """Choose the order in which the providers are called."""
        kind, accounts, services = self._kind, self._plan.accounts, self._services
        needs_prices = self._route.strategy is Strategy.CHEAPEST
        if needs_prices or any(map(services.journal.has_budget_for, accounts)):
            patience = min(_LONGEST_PRICE_WAIT, self._timeout / 4)
            await read_due_price_lists(kind, [*accounts.values()], services.background, patience)
        self._accounts = [*accounts.values()]
        if len(accounts) > 1:
            candidates = [account.candidate(kind) for account in self._accounts]
            names = services.hooks.order_providers(self._info.task, self._route, candidates, services.chance)
            self._accounts = [accounts[name] for name in names]
        self._queue = [_Queued(account, rank) for rank, account in enumerate(self._accounts)]
        self._plan.hedges.count_solve()

    def _stop_waiting_for_closed(self) -> None:
        """Stop attempts that wait for a provider whose circuit breaker has opened meanwhile."""
        for run in [run for run in self._running if run.runner.began is None]:
            if not run.runner.may_wait:
                run.task.cancel()
                self._running.remove(run)
                self._put_back(run.queued)

    def _start_attempts(self) -> None:
        """Call as many providers as are wanted and ready."""
        self._hedge_if_due()
        while self._is_short():
            opens = self._opening_times()
            place = first_open(opens, now()) if self._may_start(opens) else None
            if place is None:
                return
            self._start(self._queue.pop(place))

    def _opening_times(self) -> list[float | None]:
        """Return from when each provider may be called; earlier if there are too few that are healthy."""
        ready = len(self._running) + sum(queued.account.admission.admits() for queued in self._queue)
        if ready >= self._tally.missing:
            return [queued.opens_at for queued in self._queue]
        return [queued.opens_early_at(self._latest_start(queued)) for queued in self._queue]

    def _latest_start(self, queued: _Queued) -> float:
        """Return when the last attempt can begin there."""
        return self._deadline - queued.account.least_time - _HEADROOM

    def _is_short(self) -> bool:
        """Return whether fewer providers are being called than are wanted."""
        wanted = self._tally.missing + (self._hedge is _Hedge.STARTED)
        return len(self._running) < wanted

    def _may_start(self, opens: Sequence[float | None]) -> bool:
        """Return whether one more attempt is allowed and useful. ``opens`` is when each provider opens."""
        if not opens or self._history.stop_error is not None:
            return False
        left = math.inf
        if self._route.max_attempts is not None:
            left = self._route.max_attempts - self._history.attempted - len(self._running)
        # Half-open ones may open before the deadline too.
        reachable = sum(at is not None and (at < self._deadline or math.isinf(at)) for at in opens)
        return left > 0 and len(self._running) + min(left, reachable) >= self._tally.missing

    def _start(self, queued: _Queued) -> None:
        account, left = queued.account, self._deadline - now()
        # What a job that took too long has left over is too little for the next one.
        is_remnant = self._history.attempted > 0 and left < account.least_time + _TIMER_SLACK
        # A look needs no time.
        is_too_short = is_remnant or self._allot(account, account.settings.timeout) < account.least_time
        if is_too_short and not queued.looks:
            self._history.was_too_short = True
            return
        attempt = RemoteAttempt if isinstance(account, RemoteAccount) else LocalAttempt
        # A second provider is due from its beginning on, and otherwise nothing is.
        self._equal_ended = False
        on_begin = None if self._route.hedge_after is None else self._change.set
        is_early = not account.admission.admits()
        runner = cast("type[AttemptRunner[Account]]", attempt)(
            account,
            self._info,
            self._services,
            self._allot,
            on_begin,
            patient_until=self._patient_until,
            is_early=is_early,
        )
        task = asyncio.get_running_loop().create_task(runner.run())
        task.add_done_callback(self._wake)
        self._running.append(_Running(runner, queued, task))

    def _allot(self, account: Account, limit: float | None) -> float:
        """Return the share of the remaining time that an account may use, in seconds."""
        # One that cools for longer has no claim, though a probe of it may go earlier.
        opens = [queued.opens_at for queued in self._queue]
        others = sum(at is not None and at < self._deadline for at in opens)
        typical = account.speed[self._kind].latency.typical_time()
        return time_for(self._deadline - now(), limit, others=others, typical=typical)

    def _hedge_if_due(self) -> None:
        due = self._hedge_due()
        if due is None or now() < due - _TIMER_SLACK:
            return
        opens = self._opening_times()
        if not self._may_start(opens) or first_open(opens, now()) is None:
            return
        slow = [run.runner.account.name for run in self._running]
        if self._plan.hedges.take():
            self._hedge = _Hedge.STARTED
            log.info("%s: %s is slow, and another provider is called as well", self._kind, *slow)
        else:
            self._hedge = _Hedge.OVER
            share = 100 * self._route.hedge_limit
            log.debug(
                "%s: %s is slow, and hedge_limit is %g%%: no other one is called",
                self._kind,
                *slow,
                share,
            )

    def _hedge_due(self) -> float | None:
        """Return when a second provider is due besides the first, in the loop's time, or None for never."""
        if self._hedge is not _Hedge.NOT_YET or len(self._running) != 1:
            return None
        runner = self._running[0].runner
        delay = hedge_delay(self._route, runner.account.speed[self._kind].latency)
        return None if runner.began is None or delay is None else runner.began + delay

    def _can_wait(self) -> bool:
        """Return whether a provider can be called later, now that none is being called."""
        return now() < self._deadline - _TIMER_SLACK and self._may_start(self._opening_times())

    def _may_still_come(self) -> bool:
        """Return whether a job may still be done whose attempt got only a share of the solve's time."""
        if self._history.stop_error is not None or now() >= self._deadline - _TIMER_SLACK:
            return False
        return any(one.runner.account.settings.timeout is None for one in self._given_up)

    def _ran_short(self) -> bool:
        """Return whether it was the deadline that ended the solve."""
        reach = _TIMER_SLACK
        if self._last is not None and self._history.ended_with(JobTimeout):
            # A job is given up when there is no time for one more poll.
            reach += 2 * self._last.last_poll_margin
        return self._history.was_too_short_for_all or now() >= self._deadline - reach

    async def _wait_for_change(self) -> None:
        """Wait until something happens that may change what to do."""
        patience = self._patience()
        timer = None
        if patience is not None:
            timer = asyncio.get_running_loop().call_later(patience, self._change.set)
        try:
            await self._change.wait()
        finally:
            self._change.clear()
            if timer is not None:
                timer.cancel()

    def _take_ended(self) -> None:
        """Take the outcomes of attempts that have ended, and the late answers that have come."""
        # An answer that comes in the same moment as the winner's is overtaken like any other.
        for run in [run for run in self._running if run.task.done()]:
            if self._tally.winner is None:
                self._take(run)
        for given_up in [one for one in self._given_up if one.late.future.done()]:
            if self._tally.winner is None:
                self._take_late(given_up)

    def _take(self, run: _Running) -> None:
        self._running.remove(run)
        runner, outcome = run.runner, run.task.result()
        if runner.waits_for_equal:
            self._wait_for_equal(run.queued)
            return
        run.queued.looks = 0
        if outcome is None:
            self._put_back(run.queued)
            return
        self._last = runner.account
        if self._hedge is _Hedge.STARTED:
            self._hedge = _Hedge.OVER
        place = self._history.add(outcome)
        if runner.late_answer is not None:
            self._given_up.append(_GivenUp(runner, place, runner.late_answer))
            runner.late_answer.future.add_done_callback(self._wake)
        if outcome.solved is not None:
            self._tally.add(outcome.solved.solution)
        elif outcome.attempt.error is not None:
            self._follow_error(run.queued, outcome.attempt.error, has_job=runner.job_id is not None)

    def _take_late(self, given_up: _GivenUp) -> None:
        """Count an answer of this solve that came too late for its attempt."""
        self._given_up.remove(given_up)
        outcome = given_up.runner.outcome_with(given_up.late.future.result())
        given_up.late.forget()
        self._history.replace(given_up.place, outcome)
        if outcome.solved is not None:
            self._tally.add(outcome.solved.solution)

    def _patience(self) -> float | None:
        """Return how long nothing but attempts can change what to do, in seconds, or None for no limit."""
        moment = now()
        # An attempt keeps to the deadline by itself, and has the last word.
        times: list[float | None] = [] if self._running else [self._deadline]
        due = self._hedge_due()
        is_due = due is not None and due <= moment
        if self._queue and (is_due or self._is_short()):
            opens = self._opening_times()
            times += opens if is_due or self._may_start(opens) else []
        times.append(due)
        soonest = min((at for at in times if at is not None and at > moment), default=math.inf)
        # Rounding must not let a timer fire again and again just before its time.
        return None if math.isinf(soonest) else max(soonest - moment, 0.001)

    def _follow_error(self, queued: _Queued, error: ProviderError, *, has_job: bool) -> None:
        """Decide which providers may be called after an error, and report what follows."""
        following = next_step(error, self._route, has_job=has_job)
        if following is Then.STOP:
            self._history.stop_with(error)
        elif following in (Then.LATER, Then.RETRY):
            if following is Then.RETRY:
                self._history.retry_error = error
                self._only_provider = queued
                self._queue.clear()
            self._put_off(queued, error)
        has_others = any(other is not queued for other in self._queue)
        if self._running or (has_others and self._may_start(self._opening_times())):
            self._info.events.fell_back(queued.account.name, error)
        elif queued in self._queue and self._can_wait():
            self._info.events.retrying(queued.account.name, error)

    def _wait_for_equal(self, queued: _Queued) -> None:
        """Look after a pause, or when it has ended, what became of a job for an equal task.

        It counts as a job at this provider: the others go on when its time is over.
        """
        if self._patient_until is None:
            self._patient_until = now() + self._allot(queued.account, queued.account.settings.timeout)
            if next_step(JobTimeout(""), self._route) is Then.STOP:
                self._patient_until = self._deadline
            watch = self._services.journal.watchers.watch
            self._in_use.enter_context(watch(self._info.fingerprint, self._look_for_equal))
            self._history.has_met_equal = True
            log.info("%s: a job for an equal task is under way, and its answer is waited for", self._kind)
        queued.looks += 1
        latest = self._deadline - _HEADROOM
        look_at = min(now() + backoff(queued.looks, chance=self._services.chance()), latest)
        if now() < self._patient_until:
            look_at = min(look_at, self._patient_until)
            for other in self._queue:
                other.not_before = max(other.not_before, look_at)
        queued.not_before = 0.0 if self._equal_ended else look_at
        if now() < latest:
            self._put_back(queued)
        else:
            self._history.was_too_short = True

    def _put_off(self, queued: _Queued, error: ProviderError) -> None:
        """Let the others go first, and this one again after a pause that leaves time for one more attempt."""
        queued.tries += 1
        queued.rank += len(self._accounts)
        # All solves of the hub send one probe together to a provider that can't be reached, and a busy one
        # replies the same to all of them: longer pauses of each solve would spare it no call.
        is_shared = isinstance(error, (ServiceBusy, ServiceUnavailable))
        tries = min(queued.tries, _TRIES_THAT_GROW) if is_shared else queued.tries
        pause = backoff(tries, error, chance=self._services.chance())
        latest = self._latest_start(queued)
        shortest = min(pause / 2, backoff(1)) if is_shared else pause / 2
        shortest = max(shortest, getattr(error, "retry_after", None) or 0.0)
        if queued.tries > 1 and now() + shortest < latest < now() + pause:
            queued.not_before = latest
        else:
            queued.not_before = max(now() + pause, queued.account.admission.next_turn)
        # A provider whose rate limit opens too late is not waited for.
        if queued.not_before <= latest:
            self._put_back(queued)

    def _look_for_equal(self) -> None:
        """Look at once, because a job for an equal task may have ended."""
        self._equal_ended = True
        for queued in self._queue:
            if queued.looks:
                queued.not_before = 0.0
                self._change.set()

    def _put_back(self, queued: _Queued) -> None:
        if self._only_provider not in (None, queued):
            return
        self._queue.append(queued)
        self._queue.sort(key=lambda one: one.rank)

    async def _leave(self) -> None:
        """End the attempts, except those whose job may be paid for if the solve has its answer already."""
        for runner in [*(run.runner for run in self._running), *(one.runner for one in self._given_up)]:
            if runner.late_answer is not None:
                runner.late_answer.forget()
        ending: list[asyncio.Task[AttemptOutcome | None]] = []
        has_answer = self._tally.winner is not None
        for run in self._running:
            if has_answer and run.runner.may_have_job:
                run.runner.is_overtaken = True
                self._services.background.track(run.task)
                continue
            ending.append(run.task)
            if run.has_answer:
                run.runner.abandon()
        undelivered = self._info.undelivered
        if not has_answer:
            self._services.background.start(undelivered.release())
        await cancel_all(ending)
