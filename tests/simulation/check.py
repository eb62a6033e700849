"""After a run: the books of the services against the journal, and against what the callers were given."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from math import inf
from typing import cast

import attrs

from captchahub._journal_entries import entries
from captchahub.errors import JobFailed, JobTimeout, Outvoted, Overtaken, PluginFault, WrongSolution
from captchahub.jobs import JobEntry, JobState
from captchahub.results import Result
from captchahub.tasks import TextSolution
from captchahub.testing.emulation import JobRecord, picture_hash
from tests.simulation.client import Log
from tests.simulation.world import Book, Service, Town, picture_of, task_of

__all__ = ["compare"]

_NO_JOB = {JobState.NOT_SENT, JobState.REFUSED}
_UNKNOWN = {JobState.INTENT, JobState.AMBIGUOUS}
# What a job can end an attempt with. All else is an error of asking for it, and asking is free.
_ENDS_A_JOB = (JobFailed, JobTimeout, WrongSolution, Outvoted, Overtaken, PluginFault)


def compare(town: Town, book: Book, services: Sequence[Service], log: Log, *, is_swept: bool) -> None:
    """Tell the town what is wrong. ``is_swept`` where a last hub has collected what others left."""
    rows = book.look(lambda connection: entries(connection, limit=100_000))
    audit = _Audit(town, services, rows, log, is_swept=is_swept, may_fail=book.may_fail)
    audit.ledger(book)
    audit.submissions()
    audit.jobs()
    audit.rows()
    audit.results()
    audit.collected()
    audit.attempts()
    audit.pollers()


class _Audit:
    def __init__(
        self,
        town: Town,
        services: Sequence[Service],
        rows: Sequence[JobEntry],
        log: Log,
        *,
        is_swept: bool,
        may_fail: bool,
    ) -> None:
        self._town = town
        self._services = {service.name: service for service in services}
        self._rows = rows
        self._log = log
        self._is_swept = is_swept
        self._may_fail = may_fail
        self._pictures = _Pictures(town)
        self._row_of = {(row.provider, int(row.job_id)): row for row in rows if row.job_id is not None}
        self._given = {(one.provider, int(one.job_id or 0)) for _, one in log.results}

    def ledger(self, book: Book) -> None:
        """It is never below what the services charged, and is the sum of the rows."""
        for name, service in self._services.items():
            ledger = book.charged(name)
            if ledger < service.billed:
                self._town.blame(f"{name} has charged {service.billed}, and the ledger says {ledger}")
            total = sum((row.charge for row in self._rows if row.provider == name), Decimal(0))
            if ledger != total:
                self._town.blame(f"the ledger of {name} says {ledger}, and its jobs {total}")

    def submissions(self) -> None:
        """No submission has two jobs at one provider, unless the first is known not to exist."""
        orders = Counter((row.submission, row.provider) for row in self._rows if row.state not in _NO_JOB)
        for (submission, provider), count in orders.items():
            # On a bad disk it may not be noted that an order was refused.
            if count > 1 and not self._may_fail:
                self._town.blame(f"{submission} was ordered {count} times at {provider}")
        for name, service in self._services.items():
            for picture, count in Counter(job.picture for job in service.jobs.values()).items():
                if count > self._town.solves[picture]:
                    self._town.blame(f"{name} has {count} jobs for one submission")

    def jobs(self) -> None:
        """Each job of the world is in the journal under its id, or its order is there as ambiguous."""
        unknown = Counter(
            (row.provider, row.fingerprint)
            for row in self._rows
            if row.job_id is None and (row.state in _UNKNOWN or (self._may_fail and row.state not in _NO_JOB))
        )
        for name, service in self._services.items():
            for job in service.jobs.values():
                row = self._row_of.get((name, job.id))
                if row is not None:
                    self._job(service, job, row)
                    continue
                key = name, self._pictures.prints[job.picture]
                unknown[key] -= 1
                if unknown[key] < 0 and (name, job.id) not in self._given:
                    self._town.blame(f"job {job.id} of {name} is lost: the journal knows nothing of it")

    def _job(self, service: Service, job: JobRecord, row: JobEntry) -> None:
        """A job whose answer is there is solved or can be collected."""
        told = f"job {job.id} of {service.name}"
        if row.fingerprint != self._pictures.prints[job.picture]:
            self._town.blame(f"{told} is of another picture than the journal says")
        if row.state in (JobState.SOLVED, JobState.CREATED):
            return
        if row.state is JobState.FAILED and self._pictures.has_good_answer(job):
            self._town.blame(f"{told} has an answer, and is failed in the journal: {row.error}")
        if row.state is JobState.EXPIRED and job.id not in service.told_gone:
            self._town.blame(f"{told} is there, and expired in the journal")
        if row.state in _NO_JOB or row.state is JobState.INTENT:
            self._town.blame(f"{told} is {row.state.value} in the journal")

    def rows(self) -> None:
        """What the journal says of a job is so."""
        for row in self._rows:
            told = f"job {row.job_id} of {row.provider}"
            job = None if row.job_id is None else self._services[row.provider].jobs.get(int(row.job_id))
            if row.job_id is not None and job is None:
                self._town.blame(f"{told} is in the journal, and the service never took it")
            is_known = row.job_id is not None or not self._may_fail
            if row.state is JobState.SOLVED and is_known and (job is None or row.answer != _packed(job)):
                self._town.blame(f"{told} has the answer {row.answer} in the journal, not {job}")
            if self._is_swept:
                self._swept(row, job)

    def _swept(self, row: JobEntry, job: JobRecord | None) -> None:
        """Once somebody has looked after all that was left, nothing is open but what takes still longer."""
        if row.state is JobState.INTENT:
            self._town.blame(f"nobody found the order {row.id} that its process left open")
        if (
            row.state is JobState.CREATED
            and job is not None
            and job.ready_at < self._log.given_up.get(row.id, inf) - 5
        ):
            self._town.blame(f"nobody collected job {job.id} of {row.provider}, which is done")

    def results(self) -> None:
        """A result's answer is that of its own picture."""
        for number, result in self._log.results:
            for provider, job_id, solution in _answers(result):
                self._answer(picture_hash(picture_of(number)), provider, job_id, solution)

    def _answer(self, picture: str, provider: str, job_id: object, solution: object) -> None:
        if job_id is None and self._may_fail:
            # The id did not get onto the disk, and so a solve that shares the job does not know it.
            return
        job = self._services[provider].jobs.get(int(str(job_id or 0)))
        if job is None or job.picture != picture or job.solution != solution:
            self._town.blame(
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
        is_once = self._town.has_reliable_leases and not self._may_fail
        if is_once and any(not self._log.killed.issuperset(names[:-1]) for names in seen.values()):
            self._town.blame(f"a job was collected twice: {seen}")

    def attempts(self) -> None:
        """Nobody falls back because asking went wrong."""
        for attempt in self._log.attempts:
            if attempt.job_id is not None and not isinstance(attempt.error, (type(None), *_ENDS_A_JOB)):
                self._town.blame(
                    f"job {attempt.job_id} of {attempt.provider} was given up after {attempt.error!r}"
                )

    def pollers(self) -> None:
        """Two processes do not work on one job, where no clock or stall made one of them seem dead."""
        if not self._town.has_reliable_leases:
            return
        for name, service in self._services.items():
            for job_id, clients in service.pollers.items():
                if len(set(clients)) < len(clients):
                    self._town.blame(f"job {job_id} of {name} was asked for by turns: {clients}")


class _Pictures:
    """What is known of the pictures, by their hash."""

    def __init__(self, town: Town) -> None:
        self._tasks = {picture: task_of(number) for picture, number in town.numbers.items()}
        self.prints = {picture: task.fingerprint for picture, task in self._tasks.items()}
        self.of = {fingerprint: picture for picture, fingerprint in self.prints.items()}

    def has_good_answer(self, job: JobRecord) -> bool:
        """Whether the service has an answer that the task's own check lets pass."""
        return job.solution is not None and self._tasks[job.picture].check(job.solution) is None


def _packed(job: JobRecord) -> Mapping[str, object] | None:
    return None if job.solution is None else attrs.asdict(cast("TextSolution", job.solution))


def _answers(result: Result[TextSolution]) -> Iterable[tuple[str, object, TextSolution]]:
    yield result.provider, result.job_id, result.solution
    for vote in result.votes:
        yield vote.provider, vote.job_id, vote.solution
