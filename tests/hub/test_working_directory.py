"""A program continues if its working directory was deleted or has changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from captchahub import AsyncHub, ConfigError, Hub, Image, ImageToText, JournalError, TaskError
from captchahub.config import load_mapping
from captchahub.settings import HubSettings, JournalSettings
from captchahub.testing import Sandbox

PROVIDER = {"plugin": "omocaptcha", "api_token": "t0ken"}
TEXT = "providers: {omo: {plugin: omocaptcha, api_token: t0ken}}\n"


def leave_for_a_directory_that_is_gone(monkeypatch: pytest.MonkeyPatch, parent: Path) -> None:
    gone = parent / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "captchahub.yaml"
    path.write_text(f"{TEXT}journal: jobs.db\n")
    return path


@pytest.fixture
def gone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The working directory is deleted."""
    leave_for_a_directory_that_is_gone(monkeypatch, tmp_path)


@pytest.mark.usefixtures("gone")
class TestWhereItIsDeleted:
    def test_a_file_with_an_absolute_path_is_read(self, file: Path) -> None:
        with Hub.from_yaml(file) as hub:
            assert list(hub.health()) == ["omo"]
            hub.reload()

    def test_a_file_with_an_absolute_path_is_read_in_an_event_loop(self, file: Path) -> None:
        assert [plugin.name for plugin in AsyncHub.from_yaml(file).plugins()]

    def test_a_mapping_is_read(self, sandbox: Sandbox) -> None:
        picture = sandbox.draw_text("x7kp2")
        mapping = {"providers": {"omo": {"plugin": "omocaptcha", **sandbox.settings()}}}
        with Hub.from_mapping(mapping) as hub:
            assert hub.solve(picture.task()).solution.text == "x7kp2"

    def test_a_relative_path_leads_to_no_file(self) -> None:
        with pytest.raises(ConfigError, match="there is no such file"):
            Hub.from_yaml("captchahub.yaml")

    @pytest.mark.parametrize("name", ["jobs.db", "./jobs.db", "../jobs.db"])
    def test_a_relative_journal_is_refused(self, name: str) -> None:
        with pytest.raises(ConfigError, match="journal: expected the path of a file"):
            load_mapping({"providers": {"omo": PROVIDER}, "journal": name})

    def test_a_relative_journal_in_settings_is_refused(self) -> None:
        providers = load_mapping({"providers": {"omo": PROVIDER}}).providers
        with pytest.raises(JournalError, match=r"jobs\.db: it can't be opened"):
            Hub(HubSettings(providers, {}, journal=JournalSettings(Path("jobs.db"))))

    def test_a_relative_reference_leads_nowhere(self) -> None:
        mapping = {"providers": {"omo": {**PROVIDER, "api_token": "${file:token}"}}}
        with pytest.raises(ConfigError, match=r"\$\{file:token\} can't be read: No such file or directory"):
            load_mapping(mapping)

    def test_a_relative_picture_leads_nowhere(self) -> None:
        with pytest.raises(TaskError, match=r"captcha\.png: .*No such file or directory"):
            ImageToText(Image.open("captcha.png"))


def test_a_hub_works_on_if_it_is_deleted_later(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Hub.from_yaml(file) as hub:
        leave_for_a_directory_that_is_gone(monkeypatch, tmp_path)
        hub.reload()


def test_relative_paths_are_the_same_after_it_has_changed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "company.pem")
    file.write_text(
        "providers: {omo: {plugin: omocaptcha, api_token: t0ken, ca_bundle: company.pem}}\njournal: jobs.db\n"
    )
    monkeypatch.chdir(tmp_path)
    with Hub.from_yaml(file.name) as hub:
        monkeypatch.chdir("/")
        hub.reload()
        assert hub.spend() == []
    assert (tmp_path / "jobs.db").is_file()


def test_paths_in_a_mapping_begin_where_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "company.pem")
    monkeypatch.chdir(tmp_path)
    mapping = {"providers": {"omo": {**PROVIDER, "ca_bundle": "company.pem"}}, "journal": "jobs.db"}
    settings = load_mapping(mapping)
    assert settings.providers["omo"].http.ca_bundle == tmp_path / "company.pem"
    assert settings.journal.path == tmp_path / "jobs.db"
