"""Solves the pictures of a batch, and writes a record of each.

A picture is solved once: what the output file has is left out, and an answer that the journal has since the
batch began is used instead of paying again. The journal has more than the file after a crash.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import cast

import attrs

from captchahub.cli.advice import advise_commands
from captchahub.cli.batch.entries import Entry
from captchahub.cli.batch.output import Output, why_unwritable
from captchahub.cli.batch.records import EarlierJob, copied_record, new_record
from captchahub.cli.batch.totals import Record, Totals, done_of
from captchahub.cli.solve.task_options import MakeTask
from captchahub.errors import (
    AllProvidersFailed,
    AmbiguousCreate,
    AuthenticationError,
    BudgetExceeded,
    CaptchaHubError,
    InsufficientBalance,
    JournalError,
    NotAsked,
    PriceUnknown,
    ServiceUnavailable,
    TaskError,
)
from captchahub.hub import Hub
from captchahub.images import Image
from captchahub.jobs import JobState
from captchahub.results import Outcome, ProviderState
from captchahub.tasks import Solution, Task

__all__ = ["Batch"]

# With these errors at every provider, the next picture would fail in the same way.
_ENDING = (AuthenticationError, BudgetExceeded, InsufficientBalance, JournalError, PriceUnknown)

_ALL = 1_000_000

_Earlier = Mapping[str, Sequence[EarlierJob]]
"""The jobs of earlier runs that no record counts, by the fingerprint of their task."""


class Batch:
    """A batch that is to be run, or that was run in part.

    ``makers`` returns what makes the task of an entry.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        output: Output,
        makers: Callable[[Entry], MakeTask],
    ) -> None:
        self.totals = Totals(len(entries))
        self.on_change: Callable[[], None] = lambda: None
        """Called whenever the totals have changed."""
        self.stopped_by: str | None = None
        """Why every further picture would fail as well, or None."""
        self.unwritable: str | None = None
        """Why no further record can be written, or None."""
        self._remaining = [entry for entry in entries if entry.id not in output.done]
        wanted = {entry.id for entry in entries}
        for key, done in output.done.items():
            if key in wanted:
                self.totals.add(key, done)
            else:
                # It has the id that another folder gives it, or is of another source; it was paid for.
                self.totals.add_cost(done)
        self.totals.done_before = self.totals.done
        self._output = output
        self._makers = makers
        self._is_stopping = False

    def stop(self) -> None:
        """Start no further picture. Those that are being solved still end."""
        self._is_stopping = True

    def run(self, hub: Hub, *, timeout: float | None, concurrency: int, may_pay_twice: bool = False) -> None:
        """Solve what remains; with ``may_pay_twice`` also pictures whose jobs are in doubt.

        Raises what :meth:`Hub.solve` raises for errors that concern every picture.
        """
        self._read_prices(hub)
        earlier = self._earlier_jobs(hub)
        tasks = self._tasks(earlier, may_pay_twice=may_pay_twice)
        for outcome in hub.solve_many(tasks, timeout=timeout, in_flight=concurrency, label=_label):
            item = cast("_Item", outcome.source)
            if self._ends(outcome.error, hub):
                if self.stopped_by is None:
                    advise_commands(outcome.error, hub, item.fingerprint)
                    self.stopped_by = str(outcome.error)
                self.stop()
                continue
            self._keep(item.known or _record(item, outcome, earlier.pop(item.fingerprint or "", ())))

    def _keep(self, record: Record) -> None:
        """Write a record and count it. If that fails, the journal has the answer for the next run."""
        done = done_of(record)
        if self.unwritable is None:
            try:
                self._output.write(record)
            except OSError as error:
                self.unwritable = why_unwritable(error)
                self.stop()
        if self.unwritable is None:
            self.totals.add(str(record["id"]), done)
        else:
            self.totals.add_cost(done)
        self.on_change()

    def _ends(self, error: Exception | None, hub: Hub) -> bool:
        """Return whether every further picture would fail in the same way, so that this one is left as well.

        So it is if each provider refuses the account or can't be reached. Each picture has then waited for
        its whole time limit.
        """
        if not isinstance(error, AllProvidersFailed):
            return False
        others = [attempt for attempt in error.attempts if not isinstance(attempt.error, _ENDING)]
        if not others:
            return True
        if not all(isinstance(attempt.error, (ServiceUnavailable, NotAsked)) for attempt in others):
            return False
        if self.stopped_by is not None:
            return True
        health = hub.health()
        is_unreachable = any(isinstance(attempt.error, ServiceUnavailable) for attempt in others)
        return is_unreachable and all(
            health[attempt.provider].state is not ProviderState.HEALTHY for attempt in others
        )

    def _read_prices(self, hub: Hub) -> None:
        """Read the price lists, so that the totals say what the batch costs. A service need not have one."""
        for name in hub.health():
            with suppress(CaptchaHubError):
                hub.services(name)

    def _earlier_jobs(self, hub: Hub) -> dict[str, Sequence[EarlierJob]]:
        """Return the jobs that were created since the batch began, but are not in the output.

        A killed process leaves them, and so do records that are removed to solve their pictures again.
        """
        if not self._output.is_resumed:
            return {}
        found: defaultdict[str, list[EarlierJob]] = defaultdict(list)
        for job in hub.jobs(since=datetime.fromtimestamp(self._output.begun, UTC), limit=_ALL):
            if job.cost != 0 and not self._output.has(job.fingerprint):
                name = job.configured_as or job.provider
                is_in_doubt = job.state is JobState.AMBIGUOUS
                found[job.fingerprint].append(EarlierJob(name, job.job_id, job.cost, is_in_doubt))
        return dict(found)

    def _tasks(self, earlier: _Earlier, *, may_pay_twice: bool) -> Iterator[_Item]:
        for entry in self._remaining:
            if self._is_stopping:
                return
            yield _Item(entry, self._makers(entry), self._output, {} if may_pay_twice else earlier)


@attrs.define(eq=False)
class _Item:
    """Makes the task of an entry when its turn comes, and remembers its fingerprint.

    ``known`` is the record of an entry whose task the output has under another id.
    """

    entry: Entry
    make: MakeTask
    output: Output
    earlier: _Earlier
    fingerprint: str | None = None
    kind: str = ""
    known: Record | None = None

    def __call__(self) -> Task[Solution]:
        task = self.make(Image.open(self.entry.file))
        self.kind, self.fingerprint = task.kind, task.fingerprint
        found = self.output.find(task.fingerprint)
        if found is not None:
            self.known = copied_record(self.entry, task, found)
            raise CaptchaHubError("the output has the answer")
        # A killed process leaves a job in doubt if its create call was under way.
        if any(job.is_in_doubt for job in self.earlier.get(task.fingerprint, ())):
            raise _in_doubt()
        return task


def _label(item: object) -> str:
    return str(cast("_Item", item).entry.file)


def _in_doubt() -> AmbiguousCreate:
    error = AmbiguousCreate(
        "the batch was killed while it created a job for this picture; the service may have it"
    )
    error.advice = "look for it there; captchahub batch --retry-failed solves it again, and may pay twice"
    return error


def _record(item: _Item, outcome: Outcome[Solution], earlier: Sequence[EarlierJob]) -> Record:
    error = outcome.error
    if error is not None and not isinstance(error, (AllProvidersFailed, TaskError, AmbiguousCreate)):
        # A configuration error concerns every picture, and any other error is a bug of the library.
        raise error
    return new_record(item.entry, item.kind, item.fingerprint, outcome, earlier)
