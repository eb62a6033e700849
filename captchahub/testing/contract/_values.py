"""Checks that the fields of the values that a reader returns have the types of their annotations."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Union, cast

import attrs


def mistyped_field(value: object) -> str | None:
    """Return the first field of an attrs value that has the wrong type, such as ``Pending.status is None``.

    Return None if all are right.
    """
    cls = type(value)
    if not attrs.has(cls):
        return None
    hints = _hints_of(cls)
    for field in attrs.fields(cls):
        inner: object = getattr(value, field.name)
        if not _fits(inner, hints.get(field.name, Any)):
            return f"{cls.__name__}.{field.name} is {inner!r:.60}"
        mistyped = mistyped_field(inner)
        if mistyped is not None:
            return mistyped
    return None


@lru_cache(maxsize=64)
def _hints_of(cls: type) -> Mapping[str, Any]:
    return typing.get_type_hints(cls)


def _fits(value: object, hint: Any) -> bool:
    """Return whether a value fits an annotation. Every value fits an annotation of an unknown form."""
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(hint))
    if hint is None or hint is type(None):
        return value is None
    if isinstance(value, bool):
        return hint in (bool, object, Any) or not isinstance(hint, type)
    if hint is float:
        return isinstance(value, (int, float))
    if isinstance(origin, type):
        return isinstance(value, origin) and _items_fit(value, typing.get_args(hint))
    return isinstance(value, hint) if isinstance(hint, type) else True


def _items_fit(value: object, hints: Sequence[Any]) -> bool:
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return all(_fits(key, hints[0]) and _fits(one, hints[-1]) for key, one in pairs)
    if isinstance(value, (list, tuple)):
        return all(_fits(one, hints[0]) for one in cast("Sequence[object]", value))
    return True
