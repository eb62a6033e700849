"""After a run: the books of the services against the journal, and against what the callers were given."""

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
# What a job can end an attempt with. All else is an error of asking for it, and asking is free.
_ENDS_A_JOB = (JobFailed, JobTimeout, WrongSolution, Outvoted, Overtaken, PluginFault)
# The longest timeout of a solve, in seconds.
_LONGEST = 120


def compare(environment: Environment, *, is_swept: bool) -> None:
    """Tell the town what is wrong. ``is_swept`` where a last hub has collected what others left."""
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
            environment.journal_file,
            environment.log,
        )
        self._cache = environment.settings.cache
        self._environment = environment
        self._rows = rows = environment.journal_file.every_job()
        self._is_swept = is_swept
        self._may_fail = environment.journal_file.may_fail
        self._pictures = _Pictures(environment.world)
        self._row_of = {_job_of(row): row for row in rows if row.job_id is not None}
        self._given = {_job_of(told.result) for told in environment.log.results}

    def ledger(self) -> None:
        """It is never below what the services charged, and is the sum of the rows."""
        for name in self._environment.settings.providers:
            ledger = self._journal_file.charged(name)
            owed = sum((service.owed for service in self._environment.named(name)), Decimal(0))
            if ledger < owed:
                self._world.report_violation(f"{name} has charged {owed}, and the ledger says {ledger}")
            total = sum((row.charge for row in self._rows if row.provider == name), Decimal(0))
            if ledger != total:
                self._world.report_violation(f"the ledger of {name} says {ledger}, and its jobs {total}")

    def submissions(self) -> None:
        """No submission has two jobs at one provider, unless the first is known not to exist."""
        orders = Counter((row.submission, row.provider) for row in self._rows if row.state not in _NO_JOB)
        for (submission, provider), count in orders.items():
            # On a bad disk it may not be noted that an order was refused.
            if count > 1 and not self._may_fail:
                self._world.report_violation(f"{submission} was ordered {count} times at {provider}")
        for service in self._environment.services:
            for picture, count in Counter(job.picture for job in service.jobs.values()).items():
                if count > self._world.solves[picture]:
                    self._world.report_violation(f"{service} has {count} jobs for one submission")

    def jobs(self) -> None:
        """Each job of the world is in the journal under its id, or its order is there as ambiguous."""
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
        """Whether there may be a job of an order without an id."""
        if row.state in _UNKNOWN or (row.is_by_hand and row.state not in _NO_JOB):
            return True
        # Who answers at once can say at once that it could not do it, and gives no id then.
        return row.state is JobState.FAILED or (self._may_fail and row.state not in _NO_JOB)

    def _job(self, service: Service, job: JobRecord, row: JobEntry) -> None:
        """A job whose answer is there is solved or can be collected."""
        told = f"job {job.id} of {service.name}"
        if self._pictures.of[row.fingerprint] != job.picture:
            self._world.report_violation(f"{told} is of another picture than the journal says")
        self._charge(service, job, row)
        if row.state in (JobState.SOLVED, JobState.CREATED) or row.is_by_hand:
            return
        if row.state is JobState.FAILED and self._pictures.is_answered(row.fingerprint, job.solution):
            self._world.report_violation(f"{told} has an answer, and is failed in the journal: {row.error}")
        if row.state is JobState.EXPIRED and job.id not in service.told_gone:
            self._world.report_violation(f"{told} is there, and expired in the journal")
        if row.state in _NO_JOB or row.state is JobState.INTENT:
            self._world.report_violation(f"{told} is {row.state.value} in the journal")

    def _charge(self, service: Service, job: JobRecord, row: JobEntry) -> None:
        """It is what the answer told, as soon as there is one; until then what was agreed, or more."""
        if row.state is JobState.SOLVED and service.service_type.tells_cost and not row.is_by_hand:
            is_right = row.charge == job.price
        else:
            is_right = row.charge >= service.agreed(job)
        if not is_right:
            self._world.report_violation(
                f"job {job.id} of {service.name} has cost {job.price}, and {row.charge} is charged"
            )

    def rows(self) -> None:
        """What the journal says of a job is so."""
        for row in self._rows:
            told = f"job {row.job_id} of {row.provider}"
            job = None if row.job_id is None else self._environment.job(row.provider, number_of(row.job_id))
            if row.job_id is not None and job is None:
                self._world.report_violation(f"{told} is in the journal, and the service never took it")
            # A person settles a job without its answer.
            is_known = (row.job_id is not None or not self._may_fail) and not row.is_by_hand
            if row.state is JobState.SOLVED and is_known and (job is None or row.answer != _packed(job)):
                self._world.report_violation(f"{told} has the answer {row.answer} in the journal, not {job}")
            if self._is_swept:
                self._swept(row, job)

    def _swept(self, row: JobEntry, job: JobRecord | None) -> None:
        """Once somebody has looked after all that was left, nothing is open but what takes still longer."""
        if row.state is JobState.INTENT:
            self._world.report_violation(f"nobody found the order {row.id} that its process left open")
        if (
            row.state is JobState.CREATED
            and job is not None
            and job.ready_at < self._log.given_up.get(row.id, inf) - 5
        ):
            self._world.report_violation(f"nobody collected job {job.id} of {row.provider}, which is done")

    def results(self) -> None:
        """A result's answer is that of its own picture, and only one solve pays for it."""
        paid = Counter(_job_of(told.result) for told in self._log.results if not told.result.is_shared)
        for told in self._log.results:
            for provider, job_id, solution in _answers(told.result):
                self._answer(picture_hash(picture_of(told.picture)), provider, job_id, solution)
        twice = [job for job, count in paid.items() if count > 1 and job[1] is not None]
        # A process that was stalled goes on with what another one has taken over by then.
        if twice and self._world.has_reliable_leases:
            self._world.report_violation(f"several solves say that they have paid for {twice}")

    def shared(self) -> None:
        """An answer that was there already is one to an equal task, costs nothing, and is not too old."""
        for told in self._log.results:
            row = self._row_of.get(_job_of(told.result))
            if row is None or not told.result.is_shared:
                continue
            self._world.count("answer of an equal task's job")
            if row.fingerprint != task_of(told.picture).fingerprint or not row.is_shared or told.result.cost:
                self._world.report_violation(f"{told} was shared, which is not {row}")
            # Who follows another solve gets what that one has found, which may have begun before.
            since = told.begun - self._cache - (0 if told.result.attempts else _LONGEST)
            if self._world.has_reliable_clock and row.updated_at < since:
                self._world.report_violation(
                    f"the answer of job {row.job_id} was given for fresh {since} at {row}"
                )

    def _answer(self, picture: str, provider: str, job_id: JobId | None, solution: Solution) -> None:
        if job_id is None and self._may_fail:
            # The id did not get onto the disk, and so a solve that shares the job does not know it.
            return
        job = None if job_id is None else self._environment.job(provider, number_of(job_id))
        if job is None or job.picture != picture or job.solution != _told(solution):
            self._world.report_violation(
                f"the answer {solution} to {picture[:8]} is not that of job {job_id} of {provider}"
            )

    def collected(self) -> None:
        """What was collected is the job's own answer, and was collected once by whoever lived to note it."""
        seen: dict[int, list[str]] = defaultdict(list)
        for process, one in self._log.collected:
            if one.solution is None:
                continue
            seen[one.entry.id].append(process)
            entry = one.entry
            picture = self._pictures.of[entry.fingerprint]
            self._answer(picture, entry.provider, entry.job_id, one.solution)
        # On a bad disk it may not be noted that a job was collected.
        is_once = self._world.has_reliable_leases and not self._may_fail
        if is_once and any(not self._log.killed.issuperset(names[:-1]) for names in seen.values()):
            self._world.report_violation(f"a job was collected twice: {seen}")

    def attempts(self) -> None:
        """Nobody falls back because asking went wrong."""
        for attempt in itertools.chain.from_iterable(self._log.attempts):
            if attempt.job_id is not None and not isinstance(attempt.error, (type(None), *_ENDS_A_JOB)):
                self._world.report_violation(
                    f"job {attempt.job_id} of {attempt.provider} was given up after {attempt.error!r}"
                )

    def refused_answers(self) -> None:
        """An answer that a solve has found to be wrong is not given to it again."""
        for attempts in self._log.attempts:
            refused = Counter(_job_of(one) for one in attempts if isinstance(one.error, WrongSolution))
            if any(count > 1 for (_, job_id), count in refused.items() if job_id is not None):
                self._world.report_violation(
                    f"one wrong answer has failed several attempts of one solve: {attempts}"
                )

    def pollers(self) -> None:
        """Two processes do not work on one job, where no clock or stall made one of them seem dead."""
        if not self._world.has_reliable_leases:
            return
        for service in self._environment.services:
            for job_id, clients in service.pollers.items():
                # Whoever attaches to a job asks as well.
                if job_id in service.attached:
                    continue
                if len(set(clients)) < len(clients):
                    self._world.report_violation(
                        f"job {job_id} of {service} was asked for by turns: {clients}"
                    )

    def settled_by_hand(self) -> None:
        """What a person has said of a job is the last word."""
        rows = {row.id: row for row in self._rows}
        for said in self._log.said:
            row = rows[said.entry.id]
            free = Decimal(0) if said.state in _NO_JOB else said.entry.charge
            charge = free if said.cost is None else said.cost
            if (row.state, row.charge, row.is_by_hand) != (said.state, charge, True):
                self._world.report_violation(f"a person said {said}, and the journal {row}")


