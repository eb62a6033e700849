"""The JSON Schema of the configuration, written from the tables that the loader reads by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from captchahub._config.budgets import BUDGET_KEYS, NEEDED_KEYS
from captchahub._config.docs import class_doc
from captchahub._config.key_texts import KEY_TEXTS, ROUTE_TEXTS
from captchahub._config.routes import FALLBACK_ERRORS, RULES
from captchahub._config.scalars import Weight
from captchahub._config.tables import (
    COMMON_KEYS,
    HEALTH_KEYS,
    HTTP_KEYS,
    HUB_KEYS,
    JOURNAL_KEYS,
    LIMIT_KEYS,
    PLUGIN_KEYS,
    PROVIDER_NAME,
    TOP_KEYS,
    task_kinds,
)
from captchahub._config.type_schemas import (
    DEFINITIONS,
    REFERENCE,
    Schema,
    any_of,
    properties_of,
    schema_of,
)
from captchahub.provider import ProviderKind

__all__ = ["configuration_schema"]

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
