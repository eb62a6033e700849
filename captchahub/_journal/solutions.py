"""Solutions as the journal keeps them, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from cattrs.preconf.json import make_converter

from captchahub.tasks import Solution, Task

__all__ = ["pack", "unpack", "unpack_of_kind"]

_converter = make_converter()


def pack(solution: Solution) -> str | None:
    """Return a solution as JSON, or None if JSON cannot hold it."""
    if not attrs.has(type(solution)):
        return None
    try:
        return _converter.dumps(solution)
    except Exception:  # noqa: BLE001 - whatever a plugin has put in there, its answer must not get lost
        return None


def unpack(solution_type: type[Solution], answer: Mapping[str, object]) -> Solution | None:
    """Return an answer of the journal as a solution of this type, or None if it does not fit."""
    try:
        solution: Solution = _converter.structure(answer, solution_type)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is no such solution
        return None
    return solution


def unpack_of_kind(kind: str, answer: Mapping[str, object]) -> Solution | None:
    """Return an answer as a solution of a task kind, or None if no task of this program fits."""
    solutions = (
        unpack(one.solution_type, answer) for one in _subclasses(Task) if getattr(one, "kind", None) == kind
    )
    return next((solution for solution in solutions if solution is not None), None)


def _subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
