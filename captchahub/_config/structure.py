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

Hook = Callable[[Any, Any], Any]  # what cattrs calls: a value and the type it should have

# Hooks find the context here instead of holding it, so that a converter can be kept: building one takes some
# milliseconds, more than reading a configuration.
_context: ContextVar[ReadContext] = ContextVar("context")

# cattrs has hooks of its own for these classes and their subclasses, and prefers them to hooks that a
# predicate chooses; ours must be registered for each of them.
_KNOWN_TO_CATTRS = (str, bytes, int, float, Path, Enum)


def structured(value: object, target: Any, context: ReadContext) -> Any:
    """Return a plain value as a ``target``, strictly.

    Raises :class:`InvalidValue`, or an error of cattrs that holds every one of them.
    """
    token = _context.set(context)
    try:
        return _converter_for(target).structure(value, target)
    finally:
        _context.reset(token)


def prepare(target: Any) -> None:
    """Prepare for values of a type. Raises whatever its annotations raise."""
    _converter_for(target).get_structure_hook(target)


def _converter_for(target: Any) -> Converter:
    return _converter(target if isinstance(type_info.info_of(target), type_info.ClassType) else None)


# A settings class has its own, because cattrs takes `int | float` for `float | int`, which reads differently.
@lru_cache(maxsize=64)
def _converter(_owner: type | None) -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook_factory(
        lambda target: not isinstance(type_info.info_of(target), type_info.UnknownType), _hook
    )
    for kind in _KNOWN_TO_CATTRS:
        converter.register_structure_hook(kind, lambda value, target: _hook(target, converter)(value, target))
    return converter


def _hook(target: Any, converter: Converter) -> Hook:  # noqa: C901, PLR0911  # one case a kind of type
    """Return what structures a value of a type. The type is one that :func:`info_of` knows."""
    match type_info.info_of(target):
        case type_info.ScalarType(_, scalar):
            return lambda value, _type: scalar.read(value, _context.get())
        case type_info.ChoiceType(choices):
            return lambda value, _type: _choice(choices, value)
        case type_info.UnionType() as union:
            return _union(union, converter)
        case type_info.ListType(item, make):
            items: Any = types.GenericAlias(list, (item,))
            structure: Hook = list_structure_factory(items, converter)
            return _only(list, "a list", lambda value, _type: make(structure(value, items)))
        case type_info.TupleType(members):
            return _only(list, "a list", _tuple(members, converter))
        case type_info.MappingType(key_type, value_type):
            mapping: Any = types.GenericAlias(dict, (key_type, value_type))
            return _only(dict, "a mapping", mapping_structure_factory(mapping, converter))
        case type_info.ClassType(target=named):
            return _only(dict, "a mapping", make_dict_structure_fn(named, converter, _cattrs_use_alias=True))
        case type_info.UnknownType():
            raise TypeError(f"cattrs structures a {target}")


def _only(kind: type, expected: str, hook: Hook) -> Hook:
    """Return a hook that refuses values that are not of a kind; cattrs takes all that it can iterate."""

    def structure(value: object, target: Any) -> object:
        if not isinstance(value, kind):
            raise InvalidValue(expected, value)
        return hook(value, target)

    return structure


def _choice(choices: Sequence[tuple[object, object]], value: object) -> object:
    for written, meant in choices:
        # The types are compared as well, because 1 == True in Python.
        if type(written) is type(value) and written == value:
            return meant
    raise InvalidValue("one of " + ", ".join(str(written) for written, _meant in choices), value)


def _tuple(members: Sequence[Any], converter: Converter) -> Hook:
    # As cattrs does it, which takes any iterable, and reports a wrong length with the values in it.
    def structure(value: list[object], _type: object) -> object:
        if len(value) != len(members):
            raise InvalidValue(f"a list of {len(members)}", value)
        done: list[object] = []
        errors: list[Exception] = []
        for index, (item, member) in enumerate(zip(value, members, strict=True)):
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
