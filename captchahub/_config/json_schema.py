"""The parts of a JSON Schema that every kind of value uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

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


def any_of(*schemas: Schema) -> Schema:
    """Return the schema of what fits one of these."""
    return {"anyOf": list(schemas)}


def text(pattern: str) -> Schema:
    """Return the schema of a text that is this pattern as a whole, or comes from a reference."""
    return any_of({"type": "string", "pattern": f"^({pattern})$"}, REFERENCE)


def choice(values: Iterable[object]) -> Schema:
    """Return the schema of one of these values; a text can come from a reference as well."""
    choices = list(values)
    # A reference always gives text, so it can't stand for a number.
    chosen: Schema = {"enum": choices}
    return any_of(chosen, REFERENCE) if any(isinstance(one, str) for one in choices) else chosen


def closed_object(properties: Mapping[str, Schema], *, required: Iterable[str] = ()) -> Schema:
    """Return the schema of a mapping with these keys and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }
