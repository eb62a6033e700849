"""Values as text, for users and for programs. Pure."""

from __future__ import annotations

import unicodedata
from decimal import Decimal

import attrs

from captchahub.tasks import Point, SlideSolution, Solution, TextSolution

# Control characters, halves of surrogate pairs, and the separators of lines and paragraphs.
_UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def answer(solution: Solution) -> str:
    """Return a solution on one line: the text, or ``x1 y1 x2 y2``."""
    if isinstance(solution, TextSolution):
        return solution.text
    if isinstance(solution, SlideSolution):
        return f"{_coordinates(solution.start)} {_coordinates(solution.end)}"
    # The solution of a task type that a plugin adds.
    return str(solution)


def _coordinates(point: Point) -> str:
    return f"{plain(point.x)} {plain(point.y)}"


def counted(number: int, noun: str) -> str:
    """Return a number with a noun: ``1 job``, ``2 jobs``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def plain(number: float) -> str:
    """Return a number without a trailing ``.0``."""
    return str(number).removesuffix(".0")


def money_text(value: Decimal) -> str:
    """Return an amount exactly and without an exponent, for programs."""
    return f"{value:f}"


def amount_text(value: Decimal | None, currency: str | None = None) -> str:
    """Return an amount for people: ``5.00 USD``, ``0.00055``, or ``?`` if it is unknown.

    It has two decimals, or as many more as it needs.
    """
    if value is None:
        return "?"
    whole, _, decimals = f"{value:f}".partition(".")
    text = f"{whole}.{decimals.rstrip('0'):0<2}"
    return f"{text} {printable(currency)}" if currency else text


def spent_text(amount: Decimal, unpriced: int, currency: str | None = None) -> str:
    """Return an amount with the number of jobs that it does not contain: ``0.0123 USD + 3 unpriced``."""
    text = amount_text(amount, currency)
    return f"{text} + {unpriced} unpriced" if unpriced else text


def with_advice(error: Exception) -> str:
    """Return the message of an error and what to do about it, on one line."""
    advice = getattr(error, "advice", "")
    return f"{str(error).rstrip('.')}; {advice}" if advice else str(error)


def solution_fields(solution: Solution) -> dict[str, object]:
    """Return the fields of a solution by name, for JSON."""
    # Every solution is an attrs class, but the type of the base class does not say so.
    return attrs.asdict(solution)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def printable(text: str) -> str:
    """Return the text with line breaks and control characters escaped.

    An answer is untrusted: it must not move the cursor of a terminal or break the lines of a list.
    """
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _UNSAFE else char
        for char in text
    )
