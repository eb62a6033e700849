"""Plain values → typed values, strictly: nothing is converted silently, and every error keeps its place."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
from cattrs import Converter, IterableValidationError, IterableValidationNote
from cattrs.cols import (
    list_structure_factory,
    mapping_structure_factory,  # pyright: ignore[reportUnknownVariableType]  # a gap in its own types
)
from cattrs.gen import make_dict_structure_fn

from captchahub._config import type_info
from captchahub._config.problems import InvalidValue
from captchahub._config.scalars import ReadContext
from captchahub.provider import Secret

__all__ = ["StrictConverter"]

Hook = Callable[[Any, Any], Any]  # what cattrs calls: a value and the type it should have

# Hooks find the context here instead of holding it, so that a converter can be kept: building one takes some
# milliseconds, more than reading a configuration.
_context: ContextVar[ReadContext] = ContextVar("context")

# cattrs has hooks of its own for these classes and their subclasses, and prefers them to hooks that a
# predicate chooses; ours must be registered for each of them.
_KNOWN_TO_CATTRS = (str, bytes, int, float, Path, Enum)


@attrs.frozen
class StrictConverter:
    """Structures the values of one configuration. Every type is strict."""

    context: ReadContext

    def structure(self, value: object, target: Any) -> Any:
        """Return the value as a ``target``.

        Raises :class:`InvalidValue`, or an error of cattrs that holds every one of them.
        """
        token = _context.set(self.context)
        try:
            return _converter_for(target).structure(value, target)
        finally:
            _context.reset(token)

    def get_structure_hook(self, target: Any) -> None:
        """Prepare for a type. Raises whatever its annotations raise."""
        _converter_for(target).get_structure_hook(target)


def _converter_for(target: Any) -> Converter:
    return _converter(target if isinstance(type_info.info_of(target), type_info.ClassType) else None)


# A settings class has its own, because cattrs takes `int | float` for `float | int`, which reads differently.
@lru_cache(maxsize=64)
def _converter(_owner: type | None) -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook_factory(_is_known, _hook)
    for kind in _KNOWN_TO_CATTRS:
        converter.register_structure_hook(kind, lambda value, target: _hook(target, converter)(value, target))
    return converter


def _is_known(target: object) -> bool:
    return not isinstance(type_info.info_of(target), type_info.UnknownType)


def _hook(target: Any, converter: Converter) -> Hook:  # noqa: C901, PLR0911  # one case a kind of type  # noqa: C901, PLR0911  # one case a kind of type
    """Return what structures a value of a type. The type is one that :func:`info_of` knows."""
    match type_info.info_of(target):
        case type_info.ScalarType(_, scalar):
            return lambda value, _type: scalar.read(value, _context.get())
        case type_info.ChoiceType(choices):
            return lambda value, _type: _choice(choices, value)
        case type_info.UnionType() as union:
            return _union(union, converter)
        case type_info.ListType(item, make):
            return _list(item, make, converter)
        case type_info.TupleType(items):
            return _tuple(items, converter)
        case type_info.MappingType(key_type, value_type):
            return _mapping(types.GenericAlias(dict, (key_type, value_type)), converter)
        case type_info.ClassType(target=named):
            return _class(named, converter)
        case type_info.UnknownType():
            raise TypeError(f"cattrs structures a {target}")


def _choice(choices: Sequence[tuple[object, object]], value: object) -> object:
    for written, meant in choices:
        # The types are compared as well, because 1 == True in Python.
        if type(written) is type(value) and written == value:
            return meant
    raise InvalidValue("one of " + ", ".join(str(written) for written, _meant in choices), value)


def _class(target: type[attrs.AttrsInstance], converter: Converter) -> Hook:
    structure = make_dict_structure_fn(
        target,
        converter,
        _cattrs_forbid_extra_keys=True,
        _cattrs_detailed_validation=True,
        _cattrs_use_alias=True,
    )
    return lambda value, kind: structure(_a_mapping(value), kind)


def _a_mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise InvalidValue("a mapping", value)
    return value  # pyright: ignore[reportUnknownVariableType]  # the hooks behind check what is in it


def _mapping(target: Any, converter: Converter) -> Hook:
    structure: Hook = mapping_structure_factory(target, converter)
    return lambda value, kind: structure(_a_mapping(value), kind)


def _list(item: Any, make: Callable[[list[Any]], object], converter: Converter) -> Hook:
    items: Any = types.GenericAlias(list, (item,))
    structure: Hook = list_structure_factory(items, converter)
    return lambda value, _type: make(structure(_a_list(value), items))


def _a_list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise InvalidValue("a list", value)
    return value  # pyright: ignore[reportUnknownVariableType]  # the hooks behind check what is in it


def _tuple(members: Sequence[Any], converter: Converter) -> Hook:
    def structure(value: object, _type: object) -> object:
        items = _a_list(value)
        if len(items) != len(members):
            raise InvalidValue(f"a list of {len(members)}", value)
        done: list[object] = []
        errors: list[Exception] = []
        for index, (item, member) in enumerate(zip(items, members, strict=True)):
            try:
                done.append(converter.structure(item, member))
            except Exception as error:  # noqa: BLE001  # kept, with its place, in the error raised below
                error.add_note(IterableValidationNote("", index, member))
                errors.append(error)
        if errors:
            raise IterableValidationError("", errors, tuple)  # pyright: ignore[reportCallIssue]  # its own, not a group's
        return tuple(done)

    return structure


def _union(union: type_info.UnionType, converter: Converter) -> Hook:
    def structure(value: object, _type: object) -> object:
        if value is None and union.allows_none:
            return None
        if len(union.members) == 1:
            return converter.structure(value, union.members[0])
        for member in union.members:
            try:
                return converter.structure(value, member)
            except Exception:  # noqa: BLE001, S112  # the next member may fit; below, none did
                continue
        names = " or ".join(_WORDS.get(member, "another form") for member in union.members)
        raise InvalidValue(names, value, hidden=Secret in union.members)

    return structure


_WORDS: Mapping[object, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Decimal: "an amount",
    Path: "a path",
    Secret: "a secret",
}
