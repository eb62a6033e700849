"""A mapping made in Python → the plain values that a file would give."""

from __future__ import annotations

from collections.abc import Mapping

from captchahub._config.problems import KeyPath, Problems
from captchahub._support.wording import shown

MAX_VALUES = 50_000
"""The most values read, counting those that are reached in several ways."""

MAX_DEPTH = 50
"""How deep values may be nested; what contains itself goes deeper."""


class _TooMuch(Exception):
    pass


def plain(value: object, problems: Problems) -> object:
    """The value with its mappings as dicts and its lists and tuples as lists, or None where it has no end."""
    try:
        return _Copy(problems).value(value, ())
    except _TooMuch as error:
        problems.add((), str(error))
        return None


class _Copy:
    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._count = 0

    def value(self, value: object, place: KeyPath) -> object:
        self._count += 1
        if self._count > MAX_VALUES:
            raise _TooMuch(f"more than {MAX_VALUES} values; give only the configuration")
        if len(place) > MAX_DEPTH:
            raise _TooMuch(f"nested more than {MAX_DEPTH} levels deep, or containing itself")
        if isinstance(value, Mapping):
            return self._mapping(value, place)  # pyright: ignore[reportUnknownArgumentType]  # read with care
        if isinstance(value, (list, tuple)):
            items: list[object] = list(value)  # pyright: ignore[reportUnknownArgumentType]  # as above
            return [self.value(item, (*place, index)) for index, item in enumerate(items)]
        return value

    def _mapping(self, mapping: Mapping[object, object], place: KeyPath) -> dict[str, object]:
        result: dict[str, object] = {}
        for key, item in mapping.items():
            if isinstance(key, str):
                result[key] = self.value(item, (*place, key))
            else:
                self._problems.add(place, f"the key {shown(key)} is not text; put it in quotes")
        return result
