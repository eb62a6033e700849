"""The errors for callers that pass a wrong argument."""

from __future__ import annotations

import io
import types
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import captchahub_omocaptcha
import pytest

from captchahub import AsyncHub, ConfigError, Hub
from captchahub._hub.arguments import (
    checked_cost,
    checked_count,
    checked_job,
    checked_since,
    checked_state,
    checked_zone,
)
from captchahub.jobs import JobState


@pytest.mark.parametrize(
    ("check", "value", "told"),
    [
        (checked_state, "ambiguous", "state must be a JobState, such as JobState.AMBIGUOUS, not 'ambiguous'"),
        (checked_job, 7, r"job must be one that hub.jobs\(\) returned, not 7"),
        (checked_cost, 0.1, r"cost must be a Decimal, such as Decimal\('0.0005'\), or None, not 0.1"),
        (checked_zone, "UTC", r"zone must be a tzinfo, such as ZoneInfo\('Europe/Berlin'\), not 'UTC'"),
        (checked_since, "today", r"since must be a datetime, such as datetime.now\(UTC\), not 'today'"),
    ],
)
def test_a_wrong_type_is_reported_with_the_right_one(
    check: Callable[[object], object], value: object, told: str
) -> None:
    with pytest.raises(TypeError, match=told):
        check(value)


@pytest.mark.parametrize(
    ("check", "value", "told"),
    [
        *[
            (partial(checked_count, "limit"), value, "limit must be a whole number of 1 or more")
            for value in (0, -1, 1.5, "5", True)
        ],
        *[
            (checked_cost, Decimal(text), "cost must be an amount of 0 or more")
            for text in ("-1", "NaN", "inf")
        ],
        (checked_since, datetime.min, "since must be a time that this system supports"),  # noqa: DTZ901 - on purpose
    ],
)
def test_an_impossible_value_is_refused(check: Callable[[object], object], value: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check(value)


def test_valid_arguments_are_returned() -> None:
    assert checked_state(JobState.SOLVED) is JobState.SOLVED
    assert (checked_count("limit", 5), checked_count("limit", 10**30)) == (5, 2**63 - 1)
    assert (checked_cost(None), checked_cost(Decimal("0.1"))) == (None, Decimal("0.1"))
    assert checked_zone(UTC) is UTC
    assert (checked_since(None), checked_since(datetime(1970, 1, 2, tzinfo=UTC))) == (0.0, 86_400.0)


PROVIDERS = {"omo": {"plugin": "omocaptcha", "api_token": "t0ken"}}
FACES = pytest.mark.parametrize("face", [Hub, AsyncHub])
Face = type[Hub | AsyncHub]


@FACES
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"providers": PROVIDERS},
            "from_yaml takes the path of a file, not dict; use from_mapping for a mapping",
        ),
        (io.StringIO("providers: {}"), "not StringIO; pass the path of that file"),
        (None, "from_yaml takes the path of a file, not NoneType"),
        (b"config.yaml", "from_yaml takes the path of a file, not bytes"),
        (["config.yaml"], "from_yaml takes the path of a file, not list"),
    ],
)
def test_from_yaml_says_what_to_call(face: Face, given: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        face.from_yaml(given)


@FACES
def test_the_text_of_a_file_is_refused_as_a_path_and_not_shown(face: Face) -> None:
    with pytest.raises(ConfigError, match="this is the text of one") as caught:
        face.from_yaml("providers:\n  omo: {plugin: omocaptcha, api_token: s3cret}\n")
    assert "s3cret" not in str(caught.value)


@FACES
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "expected a mapping, found nothing; give one such as providers: {omo: "),
        ([PROVIDERS], "expected a mapping, found a list; give one such as"),
        (5, "expected a mapping, found 5"),
        (PROVIDERS.items(), "expected a mapping, found a dict_items"),
        ("config.yaml", r"expected a mapping, found text; a file is read with from_yaml\(path\)"),
        (
            Path("config.yaml"),
            r"expected a mapping, found a PosixPath; a file is read with from_yaml\(path\)",
        ),
    ],
)
def test_from_mapping_says_what_it_takes(face: Face, given: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=f"the configuration: {told}"):
        face.from_mapping(given)


@FACES
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (captchahub_omocaptcha, r"plugins=\[my_plugin\], and not the module captchahub_omocaptcha"),
        ("omocaptcha", r"plugins is a list of plugin objects, as in plugins=\[my_plugin\], and not str"),
        (None, "plugins is a list of plugin objects"),
        ({"omocaptcha": captchahub_omocaptcha}, "and not dict"),
        (["omocaptcha"], "plugins has the name 'omocaptcha' in it: import the module, and pass that"),
        ([types.ModuleType("other")], "the plugin other passed in has no hook of captchahub"),
        ([None], "has no hook of captchahub"),
    ],
)
def test_plugins_are_a_list_of_objects_with_hooks(face: Face, given: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        face.from_mapping({"providers": PROVIDERS}, plugins=given)
    with pytest.raises(ConfigError, match=told):
        face.from_yaml("config.yaml", plugins=given)
