"""The JSON Schema: it says of a configuration what the loader says, as far as a schema can."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
import yaml
from captchahub_createtask import CreateTaskSettings
from captchahub_omocaptcha import OmoSettings
from jsonschema import Draft202012Validator

from captchahub._config.budgets import BUDGET_KEYS
from captchahub._config.keys import (
    COMMON_KEYS,
    HEALTH_KEYS,
    JOURNAL_KEYS,
    KEY_TEXTS,
    PLUGIN_KEYS,
    ROUTE_TEXTS,
    TOP_KEYS,
)
from captchahub._config.problems import InvalidValue, KeyPath, items_in
from captchahub._config.routes import ROUTE_KEYS
from captchahub._config.scalars import CertificatesPath, FilePath, scalar_readers
from captchahub._config.schema import DEFINITIONS, SCALARS, configuration_schema
from captchahub._plugins.manager import Plugins
from captchahub._support.field_docs import class_doc, field_docs
from captchahub.config import load_mapping
from captchahub.errors import ConfigError
from captchahub.provider import ProviderKind
from tests.config.test_config import PLUGINS
from tests.config.test_config_example import EXAMPLE, OPTION, SECRETS
from tests.test_docs import blocks

INSTALLED = Plugins()
SCHEMA = configuration_schema([INSTALLED.kind(name) for name in ("createtask", "omocaptcha")])
INSTALLED_ONES = Draft202012Validator(SCHEMA)
ECHO = configuration_schema([PLUGINS.kind("echo")])


def told(document: object, schema: Any = SCHEMA) -> list[str]:
    """What a schema has against a value."""
    validator: Any = INSTALLED_ONES if schema is SCHEMA else Draft202012Validator(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def example() -> Any:
    return yaml.safe_load(EXAMPLE.read_text())


def whole_example() -> Any:
    """The example, where every option that it shows is in use."""
    lines = [OPTION.sub(r"\1\2\3:\4", line) for line in EXAMPLE.read_text().splitlines()]
    # To know every time zone takes its time, and mutations are many.
    return yaml.safe_load("\n".join(lines).replace("Europe/Berlin", "UTC"))


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, name.lower())
    monkeypatch.setenv("COMPANY_PROXY", "http://127.0.0.1:3128")
    trustme.CA().cert_pem.write_to_path(tmp_path / "company-ca.pem")
    monkeypatch.chdir(tmp_path)


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    Draft202012Validator.check_schema(ECHO)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


@pytest.mark.parametrize("document", [example(), whole_example(), *map(yaml.safe_load, blocks("yaml"))])
def test_the_documented_configurations_are_fine(document: object) -> None:
    assert told(document) == []


def test_the_example_names_the_schema_in_its_first_line() -> None:
    first, *rest = EXAMPLE.read_text().splitlines()
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named is not None
    assert f"captchahub config schema > {named[1]}" in "\n".join(rest)


# --- it can't drift from the loader: every key, every type


def keys_of(schema: Mapping[str, Any]) -> set[str]:
    return set(schema["properties"])


def test_it_has_every_key_that_the_loader_reads_and_no_other() -> None:
    parts = SCHEMA["$defs"]
    assert keys_of(SCHEMA) == set(TOP_KEYS)
    assert keys_of(parts["provider"]) == set(COMMON_KEYS)
    assert keys_of(parts["budget"]) == set(BUDGET_KEYS)
    assert keys_of(parts["common-health"]) == set(HEALTH_KEYS)
    assert keys_of(SCHEMA["properties"]["journal"]["anyOf"][1]) == set(JOURNAL_KEYS)
    assert keys_of(parts["route"]["anyOf"][1]) == set(ROUTE_KEYS)


@pytest.mark.parametrize(
    ("name", "settings"), [("omocaptcha", OmoSettings), ("createtask", CreateTaskSettings)]
)
def test_it_has_every_key_of_a_plugin_with_the_words_of_its_docstring(name: str, settings: type) -> None:
    plugin = SCHEMA["$defs"][f"plugin-{name}"]
    own = {field.alias: field for field in attrs.fields(settings)}
    assert keys_of(plugin) == {*COMMON_KEYS, *own}
    assert set(plugin["required"]) == {
        "plugin",
        *(key for key, field in own.items() if field.default is attrs.NOTHING),
    }
    assert plugin["description"] == class_doc(settings)
    assert {key: plugin["properties"][key]["description"] for key in own} == field_docs(settings)


def test_every_key_has_a_line_about_it() -> None:
    named = {
        *TOP_KEYS,
        *(f"provider.{key}" for key in COMMON_KEYS),
        *(f"budget.{key}" for key in BUDGET_KEYS),
    }
    named |= {f"health.{key}" for key in HEALTH_KEYS} | {f"journal.{key}" for key in JOURNAL_KEYS}
    named |= {f"plugins.{key}" for key in PLUGIN_KEYS}
    assert set(KEY_TEXTS) == named
    assert set(ROUTE_TEXTS) == set(ROUTE_KEYS)


VALUES: tuple[object, ...] = (
    *("60s", "0s", "0.0s", "1.5m", "500ms", "30d", "5w", "s", "-5s", "60", "60 s", "p95", "p0", "p100"),
    *("20/second", "0/day", "5/week", "20/ second", "5%", "0.5 %", "12345%", "never", "Never", "USD", "usd"),
    *("0.0005", "-0.1", "1e3", "http://127.0.0.1:3128", "https://u:p@h", "h:1", "agent/1.0", "a\nb", "", " "),
    *("$TOKEN", "word", "ä", 0, 1, -1, 0.5, -0.5, 2**31, 10**10, True, False, None, [], {}, ["x"], {"x": 1}),
)
# What a schema can't know: what is on the disk.
ON_DISK = (CertificatesPath, FilePath)


@pytest.mark.parametrize("target", scalar_readers(Path(), lambda _text: False), ids=str)
def test_a_value_fits_a_type_in_the_schema_as_it_does_for_the_loader(target: Any) -> None:
    read = scalar_readers(Path(), lambda _text: False)[target]
    schema = {**SCALARS[target], "$defs": DEFINITIONS}

    def is_read(value: object) -> bool:
        try:
            read(value)
        except InvalidValue:
            return False
        return True

    by_loader = [value for value in VALUES if is_read(value)]
    by_schema = [value for value in VALUES if not told(value, schema)]
    if target in ON_DISK:
        by_schema = [value for value in by_schema if value in by_loader]
    assert by_schema == by_loader


def test_a_reference_fits_wherever_a_text_can_be() -> None:
    texts = [target for target in SCALARS if target not in (int, float, bool, bytes)]
    whole = {name for name in map(str, texts) if name.endswith(("Count", "Weight"))}
    fits = {
        str(target) for target in texts if not told("${env:X}", {**SCALARS[target], "$defs": DEFINITIONS})
    }
    assert fits == {str(target) for target in texts} - whole


EVERY_TYPE = {
    "plugin": "echo",
    "api_token": "tok-7",
    "base_url": "https://other.example",
    "mode": "exact",
    "size": "large",
    "tries": 2,
    "fee": "0.3",
    "ratio": 1,
    "loud": True,
    "words": ["one", "${env:TWO}"],
    "pair": [3, "x"],
    "either": "text",
    "tags": ["a"],
    "numbers": [1, 2],
    "labels": {"colour": "red"},
    "corner": {"x": 1, "y": 2},
    "corners": [{"x": 3, "y": 4}],
    "model": "data/model.bin",
    "key": None,
    "speed": "slow",
    "hidden": 3,
    "level": 4,
    "keys": ["tok-9"],
    "inner": {"secret": "tok-10"},
}
ODD = {
    "mode": "slow",
    "size": "SMALL",
    "tries": "2",
    "fee": [],
    "ratio": "1",
    "loud": "yes",
    "words": "one",
    "pair": [3],
    "either": [],
    "tags": {},
    "numbers": ["1"],
    "labels": {"a": 1},
    "corner": {"x": 1},
    "corners": [{"x": 1, "y": 2, "z": 3}],
    "model": 5,
    "key": 5,
    "speed": "fast",
    "hidden": None,
    "keys": [""],
    "inner": {},
    "raw": "abc",
    "_hidden": 1,
    "counted": 1,
}


def test_it_knows_every_type_that_a_plugin_can_use() -> None:
    assert told({"providers": {"a": EVERY_TYPE}}, ECHO) == []
    fine = [key for key, odd in ODD.items() if not told({"providers": {"a": {**EVERY_TYPE, key: odd}}}, ECHO)]
    assert fine == []


@attrs.frozen
class Branch:
    """A branch."""

    twigs: list[Branch] = attrs.field(factory=list["Branch"])


@attrs.frozen
class Tree:
    branch: Branch


def test_a_settings_class_that_holds_itself_has_an_end() -> None:
    schema = configuration_schema([ProviderKind("tree", Tree, lambda _own: None)])  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]  # it is never built
    document = yaml.safe_load("providers: {a: {plugin: tree, branch: {twigs: [{twigs: []}]}}}")
    assert told(document, schema) == []


@attrs.frozen
class Trunk:
    """What others grow from.

    More of it is for readers of the code.
    """

    height: int = 1
    """How high it is,
    in ``metres``."""
    bare: int = 0


@attrs.frozen
class Oak(Trunk):
    height: int = 20
    """How high this one is."""
    acorns: int = 0
    """How many there are."""


def test_docstrings_are_read_from_the_source_of_a_class_and_of_its_bases() -> None:
    assert class_doc(Trunk) == "What others grow from."
    assert field_docs(Trunk) == {"height": "How high it is, in `metres`."}
    assert field_docs(Oak) == {"height": "How high this one is.", "acorns": "How many there are."}


def test_a_class_without_a_source_has_no_words() -> None:
    made = attrs.make_class("Made", ["x"])
    assert (class_doc(made), field_docs(made)) == ("", {})


# --- mutations


def places(value: object, place: KeyPath = ()) -> Iterator[KeyPath]:
    for step, item in items_in(value):
        yield (*place, step)
        yield from places(item, (*place, step))


def holder(document: Any, place: KeyPath) -> Any:
    for step in place[:-1]:
        document = document[step]
    return document


def is_name(place: KeyPath) -> bool:
    """Whether a key is a name of the user's own."""
    return (len(place) == 2 and place[0] == "providers") or (
        place[0] == "routes" and isinstance((0, *place)[-2], int)
    )


