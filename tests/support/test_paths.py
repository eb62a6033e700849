"""A path that begins with ``~`` is at home, wherever one is written."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner
from click.testing import Result as Ran

from captchahub import Hub
from captchahub._support.paths import expanded
from captchahub.cli import cli
from captchahub.testing import Sandbox


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home directory; the program works elsewhere."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.delenv("CAPTCHAHUB_CONFIG", raising=False)
    return home


def configuration(sandbox: Sandbox) -> dict[str, object]:
    own = {**sandbox.settings("s3cret"), "api_token": "${file:~/token}", "ca_bundle": "~/ca.pem"}
    return {"providers": {"omo": {"plugin": "omocaptcha", **own}}, "journal": "~/jobs.db"}


@pytest.fixture
def config(home: Path, sandbox: Sandbox) -> Path:
    (home / "token").write_text("s3cret\n")
    trustme.CA().cert_pem.write_to_path(home / "ca.pem")
    (home / "hub.yaml").write_text(json.dumps(configuration(sandbox)))
    return home / "hub.yaml"


def run(*arguments: str, **variables: str) -> Ran:
    return CliRunner().invoke(cli, arguments, env=variables, prog_name="captchahub")


def test_in_a_configuration(home: Path, config: Path, sandbox: Sandbox, quick: object) -> None:
    picture = sandbox.draw_text()
    with Hub.from_yaml(config, plugins=[quick]) as hub:
        assert picture.accepts(hub.solve(picture.task()).solution)
    with closing(sqlite3.connect(home / "jobs.db")) as journal:
        assert journal.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_in_a_mapping(home: Path, config: Path, sandbox: Sandbox) -> None:
    with Hub.from_mapping(configuration(sandbox)) as hub:
        assert hub.balances()["omo"] is not None
    assert (home / "jobs.db").exists()


def test_of_a_configuration_also_if_it_is_read_again(
    config: Path, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hub.from_yaml("~/hub.yaml") as hub:
        monkeypatch.chdir(tmp_path)
        hub.reload()


def test_that_does_not_exist_is_reported_at_its_key(home: Path, config: Path) -> None:
    (home / "ca.pem").unlink()
    checked = run("config", "check", str(config))
    assert checked.exit_code == 3
    assert "providers.omo.ca_bundle: expected the path of a PEM file" in checked.output
    assert "found '~/ca.pem'; it does not exist" in checked.output


@pytest.mark.parametrize("arguments", [("config", "check", "~/hub.yaml"), ("resume", "--config=~/hub.yaml")])
def test_on_the_command_line(config: Path, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 0


def test_in_the_variable_that_names_the_configuration(config: Path) -> None:
    assert run("resume", CAPTCHAHUB_CONFIG="~/hub.yaml").exit_code == 0


def test_of_a_picture(home: Path, config: Path, sandbox: Sandbox) -> None:
    picture = sandbox.draw_text()
    (home / "picture.png").write_bytes(picture.image.data)
    ran = run("solve", "--config", "~/hub.yaml", "~/picture.png")
    assert (ran.stdout.strip(), ran.exit_code) == (picture.solution.text, 0)


def test_of_a_new_configuration_and_of_a_new_plugin(home: Path) -> None:
    assert run("config", "init", "~/new.yaml", "--plugin", "omocaptcha", "--yes").exit_code == 0
    assert (home / "new.yaml").exists()
    assert run("new-plugin", "acme", "--into", "~/code").exit_code == 0
    assert (home / "code").is_dir()


@pytest.mark.parametrize("path", ["./~/a", "a/~/b", "a~", "~no-such-user-here/a", "a"])
def test_elsewhere_in_a_path_or_of_no_user_it_is_a_name(path: str) -> None:
    assert expanded(path) == Path(path)
