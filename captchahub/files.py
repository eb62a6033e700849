"""Files to solve: a task for each, made when its turn comes."""

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
    """A file that a task is to be made of, by calling this.

    Raises :class:`~captchahub.errors.TaskError` then, where the file is no picture.
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
    """The files as ``solve_many`` takes them: ``tasks_from(paths, ImageToText, length=5)``.

    ``make`` makes a task of a picture and the options. A file that can't be read, or is no picture, is an
    outcome with its error like any other.
    """

    def made(image: Image) -> Task[S]:
        return make(image, *args, **options)

    return (FileTask(path, made) for path in paths)
