"""A provider's limits, health and reports in the configuration, and the message for each mistake."""

from __future__ import annotations

import contextlib
import math
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from captchahub import Hub
from captchahub.config import load_mapping, load_yaml
from captchahub.errors import ConfigError
from captchahub.hookspecs import hookimpl
from captchahub.provider import LocalProvider, ProviderKind
from captchahub.settings import HealthSettings, ProviderSettings, Rate
from captchahub.tasks import Solution, Task, TextSolution
from tests.config.problem_lines import fits, problem_lines, short

START = """\
providers:
  a:
    plugin: omocaptcha
    api_token: x
"""  # four lines; tests go on at the fifth

SENSITIVE = "Zx-9-very-private"


def provider(directory: Path, text: str) -> ProviderSettings:
    path = directory / "config.yaml"
    path.write_text(f"{START}    {text}\n")
    return load_yaml(path).providers["a"]


def problems(directory: Path, text: str) -> list[str]:
    return problem_lines(provider, directory, text)


# --- the settings that correct values give


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20/second", Rate(20, 1.0)),
        ("1/minute", Rate(1, 60.0)),
        ("300/hour", Rate(300, 3600.0)),
        ("'5000/day'", Rate(5000, 86_400.0)),
        ("1000000/second", Rate(1_000_000, 1.0)),
    ],
)
def test_a_rate_is_a_number_of_jobs_in_a_time(tmp_path: Path, text: str, rate: Rate) -> None:
    assert provider(tmp_path, f"rate: {text}").rate == rate


def test_reports_are_switched_on_and_off(tmp_path: Path) -> None:
    assert provider(tmp_path, "report_wrong: true").report_wrong is True
    assert provider(tmp_path, "report_wrong: false").report_wrong is False


def test_health_has_the_documented_defaults(tmp_path: Path) -> None:
    documented = HealthSettings(
        failures=5, error_rate=0.5, window=60.0, min_samples=20, cooldown=30.0, busy_cooldown=2.0
    )
    assert provider(tmp_path, "health: {}").health == documented == HealthSettings()


def test_every_key_of_health_reaches_its_field(tmp_path: Path) -> None:
    text = """health:
      failures: 3
      error_rate: 25%
      window: 2m
      min_samples: 10
      cooldown: 1m
      busy_cooldown: 500ms
"""
    assert provider(tmp_path, text).health == HealthSettings(
        failures=3, error_rate=0.25, window=120.0, min_samples=10, cooldown=60.0, busy_cooldown=0.5
    )


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        # Zero means zero, and never means never.
        ("cooldown: 0s", "cooldown", 0.0),
        ("busy_cooldown: 0ms", "busy_cooldown", 0.0),
        ("error_rate: 0", "error_rate", 0.0),
        ("error_rate: 0%", "error_rate", 0.0),
        ("failures: never", "failures", math.inf),
        ("error_rate: never", "error_rate", math.inf),
        ("failures: 1", "failures", 1),
        ("error_rate: 0.5", "error_rate", 0.5),
        ("error_rate: 50%", "error_rate", 0.5),
        ("error_rate: 12.5%", "error_rate", 0.125),
        ("error_rate: 1", "error_rate", 1.0),
        ("min_samples: 1", "min_samples", 1),
    ],
)
def test_a_key_of_health_has_the_value_that_is_written(
    tmp_path: Path, text: str, key: str, value: object
) -> None:
    read = provider(tmp_path, f"health: {{{text}}}").health
    assert attrs.asdict(read) == attrs.asdict(HealthSettings()) | {key: value}


def test_health_is_each_providers_own() -> None:
    account = {"plugin": "omocaptcha", "api_token": "x"}
    mapping = {"providers": {"a": {**account, "health": {"failures": 1}}, "b": account}}
    read = load_mapping(mapping).providers
    assert (read["a"].health.failures, read["b"].health) == (1, HealthSettings())


# --- the message for each mistake, with its line and place

RATES = "expected a rate such as 5/second, 5/minute, 5/hour, 5/day, with a whole number from 1 to 1000000"

