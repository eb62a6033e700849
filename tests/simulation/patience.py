"""That a solve with time left and somebody to ask does not fail, and asks while it waits."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
from tests.simulation.call_outcomes import LONGEST_PAUSE
from tests.simulation.environment import Environment
from tests.simulation.pictures import picture_of, task_of
from tests.simulation.process import Process
from tests.simulation.service_types import number_of

__all__ = ["Waited", "could_be_asked"]

# What one more attempt needs, in seconds, beside the time until the first question for its job: the pause
# that a service may ask for, and the time for a question.
_NEEDED = LONGEST_PAUSE + 1.2
# While a solve waits, somebody asks so often, in seconds: the longest pause of a backoff, and a slow disk.
_OFTEN = 12.0
# A last question is sent so long before the time is up at most, in seconds; times are told rounded.
_LAST_CALL = 1.0 + 0.1
_FINAL_REFUSALS = (BudgetExceeded, PriceUnknown, JournalError)


def could_be_asked(
    attempts: Sequence[Attempt],
    route: RouteSettings,
    usable: Mapping[str, ProviderSettings],
    was_turned_away: Callable[[str], bool],
) -> Collection[str]:
    """The providers that a solve which failed so could still have asked, where that might have helped it.

    ``usable`` are those that have not refused the account. Whose turn may come too late is not counted. One
    that ``was_turned_away`` can be asked again, whatever the attempt says.
    """
    if any(_ends_all(attempt, route) for attempt in attempts):
        return ()
    tried = {
        attempt.provider
        for attempt in attempts
        if not _leaves_open(attempt)
        and (isinstance(attempt.error, NotAsked) or not was_turned_away(attempt.provider))
    }
    names = [
        name for name in route.names if name in usable and name not in tried and usable[name].rate is None
    ]
    asked = sum(not isinstance(attempt.error, NotAsked) for attempt in attempts)
    allowed = inf if route.max_attempts is None else route.max_attempts - asked
    has_answer = any(isinstance(attempt.error, (Outvoted, type(None))) for attempt in attempts)
    return names if names and min(len(names), allowed) >= route.agree - has_answer else ()


def _ends_all(attempt: Attempt, route: RouteSettings) -> bool:
    if isinstance(attempt.error, AmbiguousCreate):
        return route.on_ambiguous is Otherwise.FAIL
    return isinstance(attempt.error, JobTimeout) and route.on_timeout is Otherwise.FAIL


def _leaves_open(attempt: Attempt) -> bool:
    """Whether the provider can be asked for the same task again: it has no job of it."""
    error = attempt.error
    if isinstance(error, ServiceUnavailable):
        return error.nothing_created and attempt.job_id is None
    is_passing = isinstance(error, (RateLimited, NotAsked)) and not isinstance(error, _FINAL_REFUSALS)
    return is_passing and attempt.job_id is None


@attrs.frozen
class Waited:
    """A solve that has ended: who waited for it, of which picture, from when, and how long it might take."""

    environment: Environment
    process: Process
    picture: int
    began: float
    timeout: float

    def check(self, told: Result[Solution] | BaseException) -> None:
        """See that it was right to end so, and then."""
        if self.process.was_stalled:
            return
        if isinstance(told, AllProvidersFailed):
            self._refuse_to_give_up(told)
        if isinstance(told, (Result, AllProvidersFailed)):
            self._others_accounts(told.attempts)
            self._jobs_given_up(told.attempts)
            self._answers_that_came(told.attempts)
        self._asks_while_it_waits()

    @property
    def _route(self) -> RouteSettings:
        return self.environment.settings.routes[task_of(self.picture).kind]

    @property
    def _now(self) -> float:
        return self.environment.loop.time()

    def _refuse_to_give_up(self, error: AllProvidersFailed) -> None:
        left = self.began + self.timeout - self._now
        makes = self.environment.configured.makes
        usable = {name: own for name, own in self._usable() if left > _NEEDED + makes[name].wait}
        monitor, picture, since = self.process.monitor, self.picture, self.began
        names = could_be_asked(
            error.attempts, self._route, usable, lambda name: monitor.was_turned_away(name, picture, since)
        )
        if names:
            self.environment.world.report_violation(
                f"{self.process.name} gave up with {left:.1f} s left, and {names} could be asked: {error}"
            )

    def _usable(self) -> Iterable[tuple[str, ProviderSettings]]:
        """The providers that are not out; one that is must have been told so by its service."""
        for name in self._route.names:
            health_snapshot = self.process.health_snapshot(name)
            if health_snapshot is None:
                continue
            if health_snapshot.state is ProviderState.OUT:
                if not any(self.process.name in service.refused for service in self.environment.named(name)):
                    self.environment.world.report_violation(
                        f"{name} is out for {self.process.name}, and its service has not refused the account"
                    )
            elif not self.process.monitor.is_blocked(name, self.began):
                yield name, self.environment.settings.providers[name]

    def _others_accounts(self, attempts: Iterable[Attempt]) -> None:
        """Neither what was ordered nor what was spent at another account keeps a solve from an order."""
        journal_file, world = self.environment.journal_file, self.environment.world
        for attempt in attempts:
            error = attempt.error
            if isinstance(error, BudgetExceeded):
                most = journal_file.may_count(
                    attempt.provider if error.budget == attempt.provider else None, self.process
                )
                if error.spent > most:
                    world.report_violation(
                        f"{self.process.name} counted {error.spent}, and its accounts have {most}: {error}"
                    )
            elif isinstance(error, NotAsked) and "another process" in str(error) and world.has_reliable_clock:
                since = world.wall() - (self._now - self.began)
                if not journal_file.has_equal(task_of(self.picture).fingerprint, self.process, since):
                    world.report_violation(
                        f"{self.process.name} waited for a job of another account: {error}"
                    )

    def _jobs_given_up(self, attempts: Iterable[Attempt]) -> None:
        """A job is not given up without a question at its latest time."""
        for attempt in attempts:
            if not isinstance(attempt.error, JobTimeout) or attempt.job_id is None:
                continue
            number = number_of(attempt.job_id)
            service = self.environment.service(attempt.provider, number)
            job, given = service.jobs[number], re.search(r"within ([\d.]+) s", str(attempt.error))
            # One that was taken over was created before.
            is_own = service.taken_from[number] == self.process.name and job.created_at >= self.began
            if given is None or not is_own or number in service.troubled or number in service.attached:
                continue
            asked = self.process.monitor.asked.get((attempt.provider, number), job.created_at)
            early = job.created_at + float(given[1]) - asked
            if early > _LAST_CALL:
                self.environment.world.report_violation(
                    f"the last question was sent {early:.1f} s before the end of {attempt}"
                )

    def _answers_that_came(self, attempts: Iterable[Attempt]) -> None:
        """The answer of a job of its own that it had given up ends it all the same."""
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
            # Whoever attaches to a job, or resumes it, asks for it as well.
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

    def _asks_while_it_waits(self) -> None:
        """A solve that has one provider only asks it again and again, or another one of its hub does."""
        if len(self._route.names) != 1:
            return
        (name,) = self._route.names
        own, services = self.environment.settings.providers[name], self.environment.named(name)
        picture = picture_hash(picture_of(self.picture))
        if own.rate is not None or own.max_in_flight < 50 or self.environment.world.solves[picture] > 1:
            return
        if self.process.monitor.is_blocked(name, self.began):
            return
        jobs = [job for service in services for job in service.jobs.values()]
        until = min([*(job.created_at for job in jobs if job.picture == picture), self._now])
        pause = self.process.monitor.longest_pause(services, self.began, until)
        if pause > _OFTEN:
            self.environment.world.report_violation(
                f"a solve of {self.process.name} waited for {name}, and nobody asked it for {pause:.1f} s"
            )
