"""Jobs without a known price on the command line: their cost is unknown, and never 0."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import yaml

from captchahub import Hub
from captchahub.testing import Sandbox, load_emulation
from tests.cli.running import run


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal with one job of a service that names no price."""
    monkeypatch.chdir(tmp_path)
    with Sandbox(load_emulation("createtask", dialect="capsolver")) as sandbox:
        provider = {"plugin": "createtask", **sandbox.settings()}
        path = tmp_path / "captchahub.yaml"
        path.write_text(yaml.safe_dump({"providers": {"silent": provider}, "journal": "jobs.db"}))
        with Hub.from_yaml(path) as hub:
            hub.solve(sandbox.draw_text().task())
    return tmp_path / "jobs.db"


def test_spend_says_that_the_amount_is_not_all(journal: Path) -> None:
    shown = run("spend", "--journal", str(journal)).stdout
    assert shown.splitlines()[-1] == "total: 0.00 + 1 unpriced for 1 job"
    (total,) = json.loads(run("spend", "--journal", str(journal), "--json").stdout)["totals"]
    assert total == {"amount": "0", "currency": None, "jobs": 1, "unpriced": 1}


def test_watch_and_accounts_name_the_jobs_that_the_amount_of_today_does_not_contain(journal: Path) -> None:
    assert ", today 0.00 + 1 unpriced, " in run("watch", "--once", "--journal", str(journal)).stdout
    (silent,) = map(json.loads, run("watch", "--once", "--json").stdout.splitlines())
    assert (silent["today"], silent["unpriced"]) == ("0", 1)
    assert "unpriced" in run("accounts").stdout
    (silent,) = json.loads(run("accounts", "--json").stdout)["accounts"]
    assert (silent["spent_today"], silent["unpriced"]) == ("0", 1)


def test_the_report_names_them(journal: Path) -> None:
    pytest.importorskip("vl_convert")
    run("report", "-o", "report.html", "--csv", "report.csv")
    page = journal.with_name("report.html").read_text()
    assert page.count("0.00 + 1 unpriced") == 2
    with journal.with_name("report.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["spent"], row["unpriced"]) == ("0", "1")


def test_jobs_list_shows_the_cost_as_unknown(journal: Path) -> None:
    (line,) = run("jobs", "list", "--journal", str(journal)).stdout.splitlines()[1:]
    assert "?" in line.split()
    (job,) = map(json.loads, run("jobs", "list", "--journal", str(journal), "--json").stdout.splitlines())
    assert (job["price"], job["cost"]) == (None, None)
