"""Finds the values in a JSON document, and copies the document with one of them changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value from the top."""


def values_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Yield every value with its place: numbers, texts, and all lists and objects below the top."""
    if path or type(value) not in (dict, list):
        yield path, value
    for step, child in _children(value):
        yield from values_in(child, (*path, step))


def changed(value: object, path: Path, new: object) -> object:
    """Return a copy with another value in one place. At the top, return the new value itself."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    return _rebuilt(
        value, {key: changed(old, rest, new) if key == step else old for key, old in _children(value)}
    )


def without(value: object, path: Path) -> object:
    """Return a copy without the value in one place."""
    if not path:
        return {}
    step, rest = path[0], path[1:]
    kept = {
        key: without(old, rest) if key == step else old
        for key, old in _children(value)
        if key != step or rest
    }
    return _rebuilt(value, kept)


def _children(value: object) -> list[tuple[str | int, object]]:
    if isinstance(value, dict):
        return list(cast("dict[str | int, object]", value).items())
    return list(enumerate(cast("list[object]", value))) if isinstance(value, list) else []


def _rebuilt(like: object, parts: Mapping[Any, object]) -> object:
    return list(parts.values()) if isinstance(like, list) else dict(parts)
