"""The pictures of a run, the tasks that are asked of them, and what there is to be seen in them."""

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
    """The picture that a task of this number is of; the last two of seven tasks are of the same one."""
    # What follows the end of a picture is passed over; services refuse one of less than a hundred bytes.
    return _DOT + b"picture %080d" % _shown(number)


def _shown(number: int) -> int:
    return number - 1 if number % 7 == 6 else number


@cache
def task_of(number: int) -> Task[Solution]:
    """The task of that number.

    Some know how long the answer is, and so can tell that one is wrong; some are of the same picture as
    another, and no equals, for they are asked with other options.
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
    """What is to be read or dragged in a picture: each has its own."""
    name = picture_hash(picture)
    if kind == ImageToText.kind:
        return TextSolution(name[:5])
    x, y = int(name[:4], 16) % 300, int(name[4:8], 16) % _HEIGHT
    return SlideSolution(Point(float(x), float(y)), Point(x + 100.5, float(y)))


def misread(solution: Solution, chance: Random) -> Solution:
    """What somebody makes of it who does not look; some of that fails a check, and some does not."""
    if isinstance(solution, TextSolution):
        return TextSolution(chance.choice((solution.text[:-1], solution.text[::-1])))
    assert isinstance(solution, SlideSolution)
    elsewhere = chance.choice((solution.start, Point(_WIDTH + 1.0, 0.0), Point(_WIDTH - 1.0, 0.0)))
    return attrs.evolve(solution, end=elsewhere)
