"""Solves files, and yields the outcome of each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import cast

import attrs

from captchahub._support.paths import expanded
from captchahub.cli.advice import advise_commands
from captchahub.cli.invocation import command
from captchahub.cli.solve.task_options import MakeTask
from captchahub.cli.streams import ExitCode
from captchahub.errors import AllProvidersFailed, CaptchaHubError, SolveTimeout, TaskError
from captchahub.hub import Hub
from captchahub.images import Image
from captchahub.results import Result
from captchahub.tasks import Solution, Task

_SEVERITY = (ExitCode.DONE, ExitCode.TIMEOUT, ExitCode.UNSOLVED, ExitCode.REFUSED, ExitCode.STDOUT)


@attrs.frozen
class FileOutcome:
    """The outcome of one file: a result or an error."""

    file: str
    kind: str
    result: Result[Solution] | None = None
    error: CaptchaHubError | None = None
    fingerprint: str | None = None
    """The fingerprint of the task, or None if the file is not a picture."""

    @property
    def code(self) -> ExitCode:
        """The exit code for this file alone."""
        if self.error is None:
            return ExitCode.DONE
        if isinstance(self.error, TaskError):
            return ExitCode.REFUSED
        return ExitCode.TIMEOUT if isinstance(self.error, SolveTimeout) else ExitCode.UNSOLVED


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """Return the exit code for several files: the one for which another try helps least."""
    return max(codes, key=_SEVERITY.index, default=ExitCode.DONE)


def solve_files(
    hub: Hub, files: Iterable[str], kind: str, make_task: MakeTask, timeout: float | None
) -> Iterator[FileOutcome]:
    """Solve files and yield their outcomes in order of completion. A file that is not a picture fails alone.

    Each file is read when its turn comes. If ``files`` ends early, the solves in progress still finish.

    Raises :class:`~captchahub.errors.ConfigError` if no provider accepts such tasks.
    """
    # Outcomes come in order of completion, and have only the index of their file.
    started: list[str] = []

    def tasks() -> Iterator[Callable[[], Task[Solution]]]:
        for file in files:
            started.append(file)
            yield partial(_task, file, make_task)

    for outcome in hub.solve_many(tasks(), timeout=timeout, label=_label):
        error = outcome.error
        # A configuration error concerns every file, and any other error is a bug of the library.
        if error is not None and not isinstance(error, (AllProvidersFailed, TaskError)):
            raise error
        fingerprint = None
        with suppress(TaskError):  # the file is not a picture, so there is no task
            fingerprint = outcome.task.fingerprint
        advise_commands(error, hub, fingerprint)
        yield FileOutcome(started[outcome.index], kind, outcome.result, error, fingerprint)


def _label(item: object) -> str | None:
    file = cast("partial[Task[Solution]]", item).args[0]
    return None if file == "-" else file


def _task(file: str, make_task: MakeTask) -> Task[Solution]:
    if file != "-":
        path = expanded(file)
        if path.is_dir():
            advice = f"{command('batch', file, '-o', 'answers.jsonl')} solves the pictures in it"
            raise TaskError(f"{file}: it is a folder; {advice}")
        return make_task(Image.open(path))
    if sys.stdin is None:
        raise TaskError("-: there is no stdin to read a picture from; name a file")
    return make_task(Image.open(sys.stdin.buffer))
