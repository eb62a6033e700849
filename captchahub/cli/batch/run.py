"""Solves the pictures of a batch, and writes a record of each.

A picture is solved once: what the output file has is left out, and an answer that the journal has since the
batch began is used instead of paying again. The journal has more than the file after a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import cast

import attrs

from captchahub._journal.solutions import unpack
from captchahub.cli.batch.entries import Entry
from captchahub.cli.batch.output import Done, Output, Record, done_of
from captchahub.cli.solve.files import FileOutcome
from captchahub.cli.solve.output import record_of
from captchahub.cli.solve.task_options import MakeTask
from captchahub.errors import (
    AllProvidersFailed,
    AmbiguousCreate,
    AuthenticationError,
    BudgetExceeded,
    CaptchaHubError,
    InsufficientBalance,
    JournalError,
    PriceUnknown,
    TaskError,
)
from captchahub.hub import Hub
from captchahub.images import Image
from captchahub.jobs import JobState
from captchahub.results import Outcome
from captchahub.tasks import Solution, Task, TextSolution

__all__ = ["Batch", "Totals"]

# With these errors at every provider, the next picture would fail in the same way.
_ENDING = (AuthenticationError, BudgetExceeded, InsufficientBalance, JournalError, PriceUnknown)

_ALL = 1_000_000


@attrs.define
class Totals:
    """How far a batch is. ``judged`` counts the solved pictures whose right answer is known."""

    total: int
    done_before: int = 0
    solved: int = 0
    failed: int = 0
    judged: int = 0
    right: int = 0
    spent: Decimal = Decimal(0)
    has_unknown_cost: bool = False

    @property
    def done(self) -> int:
        """The number of pictures with a record."""
        return self.solved + self.failed

    def add(self, done: Done) -> None:
        """Count a picture."""
        if done.is_solved:
            self.solved += 1
            self.judged += done.is_right is not None
            self.right += bool(done.is_right)
        else:
            self.failed += 1
        self.has_unknown_cost |= done.cost is None
        self.spent += done.cost or 0


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
        self.stopped_by: Exception | None = None
        """The error with which every further picture would fail as well, or None."""
        self._remaining = [entry for entry in entries if entry.id not in output.done]
        for entry in entries:
            if entry.id in output.done:
                self.totals.add(output.done[entry.id])
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
        in_doubt = () if may_pay_twice or not self._output.is_resumed else self._tasks_in_doubt(hub)
        tasks = self._tasks(in_doubt)
        for outcome in hub.solve_many(tasks, timeout=timeout, in_flight=concurrency, label=_label):
            item = cast("_Item", outcome.source)
            if _ends_batch(outcome.error):
                self.stopped_by = outcome.error
                self.stop()
                continue
            record = _record(item, outcome)
            self._output.write(record)
            self.totals.add(done_of(record))
            self.on_change()

    def _read_prices(self, hub: Hub) -> None:
        """Read the price lists, so that the totals say what the batch costs. A service need not have one."""
        for name in hub.health():
            with suppress(CaptchaHubError):
                hub.services(name)

    def _tasks_in_doubt(self, hub: Hub) -> Collection[str]:
        """Return the fingerprints of tasks that may have an unknown job since the batch began.

        A killed process leaves a job in doubt if its create call was under way.
        """
        jobs = hub.jobs(state=JobState.AMBIGUOUS, limit=_ALL)
        return {job.fingerprint for job in jobs if job.ordered_at >= self._output.begun}

    def _tasks(self, in_doubt: Collection[str]) -> Iterator[_Item]:
        for entry in self._remaining:
            if self._is_stopping:
                return
            yield _Item(entry, self._makers(entry), in_doubt)


@attrs.define(eq=False)
class _Item:
    """Makes the task of an entry when its turn comes, and remembers its fingerprint."""

    entry: Entry
    make: MakeTask
    in_doubt: Collection[str]
    fingerprint: str | None = None
    kind: str = ""

    def __call__(self) -> Task[Solution]:
        task = self.make(Image.open(self.entry.file))
        self.kind, self.fingerprint = task.kind, task.fingerprint
        if self.fingerprint in self.in_doubt:
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


def _ends_batch(error: Exception | None) -> bool:
    if not isinstance(error, AllProvidersFailed):
        return False
    return all(isinstance(attempt.error, _ENDING) for attempt in error.attempts)


def _record(item: _Item, outcome: Outcome[Solution]) -> Record:
    error = outcome.error
    if error is not None and not isinstance(error, (AllProvidersFailed, TaskError, AmbiguousCreate)):
        # A configuration error concerns every picture, and any other error is a bug of the library.
        raise error
    entry = item.entry
    found = FileOutcome(
        str(entry.file), item.kind or entry.kind or "", outcome.result, error, item.fingerprint
    )
    return {
        "id": entry.id,
        **record_of(found),
        "truth": entry.truth,
        "is_right": None if outcome.result is None else _is_right(outcome, entry.truth),
    }


def _is_right(outcome: Outcome[Solution], truth: object) -> bool | None:
    """Return whether the answer is the right one as the task compares answers, or None if that is unknown."""
    task, result = outcome.task, outcome.result
    if isinstance(truth, Mapping):
        right: Solution | None = unpack(task.solution_type, truth)  # pyright: ignore[reportUnknownArgumentType]  # of any keys
    elif truth is not None and issubclass(task.solution_type, TextSolution):
        right = TextSolution(str(truth))
    else:
        right = None
    return None if right is None or result is None else task.agrees(result.solution, right)
