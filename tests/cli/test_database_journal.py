"""Commands that read a journal in PostgreSQL, which the configuration names; its password never shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from captchahub import Hub
from captchahub.testing import Sandbox
from tests.cli.running import run
from tests.journal.stores import Place, place_of
from tests.postgres_server import PASSWORD
from tests.quick_omo import QuickOmo


@pytest.fixture
def place() -> Iterator[Place]:
    with place_of("postgres", None) as place:
        yield place


def test_show_what_is_in_it(tmp_path: Path, place: Place, sandbox: Sandbox, quick: QuickOmo) -> None:
    account = {"plugin": "omocaptcha", **sandbox.settings("one", balance="5")}
    configured = {"providers": {"omo": account}, "journal": place.configured}
    with Hub.from_mapping(configured, plugins=[quick]) as hub:
        hub.solve(sandbox.draw_text().task())
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(configured))
    shown = {
        command: run(*command.split(), "--config", str(config)).output
        for command in ("jobs list", "spend", "watch --once", "doctor", "accounts")
    }
    assert "solved" in shown["jobs list"]
    for command, output in shown.items():
        assert PASSWORD not in output
        assert "postgresql://127.0.0.1" in output, (command, output)
