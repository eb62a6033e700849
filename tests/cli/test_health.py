"""The health of providers in ``captchahub watch`` and ``accounts``, as other processes have recorded it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from rich.console import Console

from captchahub import AllProvidersFailed, Hub
from captchahub.cli.health import SeenHealth, seen_health
from captchahub.cli.watch import activities, frame
from captchahub.results import HealthEntry, ProviderState
from captchahub.testing import Sandbox
from tests.cli.running import run

NOW = datetime.now(UTC)

OUT = HealthEntry("omo", ProviderState.OUT, "AuthenticationError", NOW, None, owner="one")

COOLING = attrs.evolve(
    OUT, state=ProviderState.COOLING, error="RateLimited", until=NOW + timedelta(days=2), owner="other"
)


@pytest.fixture
def refused(home: Path, service: Sandbox) -> Iterator[Hub]:
    """A running program whose account has no money, under another name than in the configuration."""
    path = home / "captchahub.yaml"
    configuration: dict[str, Any] = yaml.safe_load(path.read_text())
    configuration["providers"]["omo"].update(service.settings("empty", balance="0"))
    path.write_text(yaml.safe_dump(configuration))
    theirs = {"providers": {"mine": configuration["providers"]["omo"]}, "journal": str(home / "jobs.db")}
    with Hub.from_mapping(theirs) as hub:
        with pytest.raises(AllProvidersFailed):
            hub.solve(service.draw_text().task())
        assert len(hub.recorded_health()) == 1
        yield hub


def test_watch_says_why_a_provider_is_not_used(refused: Hub) -> None:
    assert run("watch", "--once").stdout.startswith("mine: health out (InsufficientBalance), in flight 0, ")
    (mine,) = map(json.loads, run("watch", "--once", "--json").stdout.splitlines())
    assert datetime.fromisoformat(mine["health"].pop("since")) >= NOW.replace(microsecond=0)
    assert mine["health"] == {"state": "out", "error": "InsufficientBalance", "until": None, "processes": 1}
    refused.revive("mine")
    refused.recorded_health()
    assert run("watch", "--once").stdout.startswith("mine: health healthy, ")


def test_the_table_of_a_terminal_fits_into_80_columns(refused: Hub, home: Path) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(frame(activities(refused, NOW.timestamp()), f"{home}/jobs.db", 80))
    lines = console.export_text().splitlines()
    heads = [
        "provider",
        "health",
        "in",
        "flight",
        "oldest",
        "answered",
        "failed",
        "takes",
        "success",
        "today",
    ]
    assert heads in map(str.split, lines)
    assert "mine: out (InsufficientBalance)" in lines
    assert any(line.startswith("mine: last error InsufficientBalance: ") for line in lines)


def test_accounts_finds_the_account_under_its_own_name(refused: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = run("accounts").stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "omo in running processes: out (InsufficientBalance)" in shown
    (omo,) = json.loads(run("accounts", "--json").stdout)["accounts"]
    assert (omo["provider"], omo["state"], omo["health"]["state"]) == ("omo", "no money", "out")
    refused.close()
    (omo,) = json.loads(run("accounts", "--json").stdout)["accounts"]
    assert (omo["state"], omo["health"]["state"]) == ("no money", "healthy")


def test_nothing_is_known_of_a_journal_in_memory(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where the user's state folder cannot be created, the journal stays in memory.
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "captchahub.yaml"))
    path = home / "captchahub.yaml"
    configuration: dict[str, Any] = yaml.safe_load(path.read_text())
    del configuration["journal"]
    path.write_text(yaml.safe_dump(configuration))
    (omo,) = json.loads(run("accounts", "--json").stdout)["accounts"]
    assert omo["health"] is None


def test_of_several_processes_the_worst_off_is_shown() -> None:
    assert seen_health([]) == SeenHealth()
    assert seen_health([]).text() == "healthy"
    assert seen_health([OUT, COOLING]).text() == "out (AuthenticationError)"
    two = seen_health([COOLING, attrs.evolve(COOLING, owner="third", until=NOW)])
    assert two.until is not None
    assert two.until == COOLING.until
    assert two.text() == f"cooling until {two.until.astimezone():%Y-%m-%d %H:%M} in 2 processes (RateLimited)"
