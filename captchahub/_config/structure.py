"""Plain values → typed ones, strictly: nothing is converted silently, and every misfit keeps its place."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
from cattrs import Converter, IterableValidationError, IterableValidationNote
from cattrs.cols import (
    is_mapping,
    list_structure_factory,
    mapping_structure_factory,  # pyright: ignore[reportUnknownVariableType]  # a gap in its own types
)
from cattrs.gen import make_dict_structure_fn

from captchahub._config.problems import InvalidValue
from captchahub._config.scalars import scalar_readers, unheld
from captchahub.provider import Secret

Hook = Callable[[Any, Any], Any]  # what cattrs calls: a value and the type it should have


Read = Callable[[object], object]

# What reads the single values of the configuration that is being read. The hooks of a converter find it here,
# so that a converter can be kept: to build one takes some milliseconds, more than to read a configuration.
_readers: ContextVar[Mapping[Any, Read]] = ContextVar("readers")


@attrs.frozen
class StrictConverter:
    """Structures the values of one configuration. Every type is strict."""

    readers: Mapping[Any, Read]
    """What reads each type of a single value; see :func:`captchahub._config.scalars.scalar_readers`."""

    def structure(self, value: object, target: Any) -> Any:
        """The value as a ``target``. Raises Misfit, or an error of cattrs that holds every misfit."""
        token = _readers.set(self.readers)
        try:
            return _converter_for(target).structure(value, target)
        finally:
            _readers.reset(token)

    def get_structure_hook(self, target: Any) -> None:
        """Prepare for a type. Raises whatever its annotations raise."""
        _converter_for(target).get_structure_hook(target)


def strict_converter(base: Path, is_followed: Callable[[str], bool]) -> StrictConverter:
    """A converter for one configuration; for ``base`` and ``is_followed`` see scalar_readers()."""
    return StrictConverter(scalar_readers(base, is_followed))


def _converter_for(target: Any) -> Converter:
    return _converter(target if _is_class(target) else None)


# A settings class has its own, because cattrs takes `int | float` for `float | int`, which reads differently.
@lru_cache(maxsize=64)
def _converter(_owner: type | None) -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for target in scalar_readers(Path(), lambda _text: False):
        converter.register_structure_hook(target, _scalar(target))
    converter.register_structure_hook(Enum, _member)
    converter.register_structure_hook_func(lambda target: target is object, lambda value, _type: value)
    for applies, factory in _FACTORIES:
        converter.register_structure_hook_factory(applies, factory)
    return converter


def _scalar(target: object) -> Hook:
    def structure(value: object, wanted: Any) -> object:
        # cattrs asks the hook of a class for its subclasses too: an enum of texts is a text to it.
        if wanted is target:
            return _readers.get()[target](value)
        if _is_enum(wanted):
            return _member(value, wanted)
        raise unheld(wanted.__name__, value)

    return structure


def _one_of(choices: Sequence[tuple[object, object]], value: object) -> object:
    for choice, result in choices:
        if type(choice) is type(value) and choice == value:
            return result
    raise InvalidValue("one of " + ", ".join(str(choice) for choice, _result in choices), value)


def _literal(target: Any, _converter: Converter) -> Hook:
    choices = [(choice, choice) for choice in typing.get_args(target)]
    return lambda value, _type: _one_of(choices, value)


def _is_enum(target: object) -> bool:
    return isinstance(target, type) and issubclass(target, Enum)


def _member(value: object, target: type[Enum]) -> object:
    return _one_of([(member.value, member) for member in target], value)


def _is_class(target: object) -> bool:
    return isinstance(target, type) and attrs.has(target)


def _settings(target: type[attrs.AttrsInstance], converter: Converter) -> Hook:
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
    structure = mapping_structure_factory(target, converter)
    return lambda value, kind: structure(_a_mapping(value), kind)


Make = Callable[[Any], Any]

_CONTAINERS: Mapping[object, Make] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
    AbstractSet: frozenset,
}


def _is_container(target: object) -> bool:
    origin = typing.get_origin(target) or target
    return isinstance(origin, type) and origin in _CONTAINERS


def _items(target: Any, converter: Converter) -> Hook:
    arguments = typing.get_args(target) or (object,)
    make = _CONTAINERS[typing.get_origin(target) or target]
    if make is tuple and typing.get_origin(target) is tuple and arguments[-1] is not Ellipsis:
        return _fixed(arguments, converter)
    items: Any = types.GenericAlias(list, (arguments[0],))
    structure: Hook = list_structure_factory(items, converter)
    return lambda value, _type: make(structure(_a_list(value), items))


def _a_list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise InvalidValue("a list", value)
    return value  # pyright: ignore[reportUnknownVariableType]  # the hooks behind check what is in it


def _fixed(members: tuple[Any, ...], converter: Converter) -> Hook:
    """A tuple of a given length, each place with a type of its own."""

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


def _is_literal(target: object) -> bool:
    return typing.get_origin(target) == typing.Literal


def _is_union(target: object) -> bool:
    return typing.get_origin(target) in (typing.Union, types.UnionType)


def _union(target: Any, converter: Converter) -> Hook:
    arguments = typing.get_args(target)
    members = [member for member in arguments if member is not types.NoneType]

    def structure(value: object, _type: object) -> object:
        if value is None and len(members) < len(arguments):
            return None
        if len(members) == 1:
            return converter.structure(value, members[0])
        for member in members:
            try:
                return converter.structure(value, member)
            except Exception:  # noqa: BLE001, S112  # the next member may fit; below, none did
                continue
        names = " or ".join(_WORDS.get(member, "another form") for member in members)
        raise InvalidValue(names, value, hidden=Secret in members)

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

# cattrs asks the one registered last first; no two of these apply to the same type.
_FACTORIES: Sequence[tuple[Callable[[Any], bool], Callable[[Any, Converter], Hook]]] = (
    (_is_literal, _literal),
    (_is_class, _settings),
    (is_mapping, _mapping),
    (_is_container, _items),
    (_is_union, _union),
)
