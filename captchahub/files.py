"""Tasks from files, each made only when its turn comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Concatenate, Generic, ParamSpec, TypeVar

import attrs

from captchahub.images import Image
from captchahub.tasks import Solution, Task

__all__ = ["FileTask", "tasks_from"]

S = TypeVar("S", bound=Solution)

P = ParamSpec("P")


@attrs.frozen
class FileTask(Generic[S]):
    """A callable that makes a task from a file.

    The call raises :class:`~captchahub.errors.TaskError` if the file cannot be read or is not a picture.
    """

    path: str | os.PathLike[str]
    make: Callable[[Image], Task[S]] = attrs.field(repr=False)

    def __call__(self) -> Task[S]:
        """Open the picture and make the task."""
        return self.make(Image.open(self.path))


def tasks_from(
    paths: Iterable[str | os.PathLike[str]],
    make: Callable[Concatenate[Image, P], Task[S]],
    *args: P.args,
    **options: P.kwargs,
) -> Iterator[FileTask[S]]:
    """Yield a callable for each file, for ``solve_many``: ``tasks_from(paths, ImageToText, length=5)``.

    ``make`` is called with the picture and the options, and returns the task. A file that cannot be read or
    is not a picture becomes an outcome with that error; the other files are still solved.
    """

    def made(image: Image) -> Task[S]:
        return make(image, *args, **options)

    return (FileTask(path, made) for path in paths)
