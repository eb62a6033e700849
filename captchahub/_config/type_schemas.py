"""Types → JSON Schema: for each type that the loader reads, what a text or number must look like."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from captchahub._config.amounts import MAX_AMOUNT, Currency, Limit, Price
from captchahub._config.docs import field_docs
from captchahub._config.scalars import (
    MAX_COUNT,
    NEVER,
    CertificatesPath,
    Count,
    Duration,
    FailureLimit,
    FilePath,
    HeaderText,
    HedgeDelay,
    Pause,
    ProxyAddress,
    Share,
    ShareLimit,
    Weight,
)
from captchahub.provider import Secret
from captchahub.settings import Rate

__all__ = ["DEFINITIONS", "REFERENCE", "SCALARS", "Schema", "any_of", "properties_of", "schema_of", "text"]

Schema = dict[str, Any]
"""A JSON Schema: JSON, whose parts are of any type."""

REFERENCE: Schema = {"$ref": "#/$defs/reference"}
DEFINITIONS: Schema = {
    "reference": {
        "description": "A text with ${env:NAME}, ${file:PATH} or ${keyring:SERVICE/USER} in it.",
        "type": "string",
        "pattern": r"\$\{",
    }
}

_AMOUNT = r"[0-9]+(\.[0-9]+)?"
_TIME = r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d)"
_PERCENTAGE = r"[0-9]{1,3}(\.[0-9]{1,9})?\s?%"
_ABOVE_ZERO = "(?=[0.]*[1-9])"


def any_of(*schemas: Schema) -> Schema:
    """What fits one of these."""
    return {"anyOf": list(schemas)}


def text(pattern: str) -> Schema:
    """A text that is this pattern in whole, or comes from a reference."""
    return any_of({"type": "string", "pattern": f"^({pattern})$"}, REFERENCE)


_COUNT: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_COUNT}
_SHARE = any_of({"type": "number", "minimum": 0, "maximum": 1}, text(_PERCENTAGE))
_PRICE = any_of({"type": "number", "minimum": 0, "maximum": MAX_AMOUNT}, text(_AMOUNT))
_PATH: Schema = {"type": "string", "minLength": 1}

SCALARS: Mapping[Any, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    Decimal: any_of({"type": "number", "minimum": -MAX_AMOUNT, "maximum": MAX_AMOUNT}, text("-?" + _AMOUNT)),
    Secret: {
        "type": "string",
        "pattern": r"\S",
        "not": {"pattern": r"^\$[A-Za-z_][A-Za-z0-9_]*$"},
        "description": "A secret, best as ${env:NAME}.",
    },
    bytes: {"not": {}},
    Path: _PATH,
    CertificatesPath: _PATH,
    FilePath: _PATH,
    Duration: text(_ABOVE_ZERO + _TIME),
    Pause: text(_TIME),
    Rate: text(_ABOVE_ZERO + "[0-9]{1,9}/(second|minute|hour|day)"),
    HedgeDelay: text(f"{_TIME}|p[1-9][0-9]?"),
    Weight: {"type": "number", "minimum": 0, "maximum": MAX_COUNT},
    Share: _SHARE,
    FailureLimit: any_of(_COUNT, text(NEVER)),
    ShareLimit: any_of(_SHARE, {"const": NEVER}),
    Price: _PRICE,
    Limit: _PRICE,
    Currency: text("[A-Z]{3}"),
    Count: _COUNT,
    HeaderText: text("[ -~]*[!-~][ -~]*"),
    ProxyAddress: text(r"https?://[!-\"$-.0->@-~]+/?"),
}
"""One for each type of a single value; the same types as :func:`scalar_readers` has."""


def schema_of(target: Any) -> Schema:
    """What a value of a type looks like in the file; anything at all where nobody can say.

    Raises what looking at a settings class raises, whose annotations can fail in any way.
    """
    return _schema_of(target, ())


def properties_of(target: type[attrs.AttrsInstance]) -> tuple[dict[str, Schema], list[str]]:
    """The keys of a settings class, described by its docstrings, and which of them must be there."""
    return _properties(target, (target,))


def _schema_of(target: Any, around: tuple[type, ...]) -> Schema:
    known = SCALARS.get(target) if isinstance(target, typing.Hashable) else None
    if known is not None:
        return known
    origin = typing.get_origin(target) or target
    arguments = typing.get_args(target)
    if origin is typing.Annotated:
        return _schema_of(arguments[0], around)
    inner = getattr(target, "__supertype__", None) or getattr(target, "__value__", None)
    if inner is not None:
        return _schema_of(inner, around)
    if origin is typing.Literal:
        return _choice(arguments)
    if origin in (typing.Union, types.UnionType):
        return any_of(
            *({"type": "null"} if one is types.NoneType else _schema_of(one, around) for one in arguments)
        )
    return _class_schema(origin, arguments, around) if isinstance(origin, type) else {}


def _class_schema(origin: type[Any], arguments: tuple[Any, ...], around: tuple[type, ...]) -> Schema:
    if issubclass(origin, Enum):
        return _choice(member.value for member in origin)
    if attrs.has(origin):
        return {"type": "object"} if origin in around else _object(origin, (*around, origin))
    if issubclass(origin, Mapping):
        values = _schema_of(arguments[1], around) if len(arguments) == 2 else {}
        return {"type": "object", "additionalProperties": values}
    if issubclass(origin, tuple) and arguments and arguments[-1] is not Ellipsis:
        members = [_schema_of(one, around) for one in arguments]
        size = len(members)
        return {"type": "array", "prefixItems": members, "minItems": size, "maxItems": size}
    if issubclass(origin, (typing.Sequence, AbstractSet)) and not issubclass(origin, str):
        return {"type": "array", "items": _schema_of(arguments[0], around) if arguments else {}}
    return {}


def _choice(values: typing.Iterable[object]) -> Schema:
    choices = list(values)
    chosen: Schema = {"enum": choices}
    return any_of(chosen, REFERENCE) if any(isinstance(one, str) for one in choices) else chosen


def _object(target: type[attrs.AttrsInstance], around: tuple[type, ...]) -> Schema:
    properties, required = _properties(target, around)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _properties(
    target: type[attrs.AttrsInstance], around: tuple[type, ...]
) -> tuple[dict[str, Schema], list[str]]:
    # Annotations are texts until somebody looks, as the loader does too.
    attrs.resolve_types(target)
    told = field_docs(target)
    properties: dict[str, Schema] = {}
    required: list[str] = []
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(target)
    for field in fields:
        key = field.alias or field.name
        if field.init:
            described = {"description": told[field.name]} if field.name in told else {}
            properties[key] = {**_schema_of(field.type or object, around), **described}
            if field.default is attrs.NOTHING:
                required.append(key)
    return properties, required
