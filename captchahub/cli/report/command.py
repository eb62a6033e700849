"""``captchahub report``: write a page about what was solved, how fast and at what cost."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import click

from captchahub.cli.journal import chosen_journal, journal_hub, journal_options
from captchahub.cli.options import UserPath, local_zone, moment
from captchahub.cli.program import Subcommand
from captchahub.cli.replacing import replacing
from captchahub.cli.report.figures import Figures, figures_of
from captchahub.cli.streams import put, say, writing_stdout
from captchahub.cli.text import counted, money_text

__all__ = ["report"]

_EPILOG = """
\b
Examples:
  captchahub report -o report.html
  captchahub report -o report.html --since 7d --csv report.csv

Jobs within 48 hours are shown by hour, others by day. The page needs no network
and no script, can be printed, and follows the light or dark setting of the
reader. The charts need the extra "captchahub[report]"; without it the page has
the numbers only. The time to solve is that from create to answer, also of a job
whose answer captchahub resume collected later. The journal keeps ended jobs for
30 days, or as its "keep" says; what they cost is kept for ever. "+ 3 unpriced"
says that an amount does not contain 3 jobs without a known price. No token is
needed.
"""

_INSTALL = 'pip install "captchahub[report]"'

_NOTHING: Mapping[str | None, Decimal] = {None: Decimal(0)}

_COLUMNS = ("day", "provider", "solved", "failed", "open", "spent", "currency", "unpriced")


@click.command(cls=Subcommand, epilog=_EPILOG)
@click.option(
    "-o", "--output", type=UserPath(), required=True, metavar="FILE", help="The HTML file to write."
)
@click.option("--since", type=moment, metavar="TIME", help="Leave out earlier jobs: 2026-11-01, today or 7d.")
@click.option(
    "--csv", "csv_file", type=UserPath(), metavar="FILE", help="Write the numbers by day as CSV too."
)
@click.option("--json", "as_json", is_flag=True, help="Print the number of jobs as a JSON object.")
@journal_options
def report(
    output: Path,
    since: datetime | None,
    csv_file: Path | None,
    config: Path | None,
    journal: Path | None,
    *,
    as_json: bool,
) -> None:
    """Write a page about what was solved, how fast and at what cost."""
    from captchahub.cli.report.charts import Chart, charts  # noqa: PLC0415 - only here
    from captchahub.cli.report.page import page  # noqa: PLC0415

    made = datetime.now().astimezone()
    chosen = chosen_journal(config, journal)
    with journal_hub(chosen) as hub:
        zone = local_zone()
        figures = figures_of(hub.jobs(since=since, limit=1_000_000), hub.spend(zone=zone, since=since), zone)
    if not figures.days:
        raise click.ClickException(f"{chosen.place}: there is no job to report on")
    drawn: Mapping[str, Chart] = {}
    note = ""
    try:
        drawn = charts(figures)
    except ImportError:
        note = f"without charts; they need: {_INSTALL}"
    text = page(figures, drawn, note=note, journal=str(chosen.place), made=made, since=since)
    with replacing(output) as file:
        file.write_text(text, encoding="utf-8")
    if csv_file is not None:
        with replacing(csv_file) as file:
            _write_csv(figures, file)
    counts = {what: figures.count(what) for what in ("solved", "failed", "open")}
    if as_json:
        with writing_stdout():
            put(json.dumps({"file": str(output), **counts}))
    say(f"{output}: {counted(sum(counts.values()), 'job')}{f', {note}' if note else ''}")


def _write_csv(figures: Figures, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for one in figures.days:
            # A day without any charge has a row too.
            for currency, amount in (one.spent or _NOTHING).items():
                counts = (one.solved, one.failed, one.open)
                writer.writerow(
                    [
                        one.day,
                        one.provider,
                        *counts,
                        money_text(amount),
                        currency or "",
                        one.unpriced[currency],
                    ]
                )
