"""``captchahub watch``: a live view of a journal that other processes write."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import attrs
import click

from captchahub.cli.health import SeenHealth, seen_health
from captchahub.cli.hubs import Spent, spent_today
from captchahub.cli.journal import chosen_journal, journal_hub, journal_options, say_journal
from captchahub.cli.options import positive_seconds
from captchahub.cli.program import Subcommand
from captchahub.cli.streams import need_stdout, put, writing_stdout
from captchahub.cli.text import money_text, printable, spent_text
from captchahub.hub import Hub
from captchahub.jobs import JobEntry, JobState
from captchahub.results import HealthEntry, ProviderState

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["watch"]

_EPILOG = """
\b
For each provider of today, and each that is not healthy:
  health     whether the processes use it: healthy, cooling until a time, or out,
             with the class of the error; a process that has ended, and a
             cooldown that is over, do not count
  in flight  jobs that are being created or solved now
  oldest     the age of the oldest of them
  answered   jobs solved in the last minute
  failed     jobs that ended without an answer in the last minute
  takes      the median time from create to answer, of the last ten minutes
  success    the share of solved jobs among those that ended, of the same time
  today      what was spent since midnight, local time; "+ 3 unpriced" says
             that it does not contain 3 jobs without a known price
  last error the newest error of the same time

Ctrl-C ends it. If stdout is no terminal, or with --json, a line is printed
each time. No token is needed.
"""

_WINDOW = 600.0

_MINUTE = 60.0

_FAILED = frozenset({JobState.FAILED, JobState.EXPIRED, JobState.REFUSED})


@attrs.frozen
class Activity:
    """What a provider did in the last ten minutes. Times are in seconds."""

    provider: str
    health: SeenHealth
    in_flight: int
    oldest: float | None
    answered: int
    failed: int
    typical: float | None
    success: float | None
    today: Spent
    last_error: str | None


@click.command(cls=Subcommand, epilog=_EPILOG)
@click.option(
    "--interval",
    type=positive_seconds,
    default="1",
    show_default=True,
    metavar="SECONDS",
    help="How often the journal is read.",
)
@click.option("--once", is_flag=True, help="Print the present state, and end.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per line.")
@journal_options
def watch(interval: float, config: Path | None, journal: Path | None, *, once: bool, as_json: bool) -> None:
    """Show live what other processes solve: health, jobs in flight, answers, times, spending and errors."""
    need_stdout()
    chosen = chosen_journal(config, journal)
    with journal_hub(chosen) as hub, writing_stdout():
        if once or as_json or not sys.stdout.isatty():
            if not as_json:
                say_journal(chosen)
            _print_lines(hub, None if once else interval, as_json=as_json)
        else:
            _show_live(hub, str(chosen.place), interval)


def _print_lines(hub: Hub, interval: float | None, *, as_json: bool) -> None:
    while True:
        now = time.time()
        for one in activities(hub, now):
            put(json.dumps(_fields(one, now)) if as_json else _line(one))
        if interval is None:
            return
        time.sleep(interval)


def _show_live(hub: Hub, place: str, interval: float) -> None:
    # Imported late, because rich takes long to import and help does not need it.
    from rich.live import Live  # noqa: PLC0415

    from captchahub.cli.tables import new_console  # noqa: PLC0415

    console = new_console()
    found: Sequence[Activity] = ()
    try:
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                found = activities(hub, time.time())
                live.update(frame(found, f"{place}  {_now()}  Ctrl-C ends", console.width), refresh=True)
                time.sleep(interval)
    finally:
        # The live view disappears with its screen.
        console.print(frame(found, f"{place}  {_now()}", console.width))


def _now() -> str:
    return datetime.now().astimezone().strftime("%H:%M:%S")


def activities(hub: Hub, now: float) -> Sequence[Activity]:
    """Return what each provider does; ``now`` is the wall-clock time, in seconds since 1970."""
    today = spent_today(hub)
    since = datetime.fromtimestamp(now - _WINDOW).astimezone()
    health: dict[str, list[HealthEntry]] = {}
    for entry in hub.recorded_health():
        health.setdefault(entry.provider, []).append(entry)
    jobs: dict[str, list[JobEntry]] = {name: [] for name in (*today, *health)}
    for job in hub.jobs(since=since, limit=1_000_000):
        jobs.setdefault(job.provider, []).append(job)
    return [
        _activity(name, seen_health(health.get(name, [])), jobs[name], today.get(name, Spent()), now)
        for name in sorted(jobs)
    ]


def _activity(
    provider: str, health: SeenHealth, jobs: Sequence[JobEntry], today: Spent, now: float
) -> Activity:
    in_flight = [job for job in jobs if job.held_until is not None]
    solved = [job for job in jobs if job.state is JobState.SOLVED]
    failed = [job for job in jobs if job.state in _FAILED]
    ended = len(solved) + len(failed)
    last = max(failed, key=lambda job: job.updated_at, default=None)
    return Activity(
        provider,
        health,
        in_flight=len(in_flight),
        oldest=now - min(job.ordered_at for job in in_flight) if in_flight else None,
        answered=sum(job.updated_at > now - _MINUTE for job in solved),
        failed=sum(job.updated_at > now - _MINUTE for job in failed),
        typical=median(job.updated_at - job.ordered_at for job in solved) if solved else None,
        success=len(solved) / ended if ended else None,
        today=today,
        last_error=None if last is None else last.error,
    )


def _fields(one: Activity, now: float) -> Mapping[str, object]:
    at = datetime.fromtimestamp(now).astimezone().isoformat(timespec="seconds")
    return {
        "at": at,
        **attrs.asdict(one, recurse=False),
        "health": one.health.fields(),
        "today": money_text(one.today.amount),
        "unpriced": one.today.unpriced,
    }


def _texts(one: Activity) -> Mapping[str, str]:
    return {
        "provider": printable(one.provider),
        "health": one.health.text(),
        "in flight": str(one.in_flight),
        "oldest": _seconds(one.oldest),
        "answered": f"{one.answered}/min",
        "failed": f"{one.failed}/min",
        "takes": _seconds(one.typical),
        "success": "-" if one.success is None else f"{100 * one.success:.0f} %",
        "today": spent_text(one.today.amount, one.today.unpriced, one.today.currency),
        "last error": printable(one.last_error or "-"),
    }


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _line(one: Activity) -> str:
    provider, *others = _texts(one).items()
    return f"{provider[1]}: {', '.join(f'{name} {text}' for name, text in others)}"


def frame(found: Sequence[Activity], title: str, width: int) -> RenderableType:
    """Return the table of a terminal, and below it what does not fit into a column."""
    from rich.console import Group  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415

    from captchahub.cli.tables import fitted  # noqa: PLC0415

    heading = Text(title, "bold")
    if not found:
        return Group(heading, Text("no job in the last ten minutes"))
    names = list(_texts(found[0]))[:-1]
    rows: list[Sequence[Text]] = []
    notes: list[Text] = []
    for one in found:
        provider, health, *others, error = map(Text, _texts(one).values())
        colour = "green" if one.health.state is ProviderState.HEALTHY else "red"
        rows.append((provider, Text(one.health.state.value, colour), *others))
        if one.health.processes:
            notes.append(Text.assemble(provider, ": ", health))
        if one.last_error is not None:
            notes.append(Text.assemble(provider, ": last error ", error, no_wrap=True, overflow="ellipsis"))
    table = fitted(names, rows, width, right=names[2:])
    return Group(heading, Text(""), table, Text(""), *notes)