BROKEN: Sequence[tuple[str, str]] = [
    ("rate: 20", f"5: providers.a.rate: {RATES}, found 20"),
    ("rate: 0/second", f"5: providers.a.rate: {RATES}, found '0/second'"),
    ("rate: -1/second", f"5: providers.a.rate: {RATES}, found '-1/second'"),
    ("rate: 2.5/second", f"5: providers.a.rate: {RATES}, found '2.5/second'"),
    ("rate: 20/s", f"5: providers.a.rate: {RATES}, found '20/s'"),
    ("rate: 20 / second", f"5: providers.a.rate: {RATES}, found '20 / second'"),
    ("rate: 1000001/second", f"5: providers.a.rate: {RATES}, found '1000001/second'"),
    ("rate: ٢/second", f"5: providers.a.rate: {RATES}, found '٢/second'"),
    ("rate:", f"5: providers.a.rate: {RATES}, found nothing"),
    ("rate: {jobs: 5}", f"5: providers.a.rate: {RATES}, found a mapping"),
    ("rates: 5/second", "5: providers.a.rates: unknown key; did you mean 'rate'?"),
    (
        "report_wrong: 'true'",
        "5: providers.a.report_wrong: expected true or false, found 'true'; write it without quotes; ...",
    ),
    ("report_wrong: 1", "5: providers.a.report_wrong: expected true or false, found 1"),
    ("report_wron: true", "5: providers.a.report_wron: unknown key; did you mean 'report_wrong'?"),
    ("timeout: 0s", "5: providers.a.timeout: expected a duration above 0s and up to 365d, found '0s'"),
    ("health: never", "5: providers.a.health: expected a mapping, found 'never'"),
    ("health: [5]", "5: providers.a.health: expected a mapping, found a list"),
    ("health:", "5: providers.a.health: expected a mapping, found nothing"),
    ("helth: {}", "5: providers.a.helth: unknown key; did you mean 'health'?"),
    (
        "health:\n      failures: 3\n      cool_down: 5s",
        (
            "7: providers.a.health.cool_down: unknown key; did you mean 'cooldown'? valid keys: "
            "busy_cooldown, cooldown, error_rate, failures, min_samples, window"
        ),
    ),
    ("cooldown: 5s", "5: providers.a.cooldown: unknown key; valid keys: api_token, ..."),
    (
        "health:\n      failures: 3\n      failures: 5",
        "7: providers.a.health.failures: duplicate key, first on line 6; keep one of the two",
    ),
    (
        "health: {failures: 0}",
        "5: providers.a.health.failures: expected a whole number from 1 to 2147483647 or never, found 0",
    ),
    (
        "health: {failures: '5'}",
        "5: providers.a.health.failures: expected a whole number from 1 ... write it without quotes; ...",
    ),
    (
        "health: {failures: yes}",
        "5: providers.a.health.failures: expected a whole number from 1 to 2147483647 or never, found true",
    ),
    (
        "health: {error_rate: 1.5}",
        "5: providers.a.health.error_rate: expected a share from 0 to 1, or such as 5% or never, found 1.5",
    ),
    (
        "health: {error_rate: '50'}",
        "5: providers.a.health.error_rate: expected a share from 0 to 1, or such as 5% or never, found '50'",
    ),
    (
        "health: {error_rate: -1}",
        "5: providers.a.health.error_rate: expected a share from 0 to 1, or such as 5% or never, found -1",
    ),
    (
        f"health: {{error_rate: 0x{'f' * 5000}}}",
        "5: providers.a.health.error_rate: expected a share from 0 to 1, ... found a huge number",
    ),
    (
        "health: {window: 0s}",
        "5: providers.a.health.window: expected a duration above 0s and up to 365d, found '0s'",
    ),
    (
        "health: {window: 60}",
        "5: providers.a.health.window: expected a duration such as 60s, ... found 60; write 60s",
    ),
    (
        "health: {min_samples: 0}",
        "5: providers.a.health.min_samples: expected a whole number from 1 to 2147483647, found 0",
    ),
    (
        "health: {cooldown: 30}",
        "5: providers.a.health.cooldown: expected a duration such as 60s, ... found 30; write 30s",
    ),
    (
        "health: {cooldown: 0}",
        (
            "5: providers.a.health.cooldown: expected a duration such as 60s, ... found 0; write a "
            "number and its unit"
        ),
    ),
    (
        "health: {busy_cooldown: -2s}",
        "5: providers.a.health.busy_cooldown: expected a duration such as 60s, ... found '-2s'",
    ),
    (
        "health: {busy_cooldown: never}",
        "5: providers.a.health.busy_cooldown: expected a duration such as 60s, ... found 'never'",
    ),
    (
        "health: {cooldown: 366d}",
        "5: providers.a.health.cooldown: expected a duration up to 365d, found '366d'",
    ),
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=short)
def test_a_mistake_is_reported_once_with_its_line_place_and_advice(
    tmp_path: Path, text: str, message: str
) -> None:
    (line,) = problems(tmp_path, text)
    assert fits(f"config.yaml:{message}", line), line


