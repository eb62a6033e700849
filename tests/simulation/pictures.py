"""The pictures of a run, their tasks, and their solutions."""

from __future__ import annotations

import base64
from functools import cache
from random import Random

import attrs

from captchahub import Image, ImageToText, PhoneSlide, SlideSolution, TextSolution
from captchahub.tasks import Point, Solution, Task
from captchahub.testing.emulation import picture_hash

__all__ = ["misread", "picture_of", "seen_in", "task_of"]

_DOT = base64.b64decode("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs=")
_WIDTH, _HEIGHT = 720, 1280


def picture_of(number: int) -> bytes:
    """Return the picture of a task by its number. The last two of seven tasks have the same one."""
    # Bytes after the end of a picture are ignored; services refuse one of less than a hundred bytes.
    return _DOT + b"picture %080d" % _shown(number)


def _shown(number: int) -> int:
    return number - 1 if number % 7 == 6 else number


@cache
def task_of(number: int) -> Task[Solution]:
    """Return the task with a number.

    Some know the length of the answer, so that their check finds a wrong one. Some have the same picture as
    another task but are not equal to it, because their options differ.
    """
    shown = _shown(number)
    if shown % 5 == 4:
        return PhoneSlide(Image(picture_of(number), "gif", _WIDTH, _HEIGHT))
    return ImageToText(
        Image(picture_of(number), "gif", 1, 1),
        length=5 if shown % 3 == 0 else None,
        case_sensitive=None if shown == number else True,
    )


def seen_in(kind: str, picture: bytes) -> Solution:
    """Return the solution of a picture; each picture has its own."""
    name = picture_hash(picture)
    if kind == ImageToText.kind:
        return TextSolution(name[:5])
    x, y = int(name[:4], 16) % 300, int(name[4:8], 16) % _HEIGHT
    return SlideSolution(Point(float(x), float(y)), Point(x + 100.5, float(y)))


def misread(solution: Solution, chance: Random) -> Solution:
    """Return a wrong solution, which a check may find or not."""
    if isinstance(solution, TextSolution):
        return TextSolution(chance.choice((solution.text[:-1], solution.text[::-1])))
    assert isinstance(solution, SlideSolution)
    elsewhere = chance.choice((solution.start, Point(_WIDTH + 1.0, 0.0), Point(_WIDTH - 1.0, 0.0)))
    return attrs.evolve(solution, end=elsewhere)
