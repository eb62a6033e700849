"""Files → how each of them ended."""

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

__all__ = ["End", "solve_files", "worst"]

_SEVERITY = (ExitCode.DONE, ExitCode.TIMEOUT, ExitCode.UNSOLVED, ExitCode.REFUSED, ExitCode.STDOUT)


@attrs.frozen
class End:
    """How one file ended: with a result or with an error."""

    file: str
    kind: str
    result: Result[Solution] | None = None
    error: CaptchaHubError | None = None
    fingerprint: str | None = None
    """That of the task, None where the file is no picture."""

    @property
    def code(self) -> ExitCode:
        """The exit code, if this were the only file."""
        if self.error is None:
            return ExitCode.DONE
        if isinstance(self.error, TaskError):
            return ExitCode.REFUSED
        return ExitCode.TIMEOUT if isinstance(self.error, SolveTimeout) else ExitCode.UNSOLVED


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code of several files: what trying again helps least comes first."""
    return max(codes, key=_SEVERITY.index, default=ExitCode.DONE)


def solve_files(
    hub: Hub, files: Iterable[str], kind: str, make_task: MakeTask, timeout: float | None
) -> Iterator[End]:
    """Solve files and give each end as it comes; one that is no picture does not stop the others.

    The files are read as they are wanted; an iterable that ends early lets those under way finish.

    Raises :class:`~captchahub.errors.ConfigError` where no provider takes such tasks.
    """
    reader = _Reader(files, make_task)
    for outcome in hub.solve_many(reader.tasks(), timeout=timeout):
        file, fingerprint = reader.read[outcome.index]
        yield _end(file, kind, outcome, fingerprint)


def _end(file: str, kind: str, outcome: Outcome[Solution], fingerprint: str | None) -> End:
    error = outcome.error
    if error is None or isinstance(error, (AllProvidersFailed, TaskError)):
        return End(file, kind, outcome.result, error, fingerprint)
    # A wrong configuration is wrong for every file, and anything else is a fault of the library.
    raise error


class _Reader:
    """Reads the files one by one, as they are wanted."""

    def __init__(self, files: Iterable[str], make_task: MakeTask) -> None:
        self.read: list[tuple[str, str | None]] = []
        """The files, with the fingerprints of the tasks that could be made of them."""
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
