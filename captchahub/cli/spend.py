"""``captchahub spend``: what was spent, by day, provider or kind."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import attrs
import click

from captchahub.cli.journal import chosen_journal, journal_hub, journal_options, say_journal
from captchahub.cli.options import local_zone, moment
from captchahub.cli.program import Subcommand
from captchahub.cli.streams import need_stdout, put, writing_stdout
from captchahub.cli.text import counted, money_text, printable, spent_text
from captchahub.jobs import Spend

__all__ = ["spend"]

_EPILOG = """
\b
Examples:
  captchahub spend
  captchahub spend --by provider --since 2026-11-01
  captchahub spend --since 7d --csv > week.csv

The amounts are what the services charged or may have charged: a job that is
open or in doubt counts with its full price. "+ 3 unpriced" says that an amount
does not contain 3 jobs without a known price; --json and --csv name their
number as unpriced. Days are those of the local time zone. No token and no
configuration is needed: --journal names the file.
"""

_BY: Mapping[str, Callable[[Spend], str]] = {
    "day": lambda one: one.day.isoformat(),
    "provider": lambda one: one.provider,
    "kind": lambda one: one.kind,
}

# In columns of the terminal.
_BAR_WIDTH = 40


@attrs.define
class _Row:
    key: str
    currency: str | None
    amount: Decimal = Decimal(0)
    jobs: int = 0
    unpriced: int = 0

    def add(self, one: Spend | _Row) -> None:
        self.amount += one.amount
        self.jobs += one.jobs
        self.unpriced += one.unpriced

    def fields(self) -> dict[str, object]:
        """Return the figures for JSON and CSV."""
        return {
            "amount": money_text(self.amount),
            "currency": self.currency,
            "jobs": self.jobs,
            "unpriced": self.unpriced,
        }


@click.command(cls=Subcommand, epilog=_EPILOG)
@click.option("--by", type=click.Choice([*_BY]), default="day", show_default=True, help="What a row is for.")
@click.option("--since", type=moment, metavar="TIME", help="Leave out earlier jobs: 2026-11-01, today or 7d.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@journal_options
def spend(
    by: str,
    since: datetime | None,
    config: Path | None,
    journal: Path | None,
    *,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Show what was spent, by day, provider or kind of task."""
    need_stdout()
    chosen = chosen_journal(config, journal)
    with journal_hub(chosen) as hub:
        spends = hub.spend(zone=local_zone(), since=since)
    rows = _rows(spends, _BY[by])
    with writing_stdout():
        if as_json:
            shown = [{by: row.key, **row.fields()} for row in rows]
            totals = [total.fields() for total in _totals(rows)]
            put(json.dumps({"by": by, "rows": shown, "totals": totals}, indent=2))
        elif as_csv:
            put(_csv(by, rows))
        else:
            _show(by, rows)
    if not (as_json or as_csv):
        say_journal(chosen)


def _rows(spends: Iterable[Spend], key: Callable[[Spend], str]) -> Sequence[_Row]:
    rows: dict[tuple[str, str | None], _Row] = {}
    for one in spends:
        rows.setdefault((key(one), one.currency), _Row(key(one), one.currency)).add(one)
    return sorted(rows.values(), key=lambda row: (row.key, row.currency or ""))


def _totals(rows: Iterable[_Row]) -> Sequence[_Row]:
    """Return the totals, one for each currency."""
    totals: dict[str | None, _Row] = {}
    for row in rows:
        totals.setdefault(row.currency, _Row("total", row.currency)).add(row)
    return list(totals.values())


def _csv(by: str, rows: Iterable[_Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([by, "amount", "currency", "jobs", "unpriced"])
    writer.writerows([row.key, *row.fields().values()] for row in rows)
    return text.getvalue().rstrip("\n")


def _show(by: str, rows: Sequence[_Row]) -> None:
    # Imported late, because rich takes long to import and help does not need it.
    from rich.bar import Bar  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from captchahub.cli.tables import new_console, new_table  # noqa: PLC0415

    console = new_console()
    if not rows:
        console.print("nothing was spent")
        return
    most = {row.currency: max(one.amount for one in rows if one.currency == row.currency) for row in rows}
    # A bar compares rows, so it is of no use for one, nor for a program that reads a pipe.
    with_bars = len(rows) > 1 and console.is_terminal and console.encoding.startswith("utf")
    bars = [Column("", max_width=_BAR_WIDTH)] if with_bars else []
    table = new_table(
        Column(by, no_wrap=True),
        Column("jobs", justify="right"),
        Column("spent", justify="right", no_wrap=True),
        *bars,
    )
    for row in rows:
        share = float(row.amount / most[row.currency]) if most[row.currency] else 0.0
        spent = spent_text(row.amount, row.unpriced, row.currency)
        cells = (Text(printable(row.key)), Text(f"{row.jobs:,}"), Text(spent))
        table.add_row(*cells, *([Bar(1, 0, share, color="cyan")] if with_bars else []))
    console.print(table)
    for total in _totals(rows):
        spent = spent_text(total.amount, total.unpriced, total.currency)
        console.print(f"total: {spent} for {counted(total.jobs, 'job')}")