@pytest.mark.parametrize(
    "text",
    [
        "rate: ${env:LIMIT_VALUE}",
        "report_wrong: ${env:LIMIT_VALUE}",
        "health: ${env:LIMIT_VALUE}",
        *(f"health: {{{field.name}: '${{env:LIMIT_VALUE}}'}}" for field in attrs.fields(HealthSettings)),
    ],
)
def test_a_value_from_a_reference_is_called_by_its_name_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("LIMIT_VALUE", SENSITIVE)
    with pytest.raises(ConfigError) as caught:
        provider(tmp_path, text)
    assert SENSITIVE not in "".join(traceback.format_exception(caught.value))
    assert "found the value of ${env:LIMIT_VALUE}" in str(caught.value)


def test_limits_can_come_from_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMIT_VALUE", "5")
    read = provider(
        tmp_path, "rate: ${env:LIMIT_VALUE}/minute\n    health: {error_rate: '${env:LIMIT_VALUE}%'}"
    )
    assert (read.rate, read.health.error_rate) == (Rate(5, 60.0), 0.05)


# --- a provider that takes no reports


class Engine(LocalProvider):
    kinds = frozenset({"image-to-text"})

    def __init__(self, _settings: object) -> None:
        pass

    def solve(self, task: Task[Solution]) -> Solution:
        return TextSolution("echo")


@attrs.frozen
class EngineSettings:
    pass


class EnginePlugin:
    @hookimpl
    def captchahub_provider_kinds(self) -> Iterable[ProviderKind[object]]:
        yield ProviderKind("engine", EngineSettings, Engine)


ENGINE = {"plugin": "engine"}
OMO = {"plugin": "omocaptcha", "api_token": "x"}
YES_CAPTCHA = {"plugin": "createtask", "dialect": "yescaptcha", "client_key": "x"}
TWO_CAPTCHA = {"plugin": "createtask", "dialect": "2captcha", "client_key": "x"}


def test_reports_to_a_service_that_takes_none_are_refused_when_the_hub_is_made() -> None:
    wrong = (
        {**OMO, "report_wrong": True},
        {**YES_CAPTCHA, "report_wrong": True},
        {**ENGINE, "report_wrong": True},
    )
    mapping = {"providers": dict(zip(("omo", "yes", "own"), wrong, strict=True))}
    with pytest.raises(ConfigError) as caught:
        Hub.from_mapping(mapping, plugins=[EnginePlugin()])
    assert str(caught.value).splitlines() == [
        "providers.omo.report_wrong: this service takes no reports of right or wrong answers; leave it out",
        "providers.yes.report_wrong: YesCaptcha takes no reports of right or wrong answers; leave it out",
        "providers.own.report_wrong: engine works in this process: no service takes reports; leave it out",
    ]


def test_reports_to_a_service_that_takes_them_or_no_reports_are_accepted() -> None:
    mapping = {
        "providers": {
            "two": {**TWO_CAPTCHA, "report_wrong": True},
            "omo": {**OMO, "report_wrong": False},
            "yes": YES_CAPTCHA,
            "own": ENGINE,
        }
    }
    Hub.from_mapping(mapping, plugins=[EnginePlugin()]).close()


# --- random values

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["never", "5%", "0.5", "0s", "30s", "20/second", "0/day", "${env:LIMIT_VALUE}", "${"])
    | st.from_regex(r"\A[0-9]{0,8}/(second|minute|hour|day)\Z")
)
NESTED = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
HEALTH = st.dictionaries(st.sampled_from([field.name for field in attrs.fields(HealthSettings)]), NESTED)


@given(
    st.fixed_dictionaries({}, optional={"rate": NESTED, "report_wrong": NESTED, "health": NESTED | HEALTH})
)
def test_any_value_is_a_limit_or_a_config_error(keys: dict[str, object]) -> None:
    mapping = {"providers": {"a": {**OMO, **keys}}}
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(ConfigError):
        patch.setenv("LIMIT_VALUE", SENSITIVE)
        read = load_mapping(mapping).providers["a"]
        # What was taken can be worked with.
        assert read.rate is None or (read.rate.jobs >= 1 and read.rate.seconds > 0)
        health = read.health
        assert health.failures >= 1
        assert 0 <= health.error_rate <= 1 or math.isinf(health.error_rate)
        assert min(health.window, health.min_samples) > 0
        assert min(health.cooldown, health.busy_cooldown) >= 0
