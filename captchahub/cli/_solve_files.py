"""Files → how each of them ended."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

import attrs

from captchahub._user_paths import expanded
from captchahub.cli._exit_code import ExitCode
from captchahub.cli._task_options import MakeTask
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
    reader = _Reader(files, kind, make_task)
    for outcome in hub.solve_many(reader.tasks(), timeout=timeout):
        yield from reader.take_refused()
        yield _end(reader.read[outcome.index], kind, outcome)
    yield from reader.take_refused()


def _end(file: str, kind: str, outcome: Outcome[Solution]) -> End:
    error, fingerprint = outcome.error, outcome.task.fingerprint
    if error is None:
        return End(file, kind, result=outcome.result, fingerprint=fingerprint)
    if isinstance(error, (AllProvidersFailed, TaskError)):
        return End(file, kind, error=error, fingerprint=fingerprint)
    # A wrong configuration is wrong for every file, and anything else is a fault of the library.
    raise error


class _Reader:
    """Reads the files one by one, as they are wanted."""

    def __init__(self, files: Iterable[str], kind: str, make_task: MakeTask) -> None:
        self.read: list[str] = []
        self._files = files
        self._kind = kind
        self._make_task = make_task
        self._refused: list[End] = []

    def tasks(self) -> Iterator[Task[Solution]]:
        for file in self._files:
            try:
                task = self._make_task(_picture(file))
            except TaskError as error:
                self._refused.append(End(file, self._kind, error=error))
            else:
                self.read.append(file)
                yield task

    def take_refused(self) -> list[End]:
        """Those found refused since the last time."""
        taken, self._refused = self._refused, []
        return taken


def _picture(file: str) -> Image:
    if file != "-":
        return Image.open(expanded(file))
    if sys.stdin is None:
        raise TaskError("-: there is no stdin to read a picture from; name a file")
    return Image.open(sys.stdin.buffer)
