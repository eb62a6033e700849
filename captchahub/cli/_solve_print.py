"""How the ends of files are printed: for people, or a JSON object a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator

import click

from captchahub.cli._program import ExitCode
from captchahub.cli._solve_files import End
from captchahub.cli._text import answer, money_text, printable, solution_fields
from captchahub.errors import AllProvidersFailed, Attempt
from captchahub.results import Result
from captchahub.tasks import Solution

__all__ = ["printer"]

Show = Callable[[End], ExitCode]


def printer(*, as_json: bool, several: bool, verbose: bool) -> Show:
    """What prints an end and gives its exit code."""
    with_details = verbose or (not as_json and sys.stderr is not None and sys.stderr.isatty())

    def show(end: End) -> ExitCode:
        if as_json:
            click.echo(json.dumps(_record(end)))
        elif end.result is None:
            _say(_complaint(end))
        else:
            _print_answer(end.file, end.result, several=several)
        if with_details and end.result is not None:
            _say("\n".join(_details(end.file, end.result)))
        return end.code

    return show


def _complaint(end: End) -> str:
    said = str(end.error)
    return said if said.startswith(f"{end.file}:") else f"{end.file}: {said}"


def _print_answer(file: str, result: Result[Solution], *, several: bool) -> None:
    text = printable(answer(result.solution))
    click.echo(f"{printable(file)}\t{text}" if several else text)


def _say(text: str) -> None:
    click.echo("\n".join(printable(line) for line in text.split("\n")), err=True)


def _details(file: str, result: Result[Solution]) -> Iterator[str]:
    job = "" if result.job_id is None else f", job {result.job_id}"
    cost = "" if result.cost is None else f", cost {money_text(result.cost)}"
    yield f"{file}: solved by {result.provider}{job}{cost}, {result.elapsed:.1f} s"
    for attempt in result.attempts[:-1]:
        yield f"  - before: {attempt}"
    if result.ignored_options:
        names = ", ".join(result.ignored_options)
        yield f"  - checked here, not sent to the service: {names}"


def _record(end: End) -> dict[str, object]:
    return {"file": end.file, "kind": end.kind, **_solved(end.result), **_failed(end)}


def _solved(result: Result[Solution] | None) -> dict[str, object]:
    if result is None:
        names = ("answer", "solution", "provider", "job_id", "cost", "elapsed")
        return {**dict.fromkeys(names), "attempts": [], "ignored_options": []}
    return {
        "answer": answer(result.solution),
        "solution": solution_fields(result.solution),
        "provider": result.provider,
        "job_id": result.job_id,
        "cost": None if result.cost is None else money_text(result.cost),
        "elapsed": round(result.elapsed, 3),
        "attempts": [_attempt(attempt) for attempt in result.attempts],
        "ignored_options": list(result.ignored_options),
    }


def _failed(end: End) -> dict[str, object]:
    error = end.error
    if isinstance(error, AllProvidersFailed):
        attempts = [_attempt(attempt) for attempt in error.attempts]
        return {"attempts": attempts, "error": _error(error, error.message)}
    return {"error": None if error is None else _error(error, str(error))}


def _attempt(attempt: Attempt) -> dict[str, object]:
    return {
        "provider": attempt.provider,
        "job_id": attempt.job_id,
        "polls": attempt.polls,
        "elapsed": round(attempt.elapsed, 3),
        "error": None if attempt.error is None else _error(attempt.error, str(attempt.error)),
    }


def _error(error: Exception, message: str) -> dict[str, str]:
    return {"type": type(error).__name__, "message": message}
