"""After a run: compares the records of the services with the journal, and with what the callers received."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from math import inf
from typing import cast

import attrs
from attrs import AttrsInstance

from captchahub.errors import Attempt, JobFailed, JobTimeout, Outvoted, Overtaken, PluginFault, WrongSolution
from captchahub.jobs import JobEntry, JobState
from captchahub.provider import JobId
from captchahub.results import Result
from captchahub.tasks import SlideSolution, Solution
from captchahub.testing.emulation import JobRecord, picture_hash
from tests.simulation.environment import Environment
from tests.simulation.pictures import picture_of, task_of
from tests.simulation.service import Service
from tests.simulation.service_types import number_of
from tests.simulation.world import SimulatedWorld

__all__ = ["compare"]

_NO_JOB = {JobState.NOT_SENT, JobState.REFUSED}
_UNKNOWN = {JobState.INTENT, JobState.AMBIGUOUS}
# The errors with which a job can end an attempt. All others are errors of a poll, and polls are free.
_ENDS_A_JOB = (JobFailed, JobTimeout, WrongSolution, Outvoted, Overtaken, PluginFault)
# The longest timeout of a solve, in seconds.
_LONGEST = 120


def compare(environment: Environment, *, is_swept: bool) -> None:
    """Report what is wrong. ``is_swept`` is whether a last hub has collected what the others left."""
    audit = _Audit(environment, is_swept=is_swept)
    audit.ledger()
    audit.submissions()
    audit.jobs()
    audit.rows()
    audit.results()
    audit.shared()
    audit.collected()
    audit.attempts()
    audit.refused_answers()
    audit.pollers()
    audit.settled_by_hand()


class _Audit:
    def __init__(self, environment: Environment, *, is_swept: bool) -> None:
        self._world, self._journal_file, self._log = (
            environment.world,
            environment.journal,
            environment.log,
        )
        self._cache = environment.settings.cache
        self._environment = environment
        self._rows = rows = environment.journal.every_job()
        self._is_swept = is_swept
        self._may_fail = environment.journal.may_fail
        self._pictures = _Pictures(environment.world)
        self._row_of = {_job_of(row): row for row in rows if row.job_id is not None}
        self._given = {_job_of(one.result) for one in environment.log.results}

    def ledger(self) -> None:
        """Check that the ledger is never below what the services charged, and is the sum of the jobs."""
        for name in self._environment.settings.providers:
            ledger = self._journal_file.charged(name)
            owed = sum((service.owed for service in self._environment.named(name)), Decimal(0))
            if ledger < owed:
                self._world.report_violation(f"{name} has charged {owed}, and the ledger says {ledger}")
            total = sum((row.charge for row in self._rows if row.provider == name), Decimal(0))
            if ledger != total:
                self._world.report_violation(f"the ledger of {name} says {ledger}, and its jobs {total}")

    def submissions(self) -> None:
        """Check that no solve has two jobs at one provider, unless the first certainly does not exist."""
        orders = Counter((row.submission, row.provider) for row in self._rows if row.state not in _NO_JOB)
        for (submission, provider), count in orders.items():
            # On a bad disk the journal may not know that a job was refused.
            if count > 1 and not self._may_fail:
                self._world.report_violation(f"{submission} was ordered {count} times at {provider}")
        for service in self._environment.services:
            for picture, count in Counter(job.picture for job in service.jobs.values()).items():
                if count > self._world.solves[picture]:
                    self._world.report_violation(f"{service} has {count} jobs for one submission")

    def jobs(self) -> None:
        """Check that each job of the services is in the journal, under its id or as ambiguous."""
        unknown = Counter(
            (row.provider, self._pictures.of[row.fingerprint])
            for row in self._rows
            if row.job_id is None and self._may_be_taken(row)
        )
        for service in self._environment.services:
            name = service.name
            for job in service.jobs.values():
                row = self._row_of.get((name, job.id))
                if row is not None:
                    self._job(service, job, row)
                    continue
                key = name, job.picture
                unknown[key] -= 1
                if unknown[key] < 0 and (name, job.id) not in self._given:
                    self._world.report_violation(
                        f"job {job.id} of {name} is lost: the journal knows nothing of it"
                    )

    def _may_be_taken(self, row: JobEntry) -> bool:
        """Return whether there may be a job for an entry without an id."""
        if row.state in _UNKNOWN or (row.is_by_hand and row.state not in _NO_JOB):
            return True
        # A service that answers at once can fail at once, and returns no id then.
        return row.state is JobState.FAILED or (self._may_fail and row.state not in _NO_JOB)

    def _job(self, service: Service, job: JobRecord, row: JobEntry) -> None:
        """Check that a job with an answer is solved or can be collected."""
        which = f"job {job.id} of {service.name}"
        if self._pictures.of[row.fingerprint] != job.picture:
            self._world.report_violation(f"{which} is of another picture than the journal says")
        self._charge(service, job, row)
        if row.state in (JobState.SOLVED, JobState.CREATED) or row.is_by_hand:
            return
        if row.state is JobState.FAILED and self._pictures.is_answered(row.fingerprint, job.solution):
            self._world.report_violation(f"{which} has an answer, and is failed in the journal: {row.error}")
        if row.state is JobState.EXPIRED and job.id not in service.reported_unknown:
            self._world.report_violation(f"{which} is there, and expired in the journal")
        if row.state in _NO_JOB or row.state is JobState.INTENT:
            self._world.report_violation(f"{which} is {row.state.value} in the journal")

    def _charge(self, service: Service, job: JobRecord, row: JobEntry) -> None:
        """Check that the charge is what the answer stated, or else at least the known price."""
        if row.state is JobState.SOLVED and service.service_type.tells_cost and not row.is_by_hand:
            is_right = row.charge == job.price
        else:
            is_right = row.charge >= service.agreed(job)
        if not is_right:
            self._world.report_violation(
                f"job {job.id} of {service.name} has cost {job.price}, and {row.charge} is charged"
            )

    def rows(self) -> None:
        """Check what the journal says about each job."""
        for row in self._rows:
            which = f"job {row.job_id} of {row.provider}"
            job = None if row.job_id is None else self._environment.job(row.provider, number_of(row.job_id))
            if row.job_id is not None and job is None:
                self._world.report_violation(f"{which} is in the journal, and the service never took it")
            # A person settles a job without its answer.
            is_known = (row.job_id is not None or not self._may_fail) and not row.is_by_hand
            if row.state is JobState.SOLVED and is_known and (job is None or row.answer != _packed(job)):
                self._world.report_violation(f"{which} has the answer {row.answer} in the journal, not {job}")
            if self._is_swept:
                self._swept(row, job)

    def _swept(self, row: JobEntry, job: JobRecord | None) -> None:
        """Check that nothing is open after a last hub has collected, except jobs that take longer."""
        if row.state is JobState.INTENT:
            self._world.report_violation(f"no hub found the order {row.id} that its process left open")
        if (
            row.state is JobState.CREATED
            and job is not None
            and job.ready_at < self._log.given_up.get(row.id, inf) - 5
        ):
            self._world.report_violation(f"no hub collected job {job.id} of {row.provider}, which is done")

    def results(self) -> None:
        """Check that each result has the answer of its own picture, and that only one solve pays for it."""
        paid = Counter(_job_of(one.result) for one in self._log.results if not one.result.is_shared)
        for one in self._log.results:
            for provider, job_id, solution in _answers(one.result):
                self._answer(picture_hash(picture_of(one.picture)), provider, job_id, solution)
        twice = [job for job, count in paid.items() if count > 1 and job[1] is not None]
        # A process that was stalled goes on with what another one has taken over by then.
        if twice and self._world.has_reliable_leases:
            self._world.report_violation(f"several solves say that they have paid for {twice}")

    def shared(self) -> None:
        """Check that a shared answer is that of an equal task, costs nothing, and is not too old."""
        for one in self._log.results:
            row = self._row_of.get(_job_of(one.result))
            if row is None or not one.result.is_shared:
                continue
            self._world.count("answer of an equal task's job")
            if row.fingerprint != task_of(one.picture).fingerprint or not row.is_shared or one.result.cost:
                self._world.report_violation(f"{one} was shared, which is not {row}")
            # A solve that joins another one gets its answer, and that one may have begun earlier.
            since = one.begun - self._cache - (0 if one.result.attempts else _LONGEST)
            if self._world.has_reliable_clock and row.updated_at < since:
                self._world.report_violation(
                    f"the answer of job {row.job_id} was given for fresh {since} at {row}"
                )

    def _answer(self, picture: str, provider: str, job_id: JobId | None, solution: Solution) -> None:
        if job_id is None and self._may_fail:
            # The id was not written to the disk, so a solve that shares the job does not know it.
            return
        job = None if job_id is None else self._environment.job(provider, number_of(job_id))
        if job is None or job.picture != picture or job.solution != _as_sent(solution):
            self._world.report_violation(
                f"the answer {solution} to {picture[:8]} is not that of job {job_id} of {provider}"
            )

    def collected(self) -> None:
        """Check that a collected answer is the job's own, and was collected once by a hub that survived."""
        seen: dict[int, list[str]] = defaultdict(list)
        for process, one in self._log.collected:
            if one.solution is None:
                continue
            seen[one.entry.id].append(process)
            entry = one.entry
            picture = self._pictures.of[entry.fingerprint]
            self._answer(picture, entry.provider, entry.job_id, one.solution)
        # On a bad disk the journal may not know that a job was collected.
        is_once = self._world.has_reliable_leases and not self._may_fail
        if is_once and any(not self._log.killed.issuperset(names[:-1]) for names in seen.values()):
            self._world.report_violation(f"a job was collected twice: {seen}")

    def attempts(self) -> None:
        """Check that no attempt falls back because a poll failed."""
        for attempt in itertools.chain.from_iterable(self._log.attempts):
            if attempt.job_id is not None and not isinstance(attempt.error, (type(None), *_ENDS_A_JOB)):
                self._world.report_violation(
                    f"job {attempt.job_id} of {attempt.provider} was given up after {attempt.error!r}"
                )

    def refused_answers(self) -> None:
        """Check that an answer which a solve found to be wrong is not returned to it again."""
        for attempts in self._log.attempts:
            refused = Counter(_job_of(one) for one in attempts if isinstance(one.error, WrongSolution))
            if any(count > 1 for (_, job_id), count in refused.items() if job_id is not None):
                self._world.report_violation(
                    f"one wrong answer has failed several attempts of one solve: {attempts}"
                )

    def pollers(self) -> None:
        """Check that two processes do not poll one job, unless clocks or stalls made one seem dead."""
        if not self._world.has_reliable_leases:
            return
        for service in self._environment.services:
            for job_id, clients in service.pollers.items():
                # A hub that attaches to a job polls it as well.
                if job_id in service.attached:
                    continue
                if len(set(clients)) < len(clients):
                    self._world.report_violation(f"job {job_id} of {service} was polled by turns: {clients}")

    def settled_by_hand(self) -> None:
        """Check that a job which a person settled does not change any more."""
        rows = {row.id: row for row in self._rows}
        for settlement in self._log.settlements:
            row = rows[settlement.entry.id]
            free = Decimal(0) if settlement.state in _NO_JOB else settlement.entry.charge
            charge = free if settlement.cost is None else settlement.cost
            if (row.state, row.charge, row.is_by_hand) != (settlement.state, charge, True):
                self._world.report_violation(f"a person said {settlement}, and the journal {row}")


class _Pictures:
    """The pictures, each named by the hash of its bytes."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._tasks = world.tasks
        self.of = {name: picture_hash(task.image.data) for name, task in world.tasks.items()}
        """The name of a picture, by the fingerprint of its task."""

    def is_answered(self, fingerprint: str, solution: Solution | None) -> bool:
        """Return whether an answer passes the task's own check."""
        return solution is not None and self._tasks[fingerprint].check(solution) is None


def _job_of(of: Result[Solution] | JobEntry | Attempt) -> tuple[str, int | None]:
    return of.provider, None if of.job_id is None else number_of(of.job_id)


def _packed(job: JobRecord) -> Mapping[str, object] | None:
    return None if job.solution is None else attrs.asdict(cast("AttrsInstance", job.solution))


def _as_sent(solution: Solution) -> Solution:
    """Return an answer as the service sent it, without the size of the screen, which only the task knows."""
    return attrs.evolve(solution, screen=None) if isinstance(solution, SlideSolution) else solution


def _answers(result: Result[Solution]) -> Iterable[tuple[str, JobId | None, Solution]]:
    yield result.provider, result.job_id, result.solution
    for vote in result.votes:
        yield vote.provider, vote.job_id, vote.solution
