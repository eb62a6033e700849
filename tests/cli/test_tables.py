"""The tables of commands: fitted to a terminal, and one line a row in a pipe."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from captchahub import Hub
from captchahub.cli.tables import fitted, shortened
from captchahub.cli.text import amount_text, spent_text
from captchahub.testing import Sandbox
from tests.cli.running import run


def printed(width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    rows = [(Text("omo"), Text("5.00 USD")), (Text("a-long-name"), Text("12.5 USD"))]
    console.print(fitted(("account", "balance"), rows, width, right={"balance"}))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_a_table_has_a_row_on_each_line_if_that_fits() -> None:
    assert printed(21) == [
        "account       balance",
        "omo          5.00 USD",
        "a-long-name  12.5 USD",
    ]
    # The columns move together before the table is given up.
    assert printed(20)[1] == "omo         5.00 USD"


def test_a_narrower_terminal_gets_a_line_for_each_cell() -> None:
    assert printed(19)[:3] == ["account  omo", "balance  5.00 USD", ""]


@pytest.mark.parametrize(
    ("path", "width", "shown"),
    [
        ("a/b.png", 7, "a/b.png"),
        ("shots/b.png", 7, "…/b.png"),
        ("画面/画面.png", 9, "…画面.png"),
        ("画面/画面.png", 8, "…面.png"),
    ],
)
def test_a_path_loses_its_beginning(path: str, width: int, shown: str) -> None:
    assert shortened(path, width) == shown


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("10.00000", "10.00"),
        ("5.0", "5.00"),
        ("1E+2", "100.00"),
        ("0.04600", "0.046"),
        ("0", "0.00"),
        ("-1", "-1.00"),
    ],
)
def test_an_amount_has_two_decimals_or_as_many_as_it_needs(amount: str, shown: str) -> None:
    assert amount_text(Decimal(amount)) == shown
    assert amount_text(Decimal(amount), "USD") == f"{shown} USD"
    assert spent_text(Decimal(amount), 2, "USD") == f"{shown} USD + 2 unpriced"


def test_jobs_list_keeps_each_job_on_one_line(
    home: Path, service: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = f"shots/{'long-' * 20}name.png"
    with Hub.from_yaml(home / "captchahub.yaml") as hub:
        hub.solve(service.draw_text("ABC").task(), label=label)
    for columns, name in (("200", label), ("80", "ng-name.png"), ("40", "ng-name.png")):
        monkeypatch.setenv("COLUMNS", columns)
        heads, row = run("jobs", "list").stdout.splitlines()
        assert name in row
        assert max(len(heads), len(row)) <= int(columns)
    monkeypatch.delenv("COLUMNS")
    assert len(run("jobs", "list").stdout.splitlines()) == 2
    assert label in run("jobs", "list").stdout


@pytest.mark.parametrize("command", [("spend",), ("accounts",), ("jobs", "list"), ("watch", "--once")])
def test_the_journal_is_named(home: Path, service: Sandbox, command: tuple[str, ...]) -> None:
    with Hub.from_yaml(home / "captchahub.yaml") as hub:
        hub.solve(service.draw_text("ABC").task())
    assert f"journal: {home / 'jobs.db'}" in run(*command).stderr.splitlines()
    assert "journal" not in run(*command, "--json").output
