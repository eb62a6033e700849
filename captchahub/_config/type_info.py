"""What an annotation says of the values that it allows.

Reading a value, describing it by a JSON Schema, and showing it all start from :func:`info_of`, so that they
agree on every type.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping, MutableSequence, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import lru_cache, reduce
from typing import Any, TypeAlias

import attrs

from captchahub._config.scalars import SCALARS, Scalar, unwritable
from captchahub._support.field_docs import field_docs
from captchahub._support.notation import Inline, Internal, Key


@attrs.frozen
class ScalarType:
    """A single value, and how it is written; ``notation`` is a type or a name of :mod:`notation`."""

    notation: Any
    scalar: Scalar


@attrs.frozen
class ChoiceType:
    """One of some fixed values: each as it is written, with what it means."""

    choices: Sequence[tuple[object, object]]


@attrs.frozen
class UnionType:
    """A value of any of several types."""

    members: Sequence[Any]
    allows_none: bool


@attrs.frozen
class ListType:
    """A list whose items are of one type; ``make`` turns it into what the annotation names."""

    item: Any
    make: Callable[[list[Any]], object]


@attrs.frozen
class TupleType:
    """A list of a given length, each position with a type of its own."""

    items: Sequence[Any]


@attrs.frozen
class MappingType:
    """A mapping whose keys are of one type, and its values of another."""

    key: Any
    value: Any


@attrs.frozen
class ClassType:
    """A mapping with the fields of an attrs class; ``target`` has the arguments of a generic one."""

    type: type[Any]
    target: Any


@attrs.frozen
class UnknownType:
    """A type that this module does not know. cattrs may know it, such as a dataclass.

    ``members`` are its arguments.
    """

    members: Sequence[Any]


TypeInfo: TypeAlias = (
    ScalarType | ChoiceType | UnionType | ListType | TupleType | MappingType | ClassType | UnknownType
)

# An abstract type gets a class that can't be changed, unless its name asks for one that can.
_LISTS: Mapping[object, Callable[[list[Any]], object]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
    MutableSequence: list,
    AbstractSet: frozenset,
    MutableSet: set,
}


def info_of(target: Any) -> TypeInfo:
    """Return what a type says; a NewType or an alias says what the type behind it says."""
    if _is_scalar(target):
        return ScalarType(target, SCALARS[target])
    origin, arguments = typing.get_origin(target) or target, typing.get_args(target)
    if origin is typing.Annotated:
        # How a value is written goes before what it is: `Annotated[float | None, Duration]` is no null.
        return info_of(next((one for one in target.__metadata__ if _is_scalar(one)), arguments[0]))
    behind = getattr(target, "__supertype__", None) or getattr(target, "__value__", None)
    # A class can have attributes with these names of its own.
    if behind is not None and not isinstance(target, type):
        return info_of(behind)
    if origin is typing.Literal:
        return ChoiceType([(choice, choice) for choice in arguments])
    if origin in (typing.Union, types.UnionType):
        members = [one for one in arguments if one is not types.NoneType]
        return UnionType(members, allows_none=len(members) < len(arguments))
    return _of_class(target, origin, arguments) if isinstance(origin, type) else UnknownType(arguments)


def _is_scalar(target: object) -> bool:
    return isinstance(target, typing.Hashable) and target in SCALARS


def _of_class(  # noqa: PLR0911  # one case a kind of type
    target: Any, origin: type[Any], arguments: Sequence[Any]
) -> TypeInfo:
    if issubclass(origin, Enum):
        return ChoiceType([(member.value, member) for member in origin])
    if attrs.has(origin):
        return ClassType(origin, target)
    if issubclass(origin, Mapping):
        return MappingType(*arguments) if len(arguments) == 2 else MappingType(object, object)
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return TupleType(arguments)
    if origin in _LISTS:
        return ListType(arguments[0] if arguments else object, _LISTS[origin])
    if any(isinstance(one, type) and one is not object and issubclass(origin, one) for one in SCALARS):
        # A subclass of a scalar type: nothing in a configuration has this type.
        return ScalarType(origin, Scalar(unwritable(origin.__name__), {}, is_open=True))
    return UnknownType(arguments)


@attrs.frozen
class SettingsField:
    """A key of a settings class."""

    key: str
    path: Sequence[str]
    """The attributes that lead to its value: two for a key of a class that stands inline."""
    type: Any
    is_required: bool
    is_shown: bool
    """Whether its class shows it in its own repr; a value that it hides may be a secret."""
    owner: type
    """The class that defines it."""

    @property
    def description(self) -> str:
        """The first paragraph of its docstring, or "" if it has none."""
        return field_docs(self.owner).get(self.path[-1], "")

    def value_in(self, settings: object) -> object:
        """Return the value that these settings have."""
        return reduce(getattr, self.path, settings)


def settings_fields(target: type[Any]) -> Sequence[SettingsField]:
    """Return the keys of a settings class in the order of its fields.

    Raises what looking at its annotations raises, which is anything in a plugin's class.
    """
    return _kept_fields(target)  # type: ignore[arg-type]  # mypy takes type[Any] for unhashable


# Each value that is read asks for the keys of its class, and they stay the same.
@lru_cache(maxsize=256)
def _kept_fields(target: type[Any]) -> Sequence[SettingsField]:
    return tuple(_fields_of(target))


def _fields_of(target: type[Any]) -> Iterator[SettingsField]:
    # Annotations are text until they are resolved; cattrs resolves them too.
    attrs.resolve_types(target)
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(target)
    for field in fields:
        metadata: tuple[object, ...] = getattr(field.type, "__metadata__", ())
        if Inline in metadata:
            for inner in settings_fields(typing.get_args(field.type)[0]):
                yield attrs.evolve(inner, path=(field.name, *inner.path))
        elif field.init and Internal not in metadata:
            keys = [one.name for one in metadata if isinstance(one, Key)]
            yield SettingsField(
                key=keys[0] if keys else field.alias or field.name,
                path=(field.name,),
                type=field.type or object,
                is_required=field.default is attrs.NOTHING,
                # A function for the repr may shorten a secret or mask it.
                is_shown=field.repr is True,
                owner=target,
            )


def keys_of(target: type[Any]) -> tuple[str, ...]:
    """Return the keys of a settings class."""
    return tuple(field.key for field in settings_fields(target))
