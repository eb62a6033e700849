"""Solutions as the journal keeps them, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import attrs
from cattrs.preconf.json import make_converter

from captchahub.tasks import Solution, Task

__all__ = ["pack", "unpack", "unpack_of_kind"]

_converter = make_converter()


def pack(solution: Solution) -> Mapping[str, object] | None:
    """A solution as JSON can hold it; None for one that it can't."""
    if not attrs.has(type(solution)):
        return None
    try:
        answer = cast("Mapping[str, object]", _converter.unstructure(solution))
        json.dumps(answer)
    except Exception:  # noqa: BLE001 - whatever a plugin has put in there, its answer is not to be lost
        return None
    return answer


def unpack(solution_type: type[Solution], answer: Mapping[str, object]) -> Solution | None:
    """The solution of a type; None where it does not fit."""
    try:
        solution: Solution = _converter.structure(answer, solution_type)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is no such solution
        return None
    return solution


def unpack_of_kind(kind: str, answer: Mapping[str, object]) -> Solution | None:
    """The solution of a task kind; None where it does not fit, or this program knows no such task."""
    solutions = (
        unpack(one.solution_type, answer) for one in _subclasses(Task) if getattr(one, "kind", None) == kind
    )
    return next((solution for solution in solutions if solution is not None), None)


def _subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for subclass in base.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)
