"""The page of a report: one HTML file without scripts, fonts or links to anything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from html import escape
from string import Template

from captchahub.cli.report.charts import Chart
from captchahub.cli.report.figures import Figures
from captchahub.cli.text import amount_text, counted

__all__ = ["page"]

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>captchahub report</title>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
.lead { margin: .2rem 0 0; opacity: .75; overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(4, 2fr) 3fr; gap: .8rem; }
.facts { margin: 1.4rem 0 0; padding: 0; }
.facts div { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.facts dt { font-size: .85rem; opacity: .75; }
.facts dd { margin: 0; font-size: 1.3rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
svg { max-width: 100%; height: auto; }
.narrow { display: none; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem .35rem 0; text-align: right; border-bottom: 1px solid var(--line); }
th, td { white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; font-size: .85rem; }
@media (max-width: 42rem) {
  .facts { grid-template-columns: repeat(2, 1fr); }
  .facts div:last-child { grid-column: 1 / -1; }
  .broad { display: none; }
  .narrow { display: block; }
}
@media print { body { max-width: none; padding: 0; } section { break-inside: avoid; } }
</style>
</head>
<body>
<h1>captchahub report</h1>
<p class="lead">$lead</p>$note
<dl class="facts">$facts</dl>
$sections
</body>
</html>
""")


def page(
    figures: Figures,
    charts: Mapping[str, Chart],
    *,
    journal: str,
    made: datetime,
    since: datetime | None,
    note: str = "",
) -> str:
    """Return the HTML of a report, with the charts by title. ``note`` stands below the lead."""
    jobs = sum(figures.count(what) for what in ("solved", "failed", "open"))
    begin = "" if since is None else f" since {since:%Y-%m-%d %H:%M}"
    lead = f"{counted(jobs, 'job')}{begin} in {journal}; made {made:%Y-%m-%d %H:%M %Z}"
    facts = {
        "solved": f"{figures.count('solved'):,}",
        "failed": f"{figures.count('failed'):,}",
        "open": f"{figures.count('open'):,}",
        "success rate": _percentage(figures.success_rate()),
        "spent": _amounts(figures),
    }
    sections = [_section("By provider", _table(_by_provider(figures)))]
    sections += [
        _section(title, f'<div class="broad">{chart.broad}</div><div class="narrow">{chart.narrow}</div>')
        for title, chart in charts.items()
    ]
    return _PAGE.substitute(
        lead=escape(lead),
        note=f'<p class="lead">{escape(note)}</p>' if note else "",
        facts="".join(
            f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in facts.items()
        ),
        sections="\n".join(sections),
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _by_provider(figures: Figures) -> Iterable[Sequence[str]]:
    yield "provider", "solved", "failed", "open", "success", "median", "p90", "p95", "spent"
    for name in figures.providers:
        latency = figures.latencies.get(name)
        times = (
            ("-",) * 3
            if latency is None
            else (f"{one:.1f} s" for one in (latency.median, latency.p90, latency.p95))
        )
        counts = (f"{figures.count(what, name):,}" for what in ("solved", "failed", "open"))
        yield name, *counts, _percentage(figures.success_rate(name)), *times, _amounts(figures, name)


def _table(rows: Iterable[Sequence[str]]) -> str:
    head, *body = rows
    lines = [f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>"]
    lines += [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in body]
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _percentage(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _amounts(figures: Figures, provider: str | None = None) -> str:
    texts = [amount_text(amount, currency) for currency, amount in figures.spent(provider).items() if amount]
    unpriced = figures.unpriced(provider)
    return (", ".join(texts) or amount_text(Decimal(0))) + (f" + {unpriced} unpriced" if unpriced else "")
