"""A plugin that can't be used: what a hub does with the providers that need it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from captchahub import (
    AllProvidersFailed,
    ConfigError,
    Hub,
    NotAsked,
    NotOffered,
    ProviderState,
)
from captchahub.cli import cli
from captchahub.plugins import PluginState
from captchahub.testing import Sandbox
from tests.installed_distributions import BROKEN, PackageFolder
from tests.quick_omo import QuickOmo
from tests.virtual_services import TASK

WHY = "the plugin 'lost' of sample-lost can't be imported: RuntimeError: no engine; update or reinstall it"

Configured = Callable[..., dict[str, Any]]


@pytest.fixture
def mapping(packages: PackageFolder, configured: Configured) -> dict[str, Any]:
    """Two providers, of which the first one's plugin is broken."""
    packages.install("sample-lost", "sample_lost", BROKEN, "lost")
    mapping = configured("omo")
    providers = {"broken": {"plugin": "lost", "api_token": "t0p-s3cret"}, **mapping["providers"]}
    return {"providers": providers, "routes": {"image-to-text": ["broken", "omo"]}}


def test_a_route_that_has_others_goes_on_with_them(
    mapping: dict[str, Any], sandbox: Sandbox, quick: QuickOmo
) -> None:
    with Hub.from_mapping(mapping, plugins=[quick]) as hub:
        result = hub.solve(sandbox.draw_text("x7kp2").task())
        assert (result.provider, result.solution.text) == ("omo", "x7kp2")


def test_a_route_that_has_no_other_says_what_happened_and_what_to_do(
    mapping: dict[str, Any], quick: QuickOmo
) -> None:
    mapping["routes"] = {"image-to-text": ["broken"]}
    with Hub.from_mapping(mapping, plugins=[quick]) as hub:
        with pytest.raises(AllProvidersFailed) as caught:
            hub.solve(TASK)
        (error,) = caught.value.exceptions
        assert isinstance(error, NotAsked)
        assert str(caught.value).splitlines()[-1].endswith(f"NotAsked: {WHY}")
        assert "s3cret" not in str(caught.value)


def test_without_routes_it_is_named_only_if_no_other_provider_takes_the_task(
    mapping: dict[str, Any], sandbox: Sandbox, quick: QuickOmo
) -> None:
    del mapping["routes"]
    with Hub.from_mapping(mapping, plugins=[quick]) as hub:
        assert hub.solve(sandbox.draw_text("x7kp2").task()).provider == "omo"
    del mapping["providers"]["omo"]
    hub = Hub.from_mapping(mapping, plugins=[quick])
    with hub, pytest.raises(ConfigError, match="broken can't be called: the plugin 'lost' of sample-lost"):
        hub.solve(TASK)


def test_it_is_out_and_can_not_be_revived(mapping: dict[str, Any], quick: QuickOmo) -> None:
    with Hub.from_mapping(mapping, plugins=[quick]) as hub:
        health = hub.health()["broken"]
        assert (health.state, health.reason) == (ProviderState.OUT, WHY)
        with pytest.raises(ConfigError, match=r"providers\.broken: the plugin 'lost'"):
            hub.revive("broken")


def test_calls_besides_solves_raise_the_reason(mapping: dict[str, Any], quick: QuickOmo) -> None:
    with Hub.from_mapping(mapping, plugins=[quick]) as hub:
        assert str(hub.balances()["broken"]).startswith(WHY)
        with pytest.raises(NotOffered, match="no engine"):
            hub.services("broken")


def test_its_other_keys_do_not_matter_but_the_common_ones_are_still_read_with_care(
    mapping: dict[str, Any], quick: QuickOmo
) -> None:
    mapping["providers"]["broken"] |= {
        "shoe_size": 43,
        "report_wrong": True,
        "budget": {"limit": 1, "per": "day"},
    }
    Hub.from_mapping(mapping, plugins=[quick]).close()
    mapping["providers"]["broken"]["max_in_flihgt"] = 3
    with pytest.raises(ConfigError, match="did you mean 'max_in_flight'"):
        Hub.from_mapping(mapping, plugins=[quick])


def test_one_that_is_blocked_names_the_key_or_variable(
    mapping: dict[str, Any], quick: QuickOmo, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hub.from_mapping({**mapping, "plugins": {"block": ["lost"]}}, plugins=[quick]) as hub:
        assert "is blocked by plugins.block of the configuration" in (hub.health()["broken"].reason or "")
    monkeypatch.setenv("CAPTCHAHUB_BLOCK_PLUGINS", "sample-lost")
    with Hub.from_mapping(mapping, plugins=[quick]) as hub:
        assert "is blocked by $CAPTCHAHUB_BLOCK_PLUGINS" in (hub.health()["broken"].reason or "")


def test_a_name_to_block_that_nothing_has_is_logged(
    mapping: dict[str, Any], quick: QuickOmo, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "captchahub"):
        Hub.from_mapping({**mapping, "plugins": {"block": ["losst"]}}, plugins=[quick]).close()
    assert (
        "plugins.block names 'losst', and no plugin or package is called so; did you mean 'lost'?"
        in caplog.text
    )


@pytest.mark.parametrize(
    ("plugins", "said"),
    [
        ({"load": ["nobody"]}, "plugins.load[0]: no plugin named 'nobody' is installed"),
        ({"load": "lost"}, "plugins.load: expected a list"),
        ({"lod": []}, "plugins.lod: unknown key; did you mean 'load'?"),
        (["lost"], "plugins: expected a mapping"),
    ],
    ids=str,
)
def test_a_wrong_key_is_a_problem_of_the_configuration(
    mapping: dict[str, Any], quick: QuickOmo, plugins: object, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Hub.from_mapping({**mapping, "plugins": plugins}, plugins=[quick])
    assert said in str(caught.value)


def test_a_hub_tells_of_all_its_plugins(mapping: dict[str, Any], quick: QuickOmo) -> None:
    with Hub.from_mapping(mapping, plugins=[quick]) as hub:
        records = {record.name: record for record in hub.plugins()}
    assert records["QuickOmo"].state is PluginState.LOADED
    assert records["QuickOmo"].kinds == ("omocaptcha",)
    assert (records["lost"].state, records["lost"].error) == (PluginState.FAILED, WHY)
    assert records["createtask"].state is PluginState.INSTALLED


class TestOnTheCommandLine:
    @pytest.fixture
    def path(self, mapping: dict[str, Any], tmp_path: Path) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({**mapping, "plugins": {"load": ["lost"]}}))
        return path

    def test_checking_a_configuration_tells_of_it_at_its_line(self, path: Path) -> None:
        ran = CliRunner().invoke(cli, ["config", "check", str(path)])
        assert ran.exit_code == 3
        lines = path.read_text().splitlines()
        used, loaded = lines.index("    plugin: lost") + 1, lines.index("  - lost") + 1
        assert f"{path}:{used}: providers.broken.plugin: {WHY}" in ran.stderr
        assert f"{path}:{loaded}: plugins.load[0]: {WHY}" in ran.stderr

    def test_showing_one_shows_none_of_its_keys_for_they_may_be_secrets(self, path: Path) -> None:
        ran = CliRunner().invoke(cli, ["config", "show", str(path)])
        assert ran.exit_code == 0
        assert "plugin: lost" in ran.stdout
        assert "s3cret" not in ran.stdout
