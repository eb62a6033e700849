"""A mapping made in Python → the plain values that a file would have."""

from __future__ import annotations

from collections.abc import Mapping

from captchahub._config.problems import KeyPath, Problems
from captchahub._config.yaml_documents import MAX_DEPTH, MAX_VALUES
from captchahub._support.wording import shown


class _TooMuch(Exception):
    """The value has more in it than a configuration can."""


def plain(value: object, problems: Problems) -> object:
    """Return the value with its mappings as dicts and its sequences as lists, or None if it has no end."""
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
        # A value that is reached in several ways counts each time. One that contains itself is too deep.
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
