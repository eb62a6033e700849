"""Plain values: what YAML can hold, made of dicts with text as keys, of lists, and of single values."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

from captchahub._config.problems import KeyPath, Problems
from captchahub._config.yaml_documents import MAX_DEPTH, MAX_VALUES, Unreadable
from captchahub._support.wording import shown


def mapping_in(value: object) -> dict[str, object]:
    """Return a plain value that is a mapping, or an empty mapping if it is not one."""
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]  # keys are text in plain values


def items_in(value: object) -> Iterable[tuple[str | int, object]]:
    """Return the items of a plain mapping or list, each with its key or position; none for other values."""
    if isinstance(value, list):
        return list(enumerate(value))  # pyright: ignore[reportUnknownArgumentType]  # of any values
    return list(mapping_in(value).items())


def value_at(value: object, place: KeyPath, missing: object = None) -> object:
    """Return what stands at a place in a plain value, or ``missing`` if there is nothing."""
    for step in place:
        try:
            value = value[step]  # type: ignore[index]  # pyright: ignore[reportIndexIssue, reportUnknownVariableType]  # tried, not known
        except (LookupError, TypeError):
            return missing
    return value  # pyright: ignore[reportUnknownVariableType]  # of any type


def plain(mapping: Mapping[str, object], problems: Problems) -> object:
    """Return a mapping made in Python as the plain value of a file, or None if it is too large."""
    try:
        return _copied(mapping, (), problems, itertools.count(1))
    except Unreadable as error:
        problems.add((), str(error))
        return None


def _copied(value: object, place: KeyPath, problems: Problems, counter: Iterator[int]) -> object:
    # A value that is reached in several ways counts each time. One that contains itself is too deep.
    if next(counter) > MAX_VALUES:
        raise Unreadable(f"more than {MAX_VALUES} values; give only the configuration")
    if len(place) > MAX_DEPTH:
        raise Unreadable(f"nested more than {MAX_DEPTH} levels deep, or containing itself")
    if isinstance(value, (list, tuple)):
        return [_copied(item, (*place, index), problems, counter) for index, item in enumerate(value)]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # of any values
    if not isinstance(value, Mapping):
        return value
    result: dict[str, object] = {}
    for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]  # of any types
        if isinstance(key, str):
            result[key] = _copied(item, (*place, key), problems, counter)  # pyright: ignore[reportUnknownArgumentType]  # as above
        else:
            problems.add(place, f"the key {shown(key)} is not text; put it in quotes")  # pyright: ignore[reportUnknownArgumentType]  # as above
    return result
