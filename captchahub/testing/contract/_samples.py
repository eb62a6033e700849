"""The tasks that a provider is tried with where its author names none, and how they are answered."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from captchahub.tasks import ImageToText, PhoneSlide, Point, SlideSolution, Solution, Task, TextSolution
from captchahub.testing.pictures import Painter

__all__ = ["Unheard", "sample_tasks"]

# Two values of each option, so that it can be seen whether the value is told and not only that there is one.
_OPTIONS: Mapping[str, Sequence[Any]] = {
    "length": (5, 6),
    "min_length": (3, 4),
    "max_length": (6, 7),
    "charset": (string.digits, string.ascii_letters),
    "case_sensitive": (True, False),
    "phrase": (True, False),
    "math": (True, False),
    "language": ("en", "ru"),
    "hint": ("the red ones", "the blue ones"),
}


@attrs.frozen
class Unheard(Task[TextSolution]):
    """A kind of task that no provider knows."""

    kind = "unheard-of"
    solution_type = TextSolution

    image: Any

    def check(self, solution: Solution) -> str | None:  # noqa: ARG002 - the contract's
        return None


def sample_tasks(
    given: Sequence[Task[Any]] | None, answers: Mapping[str, Solution]
) -> tuple[Sequence[Task[Solution]], Mapping[str, Solution]]:
    """The tasks that were given, or some of each kind that the library has; and an answer for each kind."""
    painter = Painter(7)
    slide = painter.slide()
    usual: Mapping[str, Solution] = {
        ImageToText.kind: TextSolution("x7kp2"),
        PhoneSlide.kind: SlideSolution(Point(12, 30), Point(80, 30)),
    }
    tasks = [*_texts(painter), slide.task()] if given is None else given
    return tasks, {**usual, **answers}


def _texts(painter: Painter) -> Iterator[ImageToText]:
    image = painter.text("x7kp2").image
    yield ImageToText(image)
    for name, values in _OPTIONS.items():
        for value in values:
            yield ImageToText(image, **{name: value})
