"""The JSON Schema accepts and refuses what the loader does, as far as a schema can."""

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

from captchahub._config.json_schema import DEFINITIONS
from captchahub._config.loader import read_mapping
from captchahub._config.names import COMMON_KEYS
from captchahub._config.plain_values import items_in
from captchahub._config.problems import InvalidValue, KeyPath
from captchahub._config.scalars import SCALARS, ReadContext
from captchahub._config.schema import configuration_schema
from captchahub._config.type_info import keys_of, settings_fields
from captchahub._plugins.manager import Plugins
from captchahub._support.field_docs import class_doc, field_docs
from captchahub._support.notation import CertificatesPath, FilePath, TimeZone
from captchahub.errors import ConfigError
from captchahub.provider import ProviderKind
from captchahub.settings import (
    Budget,
    HealthSettings,
    HubSettings,
    JournalSettings,
    PluginSettings,
    ProviderSettings,
    RouteSettings,
)
from tests.config.test_config import PLUGINS
from tests.config.test_config_example import EXAMPLE, OPTION, SECRETS
from tests.test_docs import blocks

INSTALLED = Plugins()
SCHEMA = configuration_schema([INSTALLED.kind(name) for name in ("createtask", "omocaptcha")])
INSTALLED_ONES = Draft202012Validator(SCHEMA)
ECHO = configuration_schema([Plugins(PLUGINS).kind("echo")])


def schema_errors(document: object, schema: Any = SCHEMA) -> list[str]:
    """Return the errors of a value by a schema."""
    validator: Any = INSTALLED_ONES if schema is SCHEMA else Draft202012Validator(schema)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)]


def example() -> Any:
    return yaml.safe_load(EXAMPLE.read_text())


def whole_example() -> Any:
    """The example, with every option that it shows in use."""
    lines = [OPTION.sub(r"\1\2\3:\4", line) for line in EXAMPLE.read_text().splitlines()]
    # To know every time zone takes its time, and mutations are many.
    return yaml.safe_load("\n".join(lines).replace("Europe/Berlin", "UTC"))


@pytest.fixture(autouse=True)
def environment_of_the_example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
    assert schema_errors(document) == []


def test_the_example_names_the_schema_in_its_first_line() -> None:
    first, *rest = EXAMPLE.read_text().splitlines()
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named is not None
    assert f"captchahub config schema > {named[1]}" in "\n".join(rest)


# --- it has every key and type of the loader


def described_keys(schema: Mapping[str, Any]) -> set[str]:
    return set(schema["properties"])


def test_it_has_every_key_that_the_loader_reads_and_no_other() -> None:
    parts = SCHEMA["$defs"]
    assert described_keys(SCHEMA) == set(keys_of(HubSettings))
    assert described_keys(parts["provider"]) == set(COMMON_KEYS)
    assert described_keys(parts["budget"]) == set(keys_of(Budget))
    assert described_keys(parts["common-health"]) == set(keys_of(HealthSettings))
    assert described_keys(SCHEMA["properties"]["journal"]["anyOf"][1]) == set(keys_of(JournalSettings))
    assert described_keys(parts["route"]["anyOf"][1]) == set(keys_of(RouteSettings))


@pytest.mark.parametrize(
    ("name", "settings"), [("omocaptcha", OmoSettings), ("createtask", CreateTaskSettings)]
)
def test_it_has_every_key_of_a_plugin_with_the_words_of_its_docstring(name: str, settings: type) -> None:
    plugin = SCHEMA["$defs"][f"plugin-{name}"]
    own = {field.alias: field for field in attrs.fields(settings)}
    assert described_keys(plugin) == {*COMMON_KEYS, *own}
    assert set(plugin["required"]) == {
        "plugin",
        *(key for key, field in own.items() if field.default is attrs.NOTHING),
    }
    assert plugin["description"] == class_doc(settings)
    assert {key: plugin["properties"][key]["description"] for key in own} == field_docs(settings)


@pytest.mark.parametrize(
    "settings",
    [
        HubSettings,
        ProviderSettings,
        HealthSettings,
        Budget,
        JournalSettings,
        PluginSettings,
        RouteSettings,
    ],
)
def test_every_key_has_a_description(settings: type) -> None:
    assert [field.key for field in settings_fields(settings) if not field.description] == []


