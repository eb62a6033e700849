"""The directive ``configuration-keys``: each key of the configuration, with type, default and description.

The keys and their types come from the JSON Schema that ``captchahub config schema`` prints, the defaults from
``captchahub config show``. Both are written from the settings classes, so the page cannot be out of date.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

Schema = Mapping[str, Any]

# The first example that fits the pattern of a text describes it.
_EXAMPLES = [
    ("0s", "a time such as `30s`, or `0s` for none"),
    ("30s", "a time such as `30s`"),
    ("20/second", "a number in a time, such as `20/second`"),
    ("5 %", "a share such as `5%`"),
    ("5.00", "an amount such as `5.00`"),
    ("USD", "three capital letters"),
    ("never", "`never`"),
    ("http://127.0.0.1:3128", "an address such as `http://127.0.0.1:3128`"),
]
# A key without a default at its place: its mapping as a whole has none.
_WITHOUT_EXAMPLE = {"budget": {"limit": 5, "per": "day"}, "journal": {"path": "jobs.db"}}
# What these contain has sections of its own.
_SECTIONS = {
    "providers": "a mapping of names to providers",
    "routes": "a mapping of kinds of task to routes",
}
_CODE = re.compile(r"`([^`]+)`")


def _output(*arguments: str) -> Any:
    # A process of its own, because other extensions change the classes of this one.
    command = [sys.executable, "-m", "captchahub", *arguments]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)  # noqa: S603 - our own
    if ran.returncode != 0:
        raise RuntimeError(f"captchahub {' '.join(arguments)} failed:\n{ran.stderr}")
    return json.loads(ran.stdout)


@cache
def _schema() -> Schema:
    schema: Schema = _output("config", "schema")
    return schema


@cache
def _defaults(plugin: str) -> Mapping[str, Any]:
    """Return the keys of a configuration with one provider, as the program shows them."""
    own = _schema()["$defs"][f"plugin-{plugin}"]
    required = {key: _sample(own["properties"][key]) for key in own["required"] if key != "plugin"}
    provider = {"plugin": plugin, **required, "budget": _WITHOUT_EXAMPLE["budget"]}
    document = {
        "providers": {"name": provider},
        "routes": {"image-to-text": {"providers": ["name"]}},
        **_WITHOUT_EXAMPLE,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "captchahub.yaml"
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        shown = _output("config", "show", "--json", str(file))
    return _by_default(shown["configuration"], shown["sources"], "")


def _by_default(shown: Mapping[str, Any], sources: Mapping[str, str], place: str) -> Mapping[str, Any]:
    """Return the keys without those that are not there by default."""
    return {
        key: _by_default(_mapping(value), sources, f"{place}{key}.") or value
        for key, value in shown.items()
        if sources.get(place + key, "default") == "default"
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType] - of JSON


def _sample(schema: Schema) -> object:
    """Return a value that a required key of a plugin may have."""
    choices = [choice for one in (schema, *schema.get("anyOf", [])) for choice in one.get("enum", [])]
    return choices[0] if choices else "sample"


def _resolved(schema: Schema) -> Schema:
    """Return a schema without the reference to a definition; its own description goes first."""
    if "$ref" not in schema:
        return schema
    name = schema["$ref"].rpartition("/")[2]
    return {**_resolved(_schema()["$defs"][name]), **{k: v for k, v in schema.items() if k != "$ref"}}


def _is_reference(schema: Schema) -> bool:
    return str(schema.get("$ref", "")).endswith("/reference")


def _kind(schema: Schema) -> str:  # noqa: C901, PLR0911 - one case a kind of schema
    """Return in words which values fit a schema."""
    if "anyOf" in schema:
        members = [one for one in schema["anyOf"] if not _is_reference(one)]
        words = [_kind(_resolved(one)) for one in members if one != {"type": "null"}]
        return " or ".join(dict.fromkeys(words))
    if "enum" in schema:
        return "one of " + ", ".join(f"`{choice}`" for choice in schema["enum"])
    match schema.get("type"):
        case "boolean":
            return "`true` or `false`"
        case "integer" | "number" as number:
            return _number("a whole number" if number == "integer" else "a number", schema)
        case "string":
            return _text(schema.get("pattern", ""))
        case "array":
            return f"a list; each item is {_kind(_resolved(schema.get('items', {})))}"
        case "object" if isinstance(schema.get("additionalProperties"), dict):
            return f"a mapping; each value is {_kind(_resolved(schema['additionalProperties']))}"
        case "object":
            return "a mapping"
        case _:
            return "any value"


def _number(words: str, schema: Schema) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None and most < 1000:
        return f"{words} from {least} to {most}"
    return words if least is None else f"{words} from {least}"


def _text(pattern: str) -> str:
    fits = [words for example, words in _EXAMPLES if pattern.startswith("^") and re.search(pattern, example)]
    if "p[1-9]" in pattern:
        return "a time such as `15s`, or a percentile such as `p95`"
    return fits[0] if fits and not re.search(pattern, "any text") else "text"


class ConfigurationKeys(SphinxDirective):
    """Inserts the keys of ``hub``, ``provider``, ``route``, or of the plugin that is named."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a list with an entry for each key."""
        what = self.arguments[0]
        schema = _schema()
        definitions = schema["$defs"]
        shown = _defaults("omocaptcha" if what in ("hub", "provider", "route") else what)
        provider: Mapping[str, Any] = shown["providers"]["name"]
        if what == "hub":
            return [self._list(schema["properties"], schema["required"], shown, "")]
        if what == "provider":
            return [self._list(definitions["provider"]["properties"], ["plugin"], provider, "providers.")]
        if what == "route":
            (keys,) = [one for one in definitions["route"]["anyOf"] if "properties" in one]
            return [
                self._list(keys["properties"], keys["required"], shown["routes"]["image-to-text"], "routes.")
            ]
        own = definitions[f"plugin-{what}"]
        keys = {key: one for key, one in own["properties"].items() if "$ref" not in one}
        return [self._list(keys, own["required"], provider, f"{what}.")]

    def _list(
        self, keys: Mapping[str, Schema], required: Sequence[str], shown: Mapping[str, Any], prefix: str
    ) -> nodes.definition_list:
        entries = nodes.definition_list(classes=["keys"])
        for key, written in keys.items():
            entries += self._entry(
                key, _resolved(written), shown.get(key), prefix, is_required=key in required
            )
        return entries

    def _entry(
        self, key: str, schema: Schema, default: object, prefix: str, *, is_required: bool
    ) -> nodes.definition_list_item:
        name = prefix + key
        term = nodes.term("", "", nodes.literal(key, key), ids=[nodes.make_id(f"key-{name}")])
        inner = self._inner(schema, default, name)
        written = "required" if is_required else None if inner or name in _SECTIONS else _default(default)
        described = [_SECTIONS.get(name) or _kind(schema), *([written] if written else [])]
        term += nodes.inline("", "", *_with_code("; ".join(described)), classes=["key-type"])
        definition = nodes.definition()
        if schema.get("description"):
            definition += nodes.paragraph("", "", *_with_code(schema["description"]))
        definition += inner
        return nodes.definition_list_item("", term, definition)

    def _inner(self, schema: Schema, default: object, name: str) -> list[nodes.Node]:
        mappings = [one for one in (schema, *schema.get("anyOf", [])) if "properties" in one]
        if not mappings or name in _SECTIONS:
            return []
        required = mappings[0].get("required", ())
        return [self._list(mappings[0]["properties"], required, _mapping(default), f"{name}.")]


def _default(value: object) -> str | None:
    if value is None or value in ([], {}):
        return None
    if isinstance(value, bool):
        return f"default `{str(value).lower()}`"
    if isinstance(value, list):
        return "default " + ", ".join(f"`{one}`" for one in value)  # pyright: ignore[reportUnknownVariableType]
    return f"default `{value}`"


def _with_code(text: str) -> Iterator[nodes.Node]:
    for number, piece in enumerate(_CODE.split(text)):
        yield nodes.literal(piece, piece) if number % 2 else nodes.Text(piece)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the extension."""
    app.add_directive("configuration-keys", ConfigurationKeys)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
