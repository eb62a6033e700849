"""config.example.yaml is true: it loads, it shows every option, and the defaults that it tells are real."""

from __future__ import annotations

import re
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import attrs
import pytest
import trustme
from captchahub_createtask import CreateTaskSettings
from captchahub_omocaptcha.settings import OmoSettings

from captchahub import Hub
from captchahub.config import load_yaml
from captchahub.errors import ConfigError
from captchahub.provider import Secret
from captchahub.settings import (
    Budget,
    HealthSettings,
    HttpSettings,
    HubSettings,
    JournalSettings,
    Percentile,
    Period,
    PluginSettings,
    PollSettings,
    ProviderSettings,
    Rate,
    RouteSettings,
)

EXAMPLE = Path(__file__).parents[2] / "config.example.yaml"
SECRETS = ("OMOCAPTCHA_TOKEN", "OMOCAPTCHA_TOKEN_2", "TWOCAPTCHA_KEY")

# A line that shows an option which is not in use: one word and a colon.
OPTION = re.compile(r"^( *)# ( *)(?!yaml-language-server)([\w-]+):( .*)?$")


@pytest.fixture(autouse=True)
def the_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, name.lower())


def unused_options() -> dict[tuple[bool, str], str]:
    """The options that are not in use, whether they are the hub's own, each with the remark above it."""
    options: dict[tuple[bool, str], str] = {}
    remark: list[str] = []
    for line in EXAMPLE.read_text().splitlines():
        option = OPTION.match(line)
        if option is None:
            remark = [*remark, line] if line.strip().startswith("#") else []
        elif not option[2]:
            options[not option[1], option[3]] = " ".join(remark)
            remark = []
    return options


@pytest.fixture
def all_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubSettings:
    """The settings with every option that the file shows in use."""
    lines = [OPTION.sub(r"\1\2\3:\4", line) for line in EXAMPLE.read_text().splitlines()]
    path = tmp_path / "config.yaml"
    path.write_text("\n".join(lines))
    trustme.CA().cert_pem.write_to_path(tmp_path / "company-ca.pem")
    monkeypatch.setenv("COMPANY_PROXY", "http://127.0.0.1:3128")
    return load_yaml(path)


def value_of(key: str, *holders: object) -> object:
    """The value of a key, in whichever of the holders has it."""
    (holder,) = (holder for holder in holders if hasattr(holder, key))
    return getattr(holder, key)


def test_it_loads_as_it_is() -> None:
    configured = load_yaml(EXAMPLE)
    assert {name: provider.plugin for name, provider in configured.providers.items()} == {
        "omo": "omocaptcha",
        "spare": "omocaptcha",
        "backup": "createtask",
    }
    assert configured.routes == {
        "image-to-text": RouteSettings([{"omo": 3.0, "spare": 1.0}, {"backup": 1.0}]),
        "phone-slide": RouteSettings([{"omo": 1.0}, {"spare": 1.0}]),
    }
    Hub(configured).close()


def test_without_its_secrets_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name)
    with pytest.raises(ConfigError) as caught:
        load_yaml(EXAMPLE)
    lines = str(caught.value).splitlines()
    assert [line.partition(" is not set")[0].split()[-1] for line in lines] == list(SECRETS)


def test_it_names_its_secrets_where_it_begins() -> None:
    head = EXAMPLE.read_text().partition("\n\n")[0]
    assert all(name in head for name in SECRETS)


def test_everything_it_shows_can_be_used(all_in_use: HubSettings) -> None:
    Hub(all_in_use).close()


@pytest.mark.parametrize(("of_hub", "key"), unused_options())
def test_an_option_that_is_not_in_use_has_its_default_unless_the_remark_says_not_set(
    all_in_use: HubSettings, of_hub: bool, key: str
) -> None:
    one, route = all_in_use.providers["omo"], all_in_use.routes["image-to-text"]
    in_use: list[object] = [one, one.http, one.own, route]
    defaults: list[object] = [
        ProviderSettings("omo", "omocaptcha", None, one.kind),
        HttpSettings(),
        OmoSettings(Secret("token")),
        RouteSettings(()),
    ]
    shown = value_of(key, *([all_in_use] if of_hub else in_use))
    default = value_of(key, *([HubSettings({}, {})] if of_hub else defaults))
    if "Not set" in unused_options()[of_hub, key]:
        assert not default or default in (JournalSettings(path=None), PollSettings())
        assert shown
        assert shown != default
    else:
        assert shown == default


def test_an_option_that_is_in_use_tells_its_default_or_is_one() -> None:
    configured = load_yaml(EXAMPLE)
    one, spare = configured.providers["omo"], configured.providers["spare"]
    assert one.health == HealthSettings() == spare.health
    assert attrs.evolve(one, name="spare", own=spare.own, max_in_flight=10) == spare
    assert configured.timeout == HubSettings({}, {}).timeout
    # The remarks beside them say so.
    assert ProviderSettings("backup", "createtask", None, one.kind).report_wrong is False
    assert (one.budget, configured.budget, configured.journal) == (None, None, JournalSettings())


def test_what_it_shows_is_what_the_remarks_speak_of(all_in_use: HubSettings, tmp_path: Path) -> None:
    one, route = all_in_use.providers["omo"], all_in_use.routes["image-to-text"]
    assert (one.timeout, one.rate) == (60.0, Rate(20, 1.0))
    assert one.prices == {"image-to-text": Decimal("0.0005"), "phone-slide": Decimal("0.001")}
    assert (route.max_attempts, route.hedge_after) == (3, Percentile(95))
    berlin = ZoneInfo("Europe/Berlin")
    assert (one.currency, one.budget) == ("USD", Budget(Decimal(5), Period.DAY, berlin))
    assert all_in_use.budget == Budget(Decimal(100), Period.MONTH, berlin)
    # The remarks state the defaults of zone and keep.
    assert Budget(Decimal(5), Period.DAY).zone is UTC
    assert (
        all_in_use.journal
        == JournalSettings(tmp_path / "jobs.db")
        == JournalSettings(tmp_path / "jobs.db", 30 * 86_400)
    )


def test_every_provider_has_what_a_budget_needs(all_in_use: HubSettings) -> None:
    has_list = {"omo", "spare"}  # OMOcaptcha tells its prices
    assert {name for name, provider in all_in_use.providers.items() if not provider.prices} <= has_list


@pytest.mark.parametrize(
    "settings",
    [
        ProviderSettings,
        HttpSettings,
        HealthSettings,
        OmoSettings,
        RouteSettings,
        HubSettings,
        Budget,
        JournalSettings,
        PluginSettings,
    ],
)
def test_it_shows_every_option_that_there_is(settings: type[attrs.AttrsInstance]) -> None:
    # What the loader fills in by itself, and the names of what the file calls otherwise.
    not_keys = {"name", "own", "kind", "http", "groups", "unusable", "further_budgets", "reuse_since"}
    shown = set(re.findall(r"(?:^ *(?:# )?|[{,] *)([\w-]+):", EXAMPLE.read_text(), re.MULTILINE))
    assert {field.name for field in attrs.fields(settings)} - not_keys <= shown


def test_it_shows_what_the_second_plugin_needs() -> None:
    own = load_yaml(EXAMPLE).providers["backup"].own
    assert own == CreateTaskSettings("2captcha", Secret("twocaptcha_key"))
