"""``captchahub doctor``: every check with what was found and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from captchahub.cli import cli
from captchahub.cli.doctor.checks import Status, space_check
from captchahub.testing import Sandbox, load_emulation
from tests.cli.running import run


def checks(text: str) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in map(json.loads, text.splitlines())}


def changed(home: Path, **keys: object) -> None:
    """Change keys of the account."""
    path = home / "captchahub.yaml"
    configuration: dict[str, Any] = yaml.safe_load(path.read_text())
    configuration["providers"]["omo"].update(keys)
    path.write_text(yaml.safe_dump(configuration))


@pytest.mark.usefixtures("home")
def test_all_is_well() -> None:
    result = run("doctor")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "ok    configuration: captchahub.yaml: fine: 1 provider (omo), no route"
    assert any(line.startswith("ok    token omo: accepted; the balance is ") for line in lines)
    assert any(line.startswith("ok    service omo: http://127.0.0.1:") for line in lines)
    assert any(line.startswith("ok    journal: ") for line in lines)
    # As many services, the sandbox sends no Date header.
    assert "note  clock: not checked, omo sends no date" in lines


@pytest.mark.usefixtures("home")
def test_colours_are_for_terminals_and_for_those_who_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    green = "\x1b[32mok"
    on_a_terminal = CliRunner().invoke(cli, "doctor", color=True)
    assert green in on_a_terminal.stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in CliRunner().invoke(cli, "doctor", color=True).stdout


def test_a_refused_token(home: Path) -> None:
    changed(home, api_token="another")
    result = run("doctor", "--json")
    found = checks(result.stdout)
    assert result.exit_code == 1
    assert found["token omo"]["status"] == "fail"
    assert found["token omo"]["found"].startswith("AuthenticationError")
    assert found["token omo"]["advice"]
    assert found["service omo"]["status"] == "ok"


def test_a_service_that_is_not_there(home: Path) -> None:
    with Sandbox(load_emulation("omocaptcha")) as gone:
        changed(home, **gone.settings("token"))
    result = run("doctor", "--json")
    found = checks(result.stdout)
    assert result.exit_code == 1
    assert "can't be reached" in found["service omo"]["found"]
    # It would say the same once more.
    assert "token omo" not in found


def test_a_wrong_configuration_ends_it_with_every_problem(home: Path) -> None:
    changed(home, timeuot="3s", poll_timeout=5)
    result = run("doctor")
    assert result.exit_code == 3
    assert result.stdout.count("FAIL  configuration") == 2
    assert "timeuot" in result.stdout


def test_an_empty_account(home: Path, service: Sandbox) -> None:
    changed(home, **service.settings("empty", balance="0"))
    found = checks(run("doctor", "--json").stdout)
    assert found["token omo"]["advice"] == "top the account up"


def test_what_a_crash_left_is_named(home: Path, shots: Path) -> None:
    (home / "captchahub.yaml").write_text(
        (home / "captchahub.yaml").read_text().replace("jobs.db", "other.db")
    )
    assert run("solve", f"{shots}/ABC.png").exit_code == 0
    assert "answers" not in checks(run("doctor", "--json").stdout)


def test_without_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("CAPTCHAHUB_CONFIG", raising=False)
    result = run("doctor")
    assert result.exit_code == 3
    assert result.stdout.startswith("FAIL  configuration: no configuration: ")
    assert "captchahub config init" in result.stdout
    # The example keeps its lines.
    assert "          api_token: ${env:OMOCAPTCHA_TOKEN}" in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("free", "status"), [(0, Status.FAIL), (50 * 2**20, Status.NOTE), (50 * 2**30, Status.OK)]
)
def test_a_journal_needs_space(free: int, status: Status) -> None:
    assert space_check(Path("jobs.db"), free).status is status
