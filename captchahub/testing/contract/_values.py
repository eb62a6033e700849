"""Whether the values that a reader returns hold what their annotations promise."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Union, cast

import attrs

__all__ = ["flaw_in"]


def flaw_in(value: object) -> str | None:
    """Return the first field of an attrs value that has the wrong type, such as ``Pending.status is None``.

    Return None if all are right.
    """
    kind = type(value)
    if not attrs.has(kind):
        return None
    hints = _hints_of(kind)
    for field in attrs.fields(kind):
        inside: object = getattr(value, field.name)
        if not _is_of(inside, hints.get(field.name, Any)):
            return f"{kind.__name__}.{field.name} is {inside!r:.60}"
        deeper = flaw_in(inside)
        if deeper is not None:
            return deeper
    return None


@lru_cache(maxsize=64)
def _hints_of(kind: type) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _is_of(value: object, hint: Any) -> bool:
    """Return whether a value fits an annotation. Every value fits an annotation of an unknown form."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_is_of(value, one) for one in typing.get_args(hint))
    if hint is None or hint is type(None):
        return value is None
    if isinstance(value, bool):
        return hint in (bool, object, Any) or not isinstance(hint, type)
    if hint is float:
        return isinstance(value, (int, float))
    if isinstance(origin, type):
        return isinstance(value, origin) and _holds(value, typing.get_args(hint))
    return isinstance(value, hint) if isinstance(hint, type) else True


def _holds(value: object, hints: Sequence[Any]) -> bool:
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return all(_is_of(key, hints[0]) and _is_of(one, hints[-1]) for key, one in pairs)
    if isinstance(value, (list, tuple)):
        return all(_is_of(one, hints[0]) for one in cast("Sequence[object]", value))
    return True