VALUES: tuple[object, ...] = (
    *("60s", "0s", "0.0s", "1.5m", "500ms", "30d", "5w", "s", "-5s", "60", "60 s", "p95", "p0", "p100"),
    *("20/second", "0/day", "5/week", "20/ second", "5%", "0.5 %", "12345%", "never", "Never", "USD", "usd"),
    *("0.0005", "-0.1", "1e3", "http://127.0.0.1:3128", "https://u:p@h", "h:1", "agent/1.0", "a\nb", "", " "),
    *("$TOKEN", "word", "ä", 0, 1, -1, 0.5, -0.5, 2**31, 10**10, True, False, None, [], {}, ["x"], {"x": 1}),
)
# What a schema can't know: which files and time zones the machine has.
ON_DISK = (CertificatesPath, FilePath, TimeZone)


@pytest.mark.parametrize("target", SCALARS, ids=str)
def test_a_value_fits_a_type_in_the_schema_as_it_does_for_the_loader(target: Any) -> None:
    scalar = SCALARS[target]
    schema = {**scalar.schema, "$defs": DEFINITIONS}

    def is_read(value: object) -> bool:
        try:
            scalar.read(value, ReadContext())
        except InvalidValue:
            return False
        return True

    by_loader = [value for value in VALUES if is_read(value)]
    by_schema = [value for value in VALUES if not schema_errors(value, schema)]
    if target in ON_DISK:
        by_schema = [value for value in by_schema if value in by_loader]
    assert by_schema == by_loader


def test_a_reference_fits_every_type_that_is_written_as_text() -> None:
    texts = [target for target in SCALARS if target not in (int, float, bool, bytes)]
    whole = {name for name in map(str, texts) if name.endswith(("Count", "Weight"))}
    fits = {
        str(target)
        for target in texts
        if not schema_errors("${env:X}", {**SCALARS[target].schema, "$defs": DEFINITIONS})
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
    assert schema_errors({"providers": {"a": EVERY_TYPE}}, ECHO) == []
    fine = [
        key
        for key, odd in ODD.items()
        if not schema_errors({"providers": {"a": {**EVERY_TYPE, key: odd}}}, ECHO)
    ]
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
    assert schema_errors(document, schema) == []


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


def parent_of(document: Any, place: KeyPath) -> Any:
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
        read_mapping(document, INSTALLED)
    except ConfigError:
        return True
    return False


def mutated(place: KeyPath, value: object) -> Any:
    document = copy.deepcopy(WHOLE)
    parent_of(document, place)[place[-1]] = value
    return document


@pytest.mark.parametrize("place", KEYS, ids=str)
def test_a_misspelt_key_is_refused_as_by_the_loader(place: KeyPath) -> None:
    document = copy.deepcopy(WHOLE)
    around = parent_of(document, place)
    around[f"{place[-1]}x"] = around.pop(place[-1])
    assert schema_errors(document)
    assert refused(document)


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_a_value_of_a_wrong_type_is_refused_as_by_the_loader(place: KeyPath) -> None:
    for value in (None, True, -7.5, [[["odd"]]], {"odd": [1]}, {}):
        document = mutated(place, value)
        assert bool(schema_errors(document)) == refused(document), value


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_what_the_schema_refuses_the_loader_refuses_too(place: KeyPath) -> None:
    for value in ("odd", "5", "5s", 5, 0, "", [], ["omo"], {"omo": 1}):
        document = mutated(place, value)
        assert refused(document) or not schema_errors(document), value


@pytest.mark.parametrize("plugin", ["omocaptch", 5, None, ["omocaptcha"], ""])
def test_an_unknown_plugin_is_refused_as_by_the_loader(plugin: object) -> None:
    document = mutated(("providers", "omo", "plugin"), plugin)
    assert schema_errors(document)
    assert refused(document)


@pytest.mark.parametrize("key", ["providers", "providers.omo.plugin", "providers.omo.api_token"])
def test_a_key_that_must_be_there_is_missed_as_by_the_loader(key: str) -> None:
    place = tuple(key.split("."))
    document = whole_example()
    del parent_of(document, place)[place[-1]]
    assert schema_errors(document)
    assert refused(document)


def test_a_key_of_another_plugin_is_refused() -> None:
    assert schema_errors(mutated(("providers", "omo", "client_key"), "x"))


def test_a_plugin_that_a_reference_names_can_be_any() -> None:
    document = mutated(("providers", "omo", "plugin"), "${env:PLUGIN}")
    assert schema_errors(document) == []
