"""Solves files, and yields the outcome of each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import attrs

from captchahub._support.paths import expanded
from captchahub.cli.solve.task_options import MakeTask
from captchahub.cli.streams import ExitCode
from captchahub.errors import AllProvidersFailed, CaptchaHubError, SolveTimeout, TaskError
from captchahub.hub import Hub
from captchahub.images import Image
from captchahub.results import Outcome, Result
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
    reader = _Reader(files, make_task)
    for outcome in hub.solve_many(reader.tasks(), timeout=timeout):
        file, fingerprint = reader.read[outcome.index]
        yield _file_outcome(file, kind, outcome, fingerprint)


def _file_outcome(file: str, kind: str, outcome: Outcome[Solution], fingerprint: str | None) -> FileOutcome:
    error = outcome.error
    if error is None or isinstance(error, (AllProvidersFailed, TaskError)):
        return FileOutcome(file, kind, outcome.result, error, fingerprint)
    # A configuration error concerns every file, and any other error is a bug of the library.
    raise error


class _Reader:
    """Reads the files one by one, when their turn comes."""

    def __init__(self, files: Iterable[str], make_task: MakeTask) -> None:
        self.read: list[tuple[str, str | None]] = []
        """The files so far, each with the fingerprint of its task or None."""
        self._files = files
        self._make_task = make_task

    def tasks(self) -> Iterator[Callable[[], Task[Solution]]]:
        for index, file in enumerate(self._files):
            self.read.append((file, None))
            yield partial(self._task, index, file)

    def _task(self, index: int, file: str) -> Task[Solution]:
        task = self._make_task(_picture(file))
        self.read[index] = file, task.fingerprint
        return task


def _picture(file: str) -> Image:
    if file != "-":
        return Image.open(expanded(file))
    if sys.stdin is None:
        raise TaskError("-: there is no stdin to read a picture from; name a file")
    return Image.open(sys.stdin.buffer)
