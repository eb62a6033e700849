"""The tasks that a provider is tried with where its author names none, and how they are answered."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import attrs

from captchahub.images import Image
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
    usual: Mapping[str, Solution] = {
        ImageToText.kind: TextSolution("x7kp2"),
        PhoneSlide.kind: SlideSolution(Point(12, 30), Point(80, 30)),
    }
    return _drawn_tasks() if given is None else given, {**usual, **answers}


# A picture takes longer to draw than most checks take.
@cache
def _drawn_tasks() -> Sequence[Task[Solution]]:
    painter = Painter(7)
    slide = painter.slide()
    return (*_texts(painter.text("x7kp2").image), slide.task())


def _texts(image: Image) -> Iterator[ImageToText]:
    yield ImageToText(image)
    for name, values in _OPTIONS.items():
        for value in values:
            yield ImageToText(image, **{name: value})
