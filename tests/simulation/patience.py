"""Checks that a solve with time and a provider left does not fail, and calls providers while it waits."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from math import inf

import attrs

from captchahub.errors import (
    AllProvidersFailed,
    AmbiguousCreate,
    Attempt,
    BudgetExceeded,
    JobTimeout,
    JournalError,
    NotAsked,
    Outvoted,
    PriceUnknown,
    RateLimited,
    ServiceUnavailable,
)
from captchahub.results import ProviderState, Result
from captchahub.settings import Otherwise, ProviderSettings, RouteSettings
from captchahub.tasks import Solution
from captchahub.testing.emulation import picture_hash
from tests.simulation.accounts import Account
from tests.simulation.call_outcomes import LONGEST_PAUSE
from tests.simulation.environment import Environment
from tests.simulation.pictures import picture_of, task_of
from tests.simulation.process import Process, last_turn
from tests.simulation.rates import longest_wait
from tests.simulation.service_types import number_of

__all__ = ["Waited", "could_be_called"]

# The time that one more attempt needs besides the delay of its first poll, in seconds: the pause that a
# service may ask for, and one poll.
_ONE_POLL = 1.2
_NEEDED = LONGEST_PAUSE + _ONE_POLL
# While a solve waits, a provider is called at least this often, in seconds: the longest backoff, and a slow
# disk.
_LONGEST_PAUSE_BETWEEN_CALLS = 12.0
# The last poll is sent at most this long before the time is up, in seconds; errors state rounded times.
_LAST_POLL = 1.0 + 0.1
_FINAL_REFUSALS = (BudgetExceeded, PriceUnknown, JournalError)


def could_be_called(
    attempts: Sequence[Attempt],
    route: RouteSettings,
    usable: Collection[str],
    was_turned_away: Callable[[str], bool],
) -> Collection[str]:
    """Return the providers that a failed solve could still have called, if that might have helped it.

    ``usable`` are those that have not refused the account, and could take a job in time. One that
    ``was_turned_away`` can be called again, whatever the attempt says.
    """
    if any(_ends_all(attempt, route) for attempt in attempts):
        return ()
    tried = {
        attempt.provider
        for attempt in attempts
        if not _leaves_open(attempt)
        and (isinstance(attempt.error, NotAsked) or not was_turned_away(attempt.provider))
    }
    names = [name for name in route.names if name in usable and name not in tried]
    called = sum(not isinstance(attempt.error, NotAsked) for attempt in attempts)
    allowed = inf if route.max_attempts is None else route.max_attempts - called
    has_answer = any(isinstance(attempt.error, (Outvoted, type(None))) for attempt in attempts)
    return names if names and min(len(names), allowed) >= route.agree - has_answer else ()


def _ends_all(attempt: Attempt, route: RouteSettings) -> bool:
    if isinstance(attempt.error, AmbiguousCreate):
        return route.on_ambiguous is Otherwise.FAIL
    return isinstance(attempt.error, JobTimeout) and route.on_timeout is Otherwise.FAIL


def _leaves_open(attempt: Attempt) -> bool:
    """Return whether the provider can be called for the same task again, because it has no job of it."""
    error = attempt.error
    if isinstance(error, ServiceUnavailable):
        return error.nothing_created and attempt.job_id is None
    is_passing = isinstance(error, (RateLimited, NotAsked)) and not isinstance(error, _FINAL_REFUSALS)
    return is_passing and attempt.job_id is None


@attrs.frozen
class Waited:
    """A solve that has ended: its process, picture, start and timeout."""

    environment: Environment
    process: Process
    picture: int
    began: float
    timeout: float

    def check(self, outcome: Result[Solution] | BaseException) -> None:
        """Check that it was right to end in this way, and at this time."""
        if self.process.was_stalled:
            return
        if isinstance(outcome, AllProvidersFailed):
            self._refuse_to_give_up(outcome)
        if isinstance(outcome, (Result, AllProvidersFailed)):
            self._others_accounts(outcome.attempts)
            self._turns(outcome.attempts)
            self._jobs_given_up(outcome.attempts)
            self._answers_that_came(outcome.attempts)
        self._calls_while_it_waits()

    @property
    def _route(self) -> RouteSettings:
        return self.environment.settings.routes[task_of(self.picture).kind]

    @property
    def _now(self) -> float:
        return self.environment.loop.time()

    def _refuse_to_give_up(self, error: AllProvidersFailed) -> None:
        left = self.began + self.timeout - self._now
        usable = {name for name, own in self._usable() if self._is_enough(left, own)}
        monitor, picture, since = self.process.monitor, self.picture, self.began
        names = could_be_called(
            error.attempts, self._route, usable, lambda name: monitor.was_turned_away(name, picture, since)
        )
        if names:
            self.environment.world.report_violation(
                f"{self.process.name} gave up with {left:.1f} s left, and {names} could be called: {error}"
            )

    def _is_enough(self, left: float, own: ProviderSettings) -> bool:
        """Return whether so many seconds are enough for a job at a provider."""
        wait = self.environment.configured.service_types[own.name].wait
        # All others that wait for the rate may come before.
        turns = self.environment.log.running + 1
        turn = 0.0 if own.rate is None else longest_wait(own.rate) * math.ceil(turns / own.rate.jobs)
        return left > turn + _NEEDED + wait and (own.timeout is None or own.timeout > wait + _ONE_POLL)

    def _usable(self) -> Iterable[tuple[str, ProviderSettings]]:
        """Yield the providers that are not out. One that is out must have been refused by its service."""
        for name in self._route.names:
            health_snapshot = self.process.health_snapshot(name)
            if health_snapshot is None:
                continue
            if health_snapshot.state is ProviderState.OUT:
                refused = {one for service in self.environment.named(name) for one in service.refused}
                if health_snapshot.is_elsewhere:
                    is_right = any(one.name in refused for one in self._others_with_account(name))
                else:
                    is_right = self.process.name in refused
                if not is_right:
                    self.environment.world.report_violation(
                        f"{name} is out for {self.process.name}, and its service has not refused the account"
                    )
            elif not self.process.monitor.is_blocked(name, self.began):
                yield name, self.environment.settings.providers[name]

    def _others_with_account(self, name: str) -> Iterable[Process]:
        """Yield the other processes that may have the same account under a name."""
        own = self.process.accounts
        for other in self.environment.world.processes:
            is_same = own is None or any(other.may_have(one) for one in own if one.provider == name)
            if other is not self.process and is_same:
                yield other

    def _turns(self, attempts: Iterable[Attempt]) -> None:
        """Check that a solve which got no turn of a rate did not wait while no process had one."""
        environment, world = self.environment, self.environment.world
        # A grant that comes late, or not at all, is lost for a period.
        if not world.has_reliable_clock or environment.journal.may_fail or environment.journal.is_slow:
            return
        for attempt in attempts:
            is_refused = isinstance(attempt.error, NotAsked) and "the rate is" in str(attempt.error)
            rate = environment.settings.providers[attempt.provider].rate if is_refused else None
            # A hub forgets the turns of an account that it has no more.
            if rate is None or any(one.version is None for one in world.processes):
                continue
            world.count("solve without a turn of a rate")
            since = self.began - longest_wait(rate)
            if last_turn(world.processes, self.process, attempt.provider) < since:
                world.report_violation(
                    f"{self.process.name} got no turn, and no process had one since {since:.1f} s: {attempt}"
                )

    def _accounts(self, name: str) -> Iterable[Account]:
        """Yield the accounts that a name may mean in this process."""
        for accounts in self.environment.configured.accounts:
            if self.process.may_have(accounts[name]):
                yield accounts[name]

    def _others_accounts(self, attempts: Iterable[Attempt]) -> None:
        """Check that neither jobs nor costs of another account keep a solve from creating a job."""
        journal, world = self.environment.journal, self.environment.world
        for attempt in attempts:
            error = attempt.error
            if isinstance(error, BudgetExceeded):
                most = journal.may_count(
                    attempt.provider if error.budget == attempt.provider else None, self.process
                )
                if error.spent > most:
                    world.report_violation(
                        f"{self.process.name} counted {error.spent}, and its accounts have {most}: {error}"
                    )
            elif (
                isinstance(error, NotAsked)
                and "a job for an equal task is under way" in str(error)
                and world.has_reliable_clock
            ):
                since = world.wall() - (self._now - self.began)
                if not journal.has_equal(task_of(self.picture).fingerprint, self.process, since):
                    world.report_violation(
                        f"{self.process.name} waited for a job of another account: {error}"
                    )

    def _jobs_given_up(self, attempts: Iterable[Attempt]) -> None:
        """Check that a job is not given up without a poll shortly before its timeout."""
        for attempt in attempts:
            if not isinstance(attempt.error, JobTimeout) or attempt.job_id is None:
                continue
            number = number_of(attempt.job_id)
            service = self.environment.service(attempt.provider, number)
            job, given = service.jobs[number], re.search(r"within ([\d.]+) s", str(attempt.error))
            # A job that was taken over was created earlier.
            is_own = service.taken_from[number] == self.process.name and job.created_at >= self.began
            if given is None or not is_own or number in service.troubled or number in service.attached:
                continue
            polled = self.process.monitor.polled.get((attempt.provider, number), job.created_at)
            early = job.created_at + float(given[1]) - polled
            if early > _LAST_POLL:
                self.environment.world.report_violation(
                    f"the last question was sent {early:.1f} s before the end of {attempt}"
                )

    def _answers_that_came(self, attempts: Iterable[Attempt]) -> None:
        """Check that the late answer of one of its own jobs ends a solve."""
        task = task_of(self.picture)
        if self._route.agree > 1:
            return
        for attempt in attempts:
            if not isinstance(attempt.error, JobTimeout) or attempt.job_id is None:
                continue
            number = number_of(attempt.job_id)
            came = self.process.monitor.answers.get((attempt.provider, number))
            service = self.environment.service(attempt.provider, number)
            solution = service.jobs[number].solution
            # A hub that attaches to a job, or resumes it, polls it as well.
            if (
                number in service.attached
                or came is None
                or solution is None
                or task.check(task.complete(solution)) is not None
            ):
                continue
            if came < self._now - 1:
                early = f"{self._now - came:.1f} s before the end of its own solve"
                self.environment.world.report_violation(
                    f"the answer of job {number} of {attempt.provider} came {early}"
                )

    def _calls_while_it_waits(self) -> None:
        """Check that a solve with a single provider, or another solve of its hub, keeps calling it."""
        if len(self._route.names) != 1:
            return
        (name,) = self._route.names
        own, services = self.environment.settings.providers[name], self.environment.named(name)
        picture = picture_hash(picture_of(self.picture))
        if own.max_in_flight < 50 or self.environment.world.solves[picture] > 1:
            return
        if self.process.monitor.is_blocked(name, self.began):
            return
        jobs = [job for service in services for job in service.jobs.values()]
        until = min([*(job.created_at for job in jobs if job.picture == picture), self._now])
        # The rate is used up by all processes.
        others = (
            []
            if own.rate is None
            else [at for one in self._accounts(name) for at in self.environment.rates.sent(one)]
        )
        pause = self.process.monitor.longest_pause(services, self.began, until, others)
        if own.rate is not None:
            self.environment.world.count("solve that waited for a rate alone")
        if pause > _LONGEST_PAUSE_BETWEEN_CALLS + (0 if own.rate is None else longest_wait(own.rate)):
            self.environment.world.report_violation(
                f"a solve of {self.process.name} waited for {name}, which was not called for {pause:.1f} s"
            )
