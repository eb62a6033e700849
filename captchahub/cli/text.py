"""Values as text for people and for programs: pure."""

from __future__ import annotations

import unicodedata
from decimal import Decimal

import attrs

from captchahub.tasks import Point, SlideSolution, Solution, TextSolution

__all__ = ["answer", "counted", "money_text", "plain", "printable", "solution_fields"]

_UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def answer(solution: Solution) -> str:
    """A solution on one line: the text, or ``x1 y1 x2 y2``."""
    if isinstance(solution, TextSolution):
        return solution.text
    if isinstance(solution, SlideSolution):
        return f"{_place(solution.start)} {_place(solution.end)}"
    return str(solution)


def _place(point: Point) -> str:
    return f"{plain(point.x)} {plain(point.y)}"


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 job``, ``2 jobs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def plain(number: float) -> str:
    """A number without the ``.0`` of a whole one."""
    return str(number).removesuffix(".0")


def money_text(value: Decimal | None) -> str:
    """An amount as it is read aloud, never as 5.5E-4; ``?`` where it is not known."""
    return "?" if value is None else f"{value:f}"


def solution_fields(solution: Solution) -> dict[str, object]:
    """A solution as JSON can hold it, by the names of its fields."""
    # Solutions are attrs classes, though their base does not say so.
    return attrs.asdict(solution)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def printable(text: str) -> str:
    """The text with its line breaks and control characters spelt out.

    An answer comes from a stranger: on a terminal it must not move the cursor, and in a list it must stay on
    its line.
    """
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNSAFE else char
        for char in text
    )
