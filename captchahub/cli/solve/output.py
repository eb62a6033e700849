"""Prints the outcomes of files: as text, or as one JSON object per line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from captchahub.cli.solve.files import FileOutcome
from captchahub.cli.streams import ExitCode, StdoutFailed, put, say, writing_stdout
from captchahub.cli.text import answer, money_text, printable, solution_fields
from captchahub.errors import AllProvidersFailed, Attempt, NotAsked, Outvoted, Overtaken, ProviderError
from captchahub.results import Result, Vote
from captchahub.tasks import Solution

Printer = Callable[[FileOutcome], ExitCode]

_LABELS: tuple[tuple[type[ProviderError], str], ...] = (
    (NotAsked, "not tried"),
    (Outvoted, "outvoted"),
    (Overtaken, "overtaken"),
)


def printer(*, as_json: bool, several: bool, verbose: bool) -> Printer:
    """Return a function that prints an outcome and returns its exit code."""
    with_details = verbose or (not as_json and sys.stderr is not None and sys.stderr.isatty())

    def print_outcome(outcome: FileOutcome) -> ExitCode:
        line = json.dumps(_record(outcome)) if as_json else _answer_line(outcome, several=several)
        if line is None:
            say(_error_text(outcome))
        elif not _print(outcome, line):
            return ExitCode.STDOUT
        if with_details and outcome.result is not None:
            say("\n".join(_details(outcome.file, outcome.result)))
        return outcome.code

    return print_outcome


def _print(outcome: FileOutcome, line: str) -> bool:
    """Print a line on stdout. If that fails, print it with its job on stderr, and return False."""
    try:
        with writing_stdout():
            put(line)
    except StdoutFailed as failure:
        details = () if outcome.result is None else _details(outcome.file, outcome.result)
        say("\n".join([f"{failure}; missing there:", line, *details]))
        return False
    return True


def _error_text(outcome: FileOutcome) -> str:
    message = str(outcome.error)
    return message if message.startswith((f"{outcome.file}:", "<stdin>:")) else f"{outcome.file}: {message}"


def _answer_line(outcome: FileOutcome, *, several: bool) -> str | None:
    if outcome.result is None:
        return None
    text = printable(answer(outcome.result.solution))
    return f"{printable(outcome.file)}\t{text}" if several else text


def _details(file: str, result: Result[Solution]) -> Iterator[str]:
    job = "" if result.job_id is None else f", job {result.job_id}"
    facts = f"{job}{_agreement(result)}{_cost(result)}"
    yield f"{file}: solved by {result.provider}{facts}, {result.elapsed:.1f} s"
    for attempt in _others(result):
        yield f"  - {_label(attempt)}: {attempt}"
    if result.ignored_options:
        names = ", ".join(result.ignored_options)
        yield f"  - checked here, not sent to the service: {names}"


def _agreement(result: Result[Solution]) -> str:
    answers = len(result.votes)
    agreeing = sum(vote.agrees for vote in result.votes)
    return f", {agreeing} of {answers} answers agree" if answers > 1 else ""


def _cost(result: Result[Solution]) -> str:
    if result.cost is None:
        return ""
    total = result.total_cost
    of_total = "" if total == result.cost else f" of {money_text(total)} in total"
    return f", cost {money_text(result.cost)}{of_total}"


def _others(result: Result[Solution]) -> list[Attempt]:
    """Return the attempts except the one with the result, which need not be the last."""
    own = (result.provider, result.job_id, None)
    others = list(result.attempts)
    keys = [(attempt.provider, attempt.job_id, attempt.error) for attempt in others]
    if own in keys:
        del others[keys.index(own)]
    return others


def _label(attempt: Attempt) -> str:
    if attempt.error is None:
        return "agreed too"
    return next((word for kind, word in _LABELS if isinstance(attempt.error, kind)), "failed")


def _record(outcome: FileOutcome) -> dict[str, object]:
    return {
        "file": outcome.file,
        "kind": outcome.kind,
        "fingerprint": outcome.fingerprint,
        **_solved(outcome.result),
        **_failed(outcome),
    }


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
        "votes": [_vote(vote) for vote in result.votes],
        "ignored_options": list(result.ignored_options),
    }


def _failed(outcome: FileOutcome) -> dict[str, object]:
    error = outcome.error
    if isinstance(error, AllProvidersFailed):
        attempts = [_attempt(attempt) for attempt in error.attempts]
        total = _amount(_sum(attempt.cost for attempt in error.attempts))
        return {"total_cost": total, "attempts": attempts, "error": _error(error, error.message)}
    return {"error": None if error is None else _error(error, str(error))}


def _attempt(attempt: Attempt) -> dict[str, object]:
    return {
        "provider": attempt.provider,
        "job_id": attempt.job_id,
        "polls": attempt.polls,
        "elapsed": round(attempt.elapsed, 3),
        "cost": _amount(attempt.cost),
        "error": None if attempt.error is None else _error(attempt.error, str(attempt.error)),
    }


def _vote(vote: Vote[Solution]) -> dict[str, object]:
    return {
        "provider": vote.provider,
        "job_id": vote.job_id,
        "solution": solution_fields(vote.solution),
        "agrees": vote.agrees,
    }


def _sum(costs: Iterable[Decimal | None]) -> Decimal | None:
    """Return the total cost, or None if one cost is unknown."""
    total = Decimal(0)
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total


def _amount(value: Decimal | None) -> str | None:
    return None if value is None else money_text(value)


def _error(error: Exception, message: str) -> dict[str, str]:
    return {"type": type(error).__name__, "message": message}