class _Pictures:
    """What is known of the pictures: each has the hash of its bytes as its name."""

    def __init__(self, world: SimulatedWorld) -> None:
        self._tasks = world.tasks
        self.of = {name: picture_hash(task.image.data) for name, task in world.tasks.items()}
        """By the fingerprint of a task."""

    def is_answered(self, fingerprint: str, solution: Solution | None) -> bool:
        """Whether an answer is one that the task's own check lets pass."""
        return solution is not None and self._tasks[fingerprint].check(solution) is None


def _job_of(told: Result[Solution] | JobEntry | Attempt) -> tuple[str, int | None]:
    return told.provider, None if told.job_id is None else number_of(told.job_id)


def _packed(job: JobRecord) -> Mapping[str, object] | None:
    return None if job.solution is None else attrs.asdict(cast("AttrsInstance", job.solution))


def _told(solution: Solution) -> Solution:
    """An answer as the service has told it, without the size of the screen, which the task knows."""
    return attrs.evolve(solution, screen=None) if isinstance(solution, SlideSolution) else solution


def _answers(result: Result[Solution]) -> Iterable[tuple[str, JobId | None, Solution]]:
    yield result.provider, result.job_id, result.solution
    for vote in result.votes:
        yield vote.provider, vote.job_id, vote.solution
