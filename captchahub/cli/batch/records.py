"""Makes the record of a picture. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

import attrs

from captchahub._journal.solutions import unpack
from captchahub.cli.batch.entries import Entry
from captchahub.cli.batch.totals import Record
from captchahub.cli.solve.files import FileOutcome
from captchahub.cli.solve.output import record_of
from captchahub.cli.text import money_text
from captchahub.errors import AllProvidersFailed, CaptchaHubError
from captchahub.results import Attempt, Outcome
from captchahub.tasks import Solution, Task, TextSolution

__all__ = ["EarlierJob", "copied_record", "new_record"]


@attrs.frozen
class EarlierJob:
    """A job of an earlier run for a picture without a record. ``cost`` is None if it is unknown."""

    provider: str
    job_id: int | str | None
    cost: Decimal | None
    is_in_doubt: bool


def new_record(
    entry: Entry,
    kind: str,
    fingerprint: str | None,
    outcome: Outcome[Solution],
    earlier: Sequence[EarlierJob],
) -> Record:
    """Return the record of a picture that was just solved, or that failed.

    Its total cost includes ``earlier`` jobs, so that the records of a batch add up to what the batch cost.
    """
    result, error = outcome.result, outcome.error
    attempts = _attempts_of(outcome)
    # What was collected from one of these jobs by polling it is in the attempts already.
    charged = {(one.provider, one.job_id) for one in attempts if one.cost != 0 and one.job_id is not None}
    uncounted = [job for job in earlier if (job.provider, job.job_id) not in charged]
    costs = [*(attempt.cost for attempt in attempts), *(job.cost for job in uncounted)]
    solved_by = None if result is None else (result.provider, result.job_id)
    collected = next((job for job in earlier if (job.provider, job.job_id) == solved_by), None)
    file = FileOutcome(
        str(entry.file),
        kind or entry.kind or "",
        result,
        error if isinstance(error, CaptchaHubError) else None,
        fingerprint,
    )
    fields = record_of(file)
    if collected is not None:
        fields["cost"] = None if collected.cost is None else money_text(collected.cost)
    return {
        "id": entry.id,
        **fields,
        "total_cost": _sum(costs),
        "is_collected": collected is not None,
        "truth": entry.truth,
        "is_right": None if result is None else _is_right(outcome.task, result.solution, entry.truth),
    }


def copied_record(entry: Entry, task: Task[Solution], found: Record) -> Record:
    """Return the record of a picture whose task has a record already, under another id.

    It has the same answer, and costs nothing.
    """
    is_right: object = None
    if not found.get("error"):
        solution = _solution_of(task, found)
        if _cell(entry.truth) == _cell(found.get("truth")):
            is_right = found.get("is_right")
        elif solution is not None:
            is_right = _is_right(task, solution, entry.truth)
    return {
        **found,
        "id": entry.id,
        "file": str(entry.file),
        "cost": "0",
        "total_cost": "0",
        "is_collected": True,
        "truth": entry.truth,
        "is_right": is_right,
    }


def _attempts_of(outcome: Outcome[Solution]) -> Sequence[Attempt]:
    if outcome.result is not None:
        return outcome.result.attempts
    return outcome.error.attempts if isinstance(outcome.error, AllProvidersFailed) else ()


def _sum(costs: Sequence[Decimal | None]) -> str | None:
    return None if None in costs else money_text(sum(filter(None, costs), Decimal(0)))


def _solution_of(task: Task[Solution], record: Record) -> Solution | None:
    fields, answer = record.get("solution"), record.get("answer")
    if isinstance(fields, Mapping):
        return unpack(task.solution_type, fields)  # pyright: ignore[reportUnknownArgumentType]  # of any keys
    # A CSV file has only the text of the answer.
    if isinstance(answer, str) and issubclass(task.solution_type, TextSolution):
        return TextSolution(answer)
    return None


def _cell(truth: object) -> str:
    """Return a right answer as JSON lines and CSV both have it."""
    return "" if truth is None else truth if isinstance(truth, str) else json.dumps(truth)


def _is_right(task: Task[Solution], solution: Solution, truth: object) -> bool | None:
    """Return whether the answer is the right one as the task compares answers, or None if that is unknown."""
    if isinstance(truth, Mapping):
        right: Solution | None = unpack(task.solution_type, truth)  # pyright: ignore[reportUnknownArgumentType]  # of any keys
    elif truth is not None and issubclass(task.solution_type, TextSolution):
        right = TextSolution(str(truth))
    else:
        right = None
    return None if right is None else task.agrees(solution, right)
