"""The JSON Schema of the configuration, written from the tables that the loader reads by."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import attrs

from captchahub._config.budgets import BUDGET_KEYS, NEEDED_KEYS
from captchahub._config.keys import (
    COMMON_KEYS,
    HEALTH_KEYS,
    HTTP_KEYS,
    HUB_KEYS,
    JOURNAL_KEYS,
    KEY_TEXTS,
    LIMIT_KEYS,
    PLUGIN_KEYS,
    PROVIDER_NAME,
    ROUTE_TEXTS,
    TOP_KEYS,
    task_kinds,
)
from captchahub._config.routes import FALLBACK_ERRORS, RULES
from captchahub._config.scalars import (
    MAX_AMOUNT,
    MAX_COUNT,
    NEVER,
    CertificatesPath,
    Count,
    Currency,
    Duration,
    FailureLimit,
    FilePath,
    HeaderText,
    HedgeDelay,
    Limit,
    Pause,
    Price,
    ProxyAddress,
    Share,
    ShareLimit,
    Weight,
)
from captchahub._support.field_docs import class_doc, field_docs
from captchahub.provider import ProviderKind, Secret
from captchahub.settings import Rate

__all__ = [
    "DEFINITIONS",
    "REFERENCE",
    "SCALARS",
    "Schema",
    "any_of",
    "configuration_schema",
    "properties_of",
    "schema_of",
    "text",
]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def configuration_schema(kinds: Iterable[ProviderKind[Any]]) -> Schema:
    """The schema of a configuration that can use these kinds of providers."""
    usable = {kind.name: kind for kind in kinds}
    tasks: Schema = {"enum": sorted(task_kinds(usable.values()))}
    provider = _provider_properties(usable, tasks)
    return {
        "$schema": _DIALECT,
        "title": "captchahub configuration",
        **_closed(_top_properties(tasks), required=["providers"]),
        "$defs": {
            **DEFINITIONS,
            "budget": _budget(),
            "route": _route(),
            "provider": _provider(provider, usable),
            **{f"common-{key}": schema for key, schema in provider.items()},
            **{_of_plugin(name): _plugin(kind, provider) for name, kind in usable.items()},
        },
    }


def _closed(properties: Mapping[str, Schema], *, required: Iterable[str] = ()) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }


def _described(schema: Schema, words: str) -> Schema:
    return {**schema, "description": words}


def _table(types: Mapping[str, Any], around: str) -> dict[str, Schema]:
    return {key: _described(schema_of(target), KEY_TEXTS[f"{around}{key}"]) for key, target in types.items()}


def _top_properties(tasks: Schema) -> dict[str, Schema]:
    providers: Schema = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{PROVIDER_NAME}$"},
        "additionalProperties": {"$ref": "#/$defs/provider"},
    }
    routes: Schema = {
        "type": "object",
        "propertyNames": tasks,
        "additionalProperties": {"$ref": "#/$defs/route"},
    }
    journal = any_of(schema_of(JOURNAL_KEYS["path"]), _closed(_table(JOURNAL_KEYS, "journal.")))
    parts: dict[str, Schema] = {
        "providers": providers,
        "routes": routes,
        "budget": {"$ref": "#/$defs/budget"},
        "journal": journal,
        "plugins": _closed(_table(PLUGIN_KEYS, "plugins.")),
    }
    described = {key: _described(schema, KEY_TEXTS[key]) for key, schema in parts.items()}
    every = {**described, **_table(HUB_KEYS, "")}
    return {key: every[key] for key in TOP_KEYS}


def _budget() -> Schema:
    zone: Schema = {"type": "string", "minLength": 1}
    properties = {**_table(NEEDED_KEYS, "budget."), "zone": _described(zone, KEY_TEXTS["budget.zone"])}
    return _closed({key: properties[key] for key in BUDGET_KEYS}, required=NEEDED_KEYS)


def _provider_properties(usable: Mapping[str, ProviderKind[Any]], tasks: Schema) -> dict[str, Schema]:
    """The keys that every provider takes."""
    parts: dict[str, Schema] = {
        "plugin": any_of({"enum": sorted(usable)}, REFERENCE),
        "health": _closed(_table(HEALTH_KEYS, "health.")),
        "budget": {"$ref": "#/$defs/budget"},
    }
    described = {key: _described(schema, KEY_TEXTS[f"provider.{key}"]) for key, schema in parts.items()}
    every = {**described, **_table(LIMIT_KEYS, "provider."), **_table(HTTP_KEYS, "provider.")}
    every["prices"] = {**every["prices"], "propertyNames": tasks}
    return {key: every[key] for key in COMMON_KEYS}


def _of_plugin(name: str) -> str:
    return f"plugin-{name}"


def _common(keys: Iterable[str]) -> dict[str, Schema]:
    return {key: {"$ref": f"#/$defs/common-{key}"} for key in keys}


def _provider(common: Mapping[str, Schema], usable: Mapping[str, ProviderKind[Any]]) -> Schema:
    """What a provider takes depends on its plugin; where a reference names that, nobody can say."""
    choices: list[Schema] = [
        {
            "if": {"properties": {"plugin": {"const": name}}, "required": ["plugin"]},
            "then": {"$ref": f"#/$defs/{_of_plugin(name)}"},
        }
        for name in usable
    ]
    return {
        "type": "object",
        "properties": _common(common),
        "required": ["plugin"],
        **({"allOf": choices} if choices else {}),
    }


def _plugin(kind: ProviderKind[Any], common: Mapping[str, Schema]) -> Schema:
    own, required = properties_of(kind.settings)
    words = class_doc(kind.settings)
    return {
        **({"description": words} if words else {}),
        **_closed({**own, **_common(common)}, required=["plugin", *required]),
    }


def _route() -> Schema:
    name: Schema = {"type": "string"}
    names: Schema = {"type": "array", "items": name, "minItems": 1}
    weights: Schema = {"type": "object", "additionalProperties": schema_of(Weight), "minProperties": 1}
    groups: Schema = {"type": "array", "items": any_of(name, names, weights), "minItems": 1}
    errors: Schema = {"type": "array", "items": any_of({"enum": sorted(FALLBACK_ERRORS)}, REFERENCE)}
    parts = {"providers": groups, "fallback_on": errors}
    parts.update({key: schema_of(target) for key, target in RULES.items()})
    described = {key: _described(schema, ROUTE_TEXTS[key]) for key, schema in parts.items()}
    return any_of(groups, _closed(described, required=["providers"]))


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
