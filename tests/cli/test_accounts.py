"""``captchahub accounts``: balance, prices, spending and budgets in one table."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from captchahub.testing import Sandbox
from tests.cli.running import run


@pytest.fixture
def accounts(home: Path, shots: Path, service: Sandbox) -> Path:
    """Two accounts, omo with a budget of its own and one that the service refuses, and two solves."""
    run("solve", f"{shots}/ABC.png", f"{shots}/DEF.png")
    path = home / "captchahub.yaml"
    configuration: dict[str, Any] = yaml.safe_load(path.read_text())
    configuration["providers"]["omo"]["budget"] = {"limit": 1, "per": "day"}
    configuration["providers"]["refused"] = {
        **service.settings("known"),
        "plugin": "omocaptcha",
        "api_token": "no",
    }
    configuration["budget"] = {"limit": 5, "per": "total"}
    path.write_text(yaml.safe_dump(configuration))
    return path


@pytest.mark.usefixtures("accounts")
def test_the_table_has_a_row_for_each_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = run("accounts")
    assert result.exit_code == 1
    assert max(map(len, result.stdout.splitlines())) <= 80
    row = next(line for line in result.stdout.splitlines() if line.startswith("omo "))
    assert "healthy" in row
    assert "9.9989" in row
    assert "0.0011 " in row
    assert "0.9989" in row
    assert "of 1.00 per day" in result.stdout
    assert "phone-slide 0.0012" in result.stdout
    assert "refused" in result.stdout
    assert "left of the budget of all accounts: 4.9989 of 5.00 in total" in result.stdout
    assert "refused: AuthenticationError: " in result.stderr


@pytest.mark.usefixtures("accounts")
def test_json_has_every_figure_as_text() -> None:
    found = json.loads(run("accounts", "--json").stdout)
    omo, refused = found["accounts"]
    assert omo["prices"]["image-to-text"] == {"price": "0.00055", "is_open": True}
    assert (omo["spent_today"], omo["error"]) == ("0.0011", None)
    assert (omo["budget"]["left"], omo["budget"]["per"]) == ("0.9989", "day")
    assert (refused["balance"], refused["error"]["type"]) == (None, "AuthenticationError")
    assert found["budget"] == {
        "limit": "5",
        "per": "total",
        "spent": "0.0011",
        "left": "4.9989",
        "until": None,
    }


def test_an_empty_account_has_no_money(home: Path, service: Sandbox) -> None:
    path = home / "captchahub.yaml"
    configuration: dict[str, Any] = yaml.safe_load(path.read_text())
    configuration["providers"]["omo"].update(service.settings("empty", balance="0"))
    path.write_text(yaml.safe_dump(configuration))
    (omo,) = json.loads(run("accounts", "--json").stdout)["accounts"]
    assert (omo["state"], omo["balance"]) == ("no money", "0.00000")


def test_without_a_configuration_it_says_how_to_make_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    result = run("accounts")
    assert result.exit_code == 3
    assert "captchahub config init" in result.stderr


def test_a_configuration_in_the_users_folder_is_found(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "user" / "captchahub").mkdir(parents=True)
    (home / "captchahub.yaml").rename(tmp_path / "user" / "captchahub" / "captchahub.yaml")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    assert run("accounts").exit_code == 0
