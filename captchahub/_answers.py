"""Solutions as the journal keeps them, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import attrs
from attrs import AttrsInstance
from cattrs import Converter

from captchahub.tasks import Solution

__all__ = ["pack", "unpack"]

_converter = Converter()


def pack(solution: Solution) -> Mapping[str, object] | None:
    """A solution as JSON can hold it; None for one of a type that is no attrs class."""
    if not attrs.has(type(solution)):
        return None
    return attrs.asdict(cast("AttrsInstance", solution))


def unpack(solution_type: type[Solution], answer: Mapping[str, object]) -> Solution | None:
    """The solution of a type; None where it does not fit."""
    try:
        solution: Solution = _converter.structure(answer, solution_type)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is no such solution
        return None
    return solution
