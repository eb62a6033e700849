"""How the ends of files are printed: for people, or a JSON object a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from captchahub.cli.solve.files import End
from captchahub.cli.streams import ExitCode, StdoutFailed, put, say, writing_stdout
from captchahub.cli.text import answer, money_text, printable, solution_fields
from captchahub.errors import AllProvidersFailed, Attempt, NotAsked, Outvoted, Overtaken, ProviderError
from captchahub.results import Result, Vote
from captchahub.tasks import Solution

__all__ = ["Show", "printer"]

Show = Callable[[End], ExitCode]

_FATES: tuple[tuple[type[ProviderError], str], ...] = (
    (NotAsked, "not asked"),
    (Outvoted, "outvoted"),
    (Overtaken, "overtaken"),
)


def printer(*, as_json: bool, several: bool, verbose: bool) -> Show:
    """What prints an end and gives its exit code."""
    with_details = verbose or (not as_json and sys.stderr is not None and sys.stderr.isatty())

    def show(end: End) -> ExitCode:
        line = json.dumps(_record(end)) if as_json else _answer_line(end, several=several)
        if line is None:
            say(_complaint(end))
        elif not _print(end, line):
            return ExitCode.STDOUT
        if with_details and end.result is not None:
            say("\n".join(_details(end.file, end.result)))
        return end.code

    return show


def _print(end: End, line: str) -> bool:
    """Whether the line got to stdout; else it goes to stderr with its job, for it may be paid for."""
    try:
        with writing_stdout():
            put(line)
    except StdoutFailed as failure:
        details = () if end.result is None else _details(end.file, end.result)
        say("\n".join([f"{failure}; lost there:", line, *details]))
        return False
    return True


def _complaint(end: End) -> str:
    said = str(end.error)
    return said if said.startswith((f"{end.file}:", "<stdin>:")) else f"{end.file}: {said}"


def _answer_line(end: End, *, several: bool) -> str | None:
    if end.result is None:
        return None
    text = printable(answer(end.result.solution))
    return f"{printable(end.file)}\t{text}" if several else text


def _details(file: str, result: Result[Solution]) -> Iterator[str]:
    job = "" if result.job_id is None else f", job {result.job_id}"
    facts = f"{job}{_agreement(result)}{_cost(result)}"
    yield f"{file}: solved by {result.provider}{facts}, {result.elapsed:.1f} s"
    for attempt in _others(result):
        yield f"  - {_fate(attempt)}: {attempt}"
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
    beside = "" if total == result.cost else f" of {money_text(total)} in total"
    return f", cost {money_text(result.cost)}{beside}"


def _others(result: Result[Solution]) -> list[Attempt]:
    """The attempts but for the one whose answer it is, which need not be the last."""
    own = (result.provider, result.job_id, None)
    told = list(result.attempts)
    keys = [(attempt.provider, attempt.job_id, attempt.error) for attempt in told]
    if own in keys:
        del told[keys.index(own)]
    return told


def _fate(attempt: Attempt) -> str:
    if attempt.error is None:
        return "agreed too"
    return next((word for kind, word in _FATES if isinstance(attempt.error, kind)), "failed")


def _record(end: End) -> dict[str, object]:
    return {
        "file": end.file,
        "kind": end.kind,
        "fingerprint": end.fingerprint,
        **_solved(end.result),
        **_failed(end),
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


def _failed(end: End) -> dict[str, object]:
    error = end.error
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
    """What was spent in vain, None where the cost of one attempt is not known."""
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
