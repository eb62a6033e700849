"""The JSON Schema of the configuration, written from the settings classes that the loader reads by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from captchahub._config import type_info
from captchahub._config.json_schema import DEFINITIONS, REFERENCE, Schema, any_of, choice, closed_object
from captchahub._config.names import COMMON_KEYS, PROVIDER_NAME, task_kinds
from captchahub._config.routes import FALLBACK_ERRORS
from captchahub._support.field_docs import class_doc
from captchahub._support.notation import DatabaseAddress, FilePath, Weight
from captchahub.provider import ProviderKind
from captchahub.settings import Budget, HubSettings, JournalSettings, ProviderSettings, RouteSettings

_DIALECT = "https://json-schema.org/draft/2020-12/schema"

_BUDGET: Schema = {"$ref": "#/$defs/budget"}

# Each plugin repeats the keys that every provider has, so they are described once and referred to.
_COMMON: Schema = {key: {"$ref": f"#/$defs/common-{key}"} for key in COMMON_KEYS}


def configuration_schema(kinds: Iterable[ProviderKind[Any]]) -> Schema:
    """Return the schema of a configuration that can use these kinds of providers."""
    usable = {kind.name: kind for kind in kinds}
    tasks: Schema = {"enum": sorted(task_kinds(usable.values()))}
    plugin = any_of({"enum": sorted(usable)}, REFERENCE)
    common = _properties(ProviderSettings, {"plugin": plugin, "budget": _BUDGET})
    common["prices"]["propertyNames"] = tasks
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
    journal = any_of(
        _schema_of(FilePath, ()), _schema_of(JournalSettings, ()), _schema_of(DatabaseAddress, ())
    )
    special = {"providers": providers, "routes": routes, "budget": _BUDGET, "journal": journal}
    # Which other keys a provider has depends on its plugin. If a reference names the plugin, any key is fine.
    choices: list[Schema] = [
        {
            "if": {"properties": {"plugin": {"const": name}}, "required": ["plugin"]},
            "then": {"$ref": f"#/$defs/plugin-{name}"},
        }
        for name in usable
    ]
    provider: Schema = {"type": "object", "properties": _COMMON, "required": ["plugin"]}
    return {
        "$schema": _DIALECT,
        "title": "captchahub configuration",
        **closed_object(_properties(HubSettings, special), required=["providers"]),
        "$defs": {
            **DEFINITIONS,
            "budget": _schema_of(Budget, ()),
            "route": _route(),
            # JSON Schema allows no empty allOf.
            "provider": {**provider, "allOf": choices} if choices else provider,
            **{f"common-{key}": schema for key, schema in common.items()},
            **{f"plugin-{name}": _plugin(kind) for name, kind in usable.items()},
        },
    }


def _plugin(kind: ProviderKind[Any]) -> Schema:
    own = _properties(kind.settings)
    description = class_doc(kind.settings)
    return {
        **({"description": description} if description else {}),
        **closed_object({**own, **_COMMON}, required=["plugin", *_required(kind.settings)]),
    }


def _route() -> Schema:
    name: Schema = {"type": "string"}
    names: Schema = {"type": "array", "items": name, "minItems": 1}
    weights: Schema = {"type": "object", "additionalProperties": _schema_of(Weight, ()), "minProperties": 1}
    groups: Schema = {"type": "array", "items": any_of(name, names, weights), "minItems": 1}
    errors: Schema = {"type": "array", "items": choice(sorted(FALLBACK_ERRORS))}
    properties = _properties(RouteSettings, {"providers": groups, "fallback_on": errors})
    return any_of(groups, closed_object(properties, required=["providers"]))


def _properties(
    target: type[Any],
    special: Mapping[str, Schema] | None = None,
    around: tuple[type, ...] = (),
) -> dict[str, Schema]:
    """Return the keys of a settings class, described by its docstrings.

    ``special`` has the keys that are written in other ways than their types say; ``around`` are the classes
    that hold this one.
    """
    properties: dict[str, Schema] = {}
    for field in type_info.settings_fields(target):
        schema = (special or {}).get(field.key) or _schema_of(field.type, (*around, target))
        described = {"description": field.description} if field.description else {}
        properties[field.key] = {**schema, **described}
    return properties


def _required(target: type[Any]) -> list[str]:
    return [field.key for field in type_info.settings_fields(target) if field.is_required]


def _schema_of(  # noqa: C901, PLR0911  # one case a kind of type
    target: Any, around: tuple[type, ...]
) -> Schema:
    """Return what a value of a type looks like in the file."""
    match type_info.info_of(target):
        case type_info.ScalarType(_, scalar):
            return scalar.schema
        case type_info.ChoiceType(choices):
            return choice(written for written, _meant in choices)
        case type_info.UnionType(members, allows_none):
            null: list[Schema] = [{"type": "null"}] if allows_none else []
            return any_of(*(_schema_of(member, around) for member in members), *null)
        case type_info.ListType(item):
            return {"type": "array", "items": _schema_of(item, around)}
        case type_info.TupleType(items):
            size = len(items)
            members = [_schema_of(item, around) for item in items]
            return {"type": "array", "prefixItems": members, "minItems": size, "maxItems": size}
        case type_info.MappingType(_key, value):
            return {"type": "object", "additionalProperties": _schema_of(value, around)}
        case type_info.ClassType(inner):
            # A class that holds itself is described once.
            if inner in around:
                return {"type": "object"}
            return closed_object(_properties(inner, None, around), required=_required(inner))
        case type_info.UnknownType():
            return {}
