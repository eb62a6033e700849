"""Prints the outcomes of files: as text, or as one JSON object per line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from types import NoneType

from captchahub.cli.solve.files import FileOutcome
from captchahub.cli.streams import ExitCode, StdoutFailed, put, say, writing_stdout
from captchahub.cli.text import amount_text, answer, money_text, printable, solution_fields
from captchahub.errors import AllProvidersFailed, Attempt, NotAsked, Outvoted, Overtaken
from captchahub.results import Result
from captchahub.tasks import Solution

Printer = Callable[[FileOutcome], ExitCode]

_LABELS = (
    (NoneType, "agreed too"),
    (NotAsked, "not tried"),
    (Outvoted, "outvoted"),
    (Overtaken, "overtaken"),
)


def printer(*, as_json: bool, several: bool, verbose: bool) -> Printer:
    """Return a function that prints an outcome and returns its exit code."""
    # A person at a terminal sees them; a script's log of stderr has only what went wrong.
    with_details = verbose or (not as_json and sys.stderr is not None and sys.stderr.isatty())

    def print_outcome(outcome: FileOutcome) -> ExitCode:
        details = [] if outcome.result is None else list(_details(outcome.file, outcome.result))
        if as_json:
            line = json.dumps(record_of(outcome))
        elif outcome.result is None:
            say(_error_text(outcome))
            return outcome.code
        else:
            text = printable(answer(outcome.result.solution))
            line = f"{printable(outcome.file)}\t{text}" if several else text
        try:
            with writing_stdout():
                put(line)
        except StdoutFailed as failure:
            # The answer is paid for, so stderr gets it, with its job.
            say("\n".join([f"{failure}; missing there:", line, *details]))
            return ExitCode.STDOUT
        if with_details and details:
            say("\n".join(details))
        return outcome.code

    return print_outcome


def _error_text(outcome: FileOutcome) -> str:
    message = str(outcome.error)
    return message if message.startswith((f"{outcome.file}:", "<stdin>:")) else f"{outcome.file}: {message}"


def _details(file: str, result: Result[Solution]) -> Iterator[str]:
    facts = [f"{file}: solved by {result.provider}"]
    if result.job_id is not None:
        facts.append(f"job {result.job_id}")
    if len(result.votes) > 1:
        agreeing = sum(vote.agrees for vote in result.votes)
        facts.append(f"{agreeing} of {len(result.votes)} answers agree")
    if result.cost is not None:
        total = result.total_cost
        of_total = "" if total == result.cost else f" of {amount_text(total)} in total"
        facts.append(f"cost {amount_text(result.cost)}{of_total}")
    yield ", ".join([*facts, f"{result.elapsed:.1f} s"])
    for attempt in _others(result):
        label = next((word for kind, word in _LABELS if isinstance(attempt.error, kind)), "failed")
        yield f"  - {label}: {attempt}"
    if result.ignored_options:
        yield f"  - checked here, not sent to the service: {', '.join(result.ignored_options)}"


def _others(result: Result[Solution]) -> list[Attempt]:
    """Return the attempts except the one with the result, which need not be the last."""
    own = (result.provider, result.job_id, None)
    others = list(result.attempts)
    keys = [(attempt.provider, attempt.job_id, attempt.error) for attempt in others]
    if own in keys:
        del others[keys.index(own)]
    return others


def record_of(outcome: FileOutcome) -> dict[str, object]:
    """Return the fields of an outcome for JSON. Amounts are text, to be exact."""
    own = {"file": outcome.file, "kind": outcome.kind, "fingerprint": outcome.fingerprint}
    return {**own, **_solved(outcome.result), **_failed(outcome.error)}


def _solved(result: Result[Solution] | None) -> dict[str, object]:
    if result is None:
        names = ("answer", "solution", "provider", "job_id", "cost", "total_cost", "elapsed")
        return {**dict.fromkeys(names), "attempts": [], "votes": [], "ignored_options": []}
    return {
        "answer": answer(result.solution),
        "solution": solution_fields(result.solution),
        "provider": result.provider,
        "job_id": result.job_id,
        "cost": _amount(result.cost),
        "total_cost": _amount(result.total_cost),
        "elapsed": round(result.elapsed, 3),
        "attempts": [_attempt(attempt) for attempt in result.attempts],
        "votes": [
            {
                "provider": vote.provider,
                "job_id": vote.job_id,
                "solution": solution_fields(vote.solution),
                "agrees": vote.agrees,
            }
            for vote in result.votes
        ],
        "ignored_options": list(result.ignored_options),
    }


def _failed(error: Exception | None) -> dict[str, object]:
    if not isinstance(error, AllProvidersFailed):
        return {"error": _error(error)}
    costs = [attempt.cost for attempt in error.attempts]
    return {
        # None if one of them is unknown.
        "total_cost": None if None in costs else money_text(sum(filter(None, costs), Decimal(0))),
        "attempts": [_attempt(attempt) for attempt in error.attempts],
        # Without the lines about the attempts, which str() has.
        "error": {"type": type(error).__name__, "message": error.message},
    }


def _attempt(attempt: Attempt) -> dict[str, object]:
    return {
        "provider": attempt.provider,
        "job_id": attempt.job_id,
        "polls": attempt.polls,
        "elapsed": round(attempt.elapsed, 3),
        "cost": _amount(attempt.cost),
        "error": _error(attempt.error),
    }


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else money_text(value)


def _error(error: Exception | None) -> dict[str, str] | None:
    return None if error is None else {"type": type(error).__name__, "message": str(error)}
