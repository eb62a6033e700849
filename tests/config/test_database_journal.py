"""A journal in PostgreSQL, as a configuration names it; its password never shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from captchahub import ConfigError, Hub
from captchahub._support.database_address import is_valid, shown
from captchahub.config import load_yaml
from captchahub.provider import Secret
from captchahub.settings import JournalSettings
from tests.cli.running import run

PASSWORD = "pa55w0rd"
URL = f"postgresql://shop:{PASSWORD}@db.example.com:5433/jobs"


def load(folder: Path, journal: str) -> JournalSettings:
    path = folder / "config.yaml"
    account = "providers: {omo: {plugin: omocaptcha, api_token: t0ken}}"
    path.write_text(f"{account}\njournal: {journal}\n")
    return load_yaml(path).journal


@pytest.mark.parametrize("written", [URL, "${env:JOURNAL}", "{url: '${env:JOURNAL}'}", f"{{url: '{URL}'}}"])
def test_is_named_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str) -> None:
    monkeypatch.setenv("JOURNAL", URL)
    read = load(tmp_path, written)
    assert read == JournalSettings(url=Secret(URL))
    assert read.place == "postgresql://db.example.com:5433/jobs"
    assert PASSWORD not in repr(read)


def test_may_name_several_servers(tmp_path: Path) -> None:
    several = f"postgresql://shop:{PASSWORD}@one:5433,[::1]:5434,three/jobs?target_session_attrs=read-write"
    read = load(tmp_path, several)
    assert read.url == Secret(several)
    assert read.place == "postgresql://one:5433,[::1]:5434,three/jobs"
    assert PASSWORD not in repr(read)


def test_has_keys_of_its_own(tmp_path: Path) -> None:
    read = load(tmp_path, f"{{url: '{URL}', schema: of-shop, pooler: true, keep: 1h}}")
    assert (read.schema, read.pooler, read.keep) == ("of-shop", True, 3600.0)
    assert read.place == "postgresql://db.example.com:5433/jobs (schema of-shop)"


WRONG = (
    "{path: jobs.db, url: 'postgresql://host/jobs'}",
    "{schema: other}",
    "{path: jobs.db, pooler: true}",
    "{path: jobs.db, pooler: false}",
    "{url: jobs.db}",
    f"mysql://shop:{PASSWORD}@host/jobs",
    "{url: 'postgresql://host/jobs', schema: pg_jobs}",
    f"postgresql://shop:{PASSWORD}@x@host/jobs",
    f"postgresql://shop:{PASSWORD}/x@host/jobs",
    f"postgresql://shop:#{PASSWORD}@host/jobs",
    f"postgresql://shop:?{PASSWORD}@host/jobs",
    f"postgresql://shop:x {PASSWORD}@host/jobs",
)


@pytest.mark.parametrize("written", WRONG)
def test_is_refused_if_it_makes_no_sense(tmp_path: Path, written: str) -> None:
    with pytest.raises(ConfigError, match="journal") as raised:
        load(tmp_path, written)
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize("url", ["host/jobs", f"postgresql://{PASSWORD}@x@host"])
def test_is_checked_in_settings_too(url: str) -> None:
    with pytest.raises(ValueError, match="url") as raised:
        JournalSettings(url=Secret(url))
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgres://host", "postgresql://host/"),
        ("postgresql:///jobs?host=/run/postgresql&password=x", "postgresql:///jobs"),
        ("postgresql://u@[::1]:5432,other:5433/jobs", "postgresql://[::1]:5432,other:5433/jobs"),
        ("postgresql://u:p%40ss@host/my%20jobs", "postgresql://host/my jobs"),
    ],
)
def test_is_shown_without_user_and_parameters(address: str, expected: str) -> None:
    assert is_valid(address)
    assert shown(address) == expected


def test_is_not_changed_by_a_reload(tmp_path: Path) -> None:
    load(tmp_path, "{}")
    with Hub.from_yaml(tmp_path / "config.yaml") as hub:
        load(tmp_path, URL)
        with pytest.raises(ConfigError, match=r"in memory .* can't become postgresql://db") as raised:
            hub.reload()
    assert PASSWORD not in str(raised.value)


@pytest.mark.parametrize("written", [URL, f"{{url: '{URL}', keep: 1h}}"])
def test_is_hidden_in_what_the_program_prints(tmp_path: Path, written: str) -> None:
    load(tmp_path, written)
    done = run("config", "show", str(tmp_path / "config.yaml"))
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    assert "***" in done.output