WHOLE = whole_example()
# A second account of the same plugin has no key of its own.
PLACES = [place for place in places(WHOLE) if place[:2] != ("providers", "spare")]
KEYS = [place for place in PLACES if isinstance(place[-1], str) and not is_name(place)]


def refused(document: Any) -> bool:
    try:
        load_mapping(document, INSTALLED)
    except ConfigError:
        return True
    return False


def mutated(place: KeyPath, value: object) -> Any:
    document = copy.deepcopy(WHOLE)
    holder(document, place)[place[-1]] = value
    return document


@pytest.mark.parametrize("place", KEYS, ids=str)
def test_a_misspelt_key_is_refused_as_by_the_loader(place: KeyPath) -> None:
    document = copy.deepcopy(WHOLE)
    around = holder(document, place)
    around[f"{place[-1]}x"] = around.pop(place[-1])
    assert told(document)
    assert refused(document)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_value_of_a_wrong_type_is_refused_as_by_the_loader(place: KeyPath) -> None:
    for value in (None, True, -7.5, [[["odd"]]], {"odd": [1]}, {}):
        document = mutated(place, value)
        assert bool(told(document)) == refused(document), value


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_what_the_schema_refuses_the_loader_refuses_too(place: KeyPath) -> None:
    for value in ("odd", "5", "5s", 5, 0, "", [], ["omo"], {"omo": 1}):
        document = mutated(place, value)
        assert refused(document) or not told(document), value


@pytest.mark.parametrize("plugin", ["omocaptch", 5, None, ["omocaptcha"], ""])
def test_an_unknown_plugin_is_refused_as_by_the_loader(plugin: object) -> None:
    document = mutated(("providers", "omo", "plugin"), plugin)
    assert told(document)
    assert refused(document)


@pytest.mark.parametrize("key", ["providers", "providers.omo.plugin", "providers.omo.api_token"])
def test_a_key_that_must_be_there_is_missed_as_by_the_loader(key: str) -> None:
    place = tuple(key.split("."))
    document = whole_example()
    del holder(document, place)[place[-1]]
    assert told(document)
    assert refused(document)


def test_a_key_of_another_plugin_is_refused() -> None:
    assert told(mutated(("providers", "omo", "client_key"), "x"))


def test_a_plugin_that_a_reference_names_can_be_any() -> None:
    document = mutated(("providers", "omo", "plugin"), "${env:PLUGIN}")
    assert told(document) == []
