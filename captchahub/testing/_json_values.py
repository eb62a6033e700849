"""The single values in a JSON document: where they are, and the document with one of them changed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

__all__ = ["Path", "changed", "leaves", "lost"]

Path = tuple[str | int, ...]
"""The keys and indexes that lead to a value from the top."""


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every value that holds no other, and every list and object below the top, with its place."""
    if path or type(value) not in (dict, list):
        yield path, value
    for step, inside in _inside(value):
        yield from leaves(inside, (*path, step))


def changed(value: object, path: Path, new: object) -> object:
    """A copy with another value in one place; the new one alone where the place is the top."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    return _rebuilt(
        value, {key: changed(old, rest, new) if key == step else old for key, old in _inside(value)}
    )


def lost(value: object, path: Path) -> object:
    """A copy without the value in one place."""
    if not path:
        return {}
    step, rest = path[0], path[1:]
    kept = {
        key: lost(old, rest) if key == step else old for key, old in _inside(value) if key != step or rest
    }
    return _rebuilt(value, kept)


def _inside(value: object) -> list[tuple[str | int, object]]:
    if isinstance(value, dict):
        return list(cast("dict[str | int, object]", value).items())
    return list(enumerate(cast("list[object]", value))) if isinstance(value, list) else []


def _rebuilt(like: object, parts: Mapping[Any, object]) -> object:
    return list(parts.values()) if isinstance(like, list) else dict(parts)
