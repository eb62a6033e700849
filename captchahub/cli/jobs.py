"""``captchahub jobs``: list, show, resume, resolve and report the jobs of the journal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import click

from captchahub._journal.solutions import unpack_of_kind
from captchahub.cli.hubs import open_hub
from captchahub.cli.invocation import command
from captchahub.cli.journal import chosen_journal, journal_hub, journal_options, say_journal
from captchahub.cli.options import WholeNumber, amount, config_option
from captchahub.cli.program import Subcommand, Subgroup
from captchahub.cli.resume import resume
from captchahub.cli.streams import need_stdout, put, say, writing_stdout
from captchahub.cli.text import amount_text, answer, money_text, printable
from captchahub.errors import NotOffered, ProviderError
from captchahub.hub import Hub
from captchahub.jobs import JobEntry, JobState
from captchahub.results import Attempt

__all__ = ["jobs"]

_STATES = [state.value for state in JobState]

_SETTLED = ("solved", "failed", "expired", "not_sent", "refused")

_EPILOG = """
\b
States:
  intent     the price is reserved, and the job is being created
  created    the service has the job; its answer can be collected
  solved     the answer is here
  failed     the job ended without a usable answer
  expired    the service no longer knows the job
  not_sent   nothing was sent and nothing is charged
  refused    the service refused the job, and nothing is charged
  ambiguous  the service may have the job, but its id is unknown; look there,
             then record the outcome with "captchahub jobs resolve"
"""


@click.group(cls=Subgroup, epilog=_EPILOG)
def jobs() -> None:
    """Look at the jobs of the journal, and settle what is open.

    No token is needed, except to resume and to report.
    """


@jobs.command("list", cls=Subcommand)
@click.option("--state", type=click.Choice(_STATES), help="Only jobs in this state.")
@click.option("--undelivered", is_flag=True, help="Only answers that no caller has received.")
@click.option("--provider", metavar="NAME", help="Only jobs of this provider.")
@click.option(
    "-n",
    "--limit",
    type=WholeNumber(1),
    default=20,
    show_default=True,
    metavar="N",
    help="The most jobs to list.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@journal_options
def list_jobs(
    state: str | None,
    provider: str | None,
    limit: int,
    config: Path | None,
    journal: Path | None,
    *,
    undelivered: bool,
    as_json: bool,
) -> None:
    """List the newest jobs, newest first."""
    need_stdout()
    chosen = chosen_journal(config, journal)
    with journal_hub(chosen) as hub:
        found = hub.jobs(
            state=None if state is None else JobState(state),
            provider=provider,
            is_given=False if undelivered else None,
            limit=limit,
        )
    with writing_stdout():
        if as_json:
            for job in found:
                put(json.dumps(_fields(job)))
        else:
            _show_list(found)
    if not as_json:
        say_journal(chosen)


@jobs.command(cls=Subcommand)
@click.argument("job_id", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@journal_options
def show(job_id: int, config: Path | None, journal: Path | None, *, as_json: bool) -> None:
    """Show everything the journal has of one job. ID is its number in the journal."""
    need_stdout()
    with journal_hub(chosen_journal(config, journal)) as hub:
        fields = _fields(_job(hub, job_id))
    with writing_stdout():
        if as_json:
            put(json.dumps(fields, indent=2))
        else:
            width = max(map(len, fields))
            put("\n".join(f"{name:<{width}}  {_plain(value)}" for name, value in fields.items()))


@jobs.command(cls=Subcommand)
@click.argument("job_id", metavar="ID", type=int)
@click.argument("state", type=click.Choice(_SETTLED))
@click.option(
    "--cost",
    type=amount,
    metavar="AMOUNT",
    help="What the job cost; by default its price, or 0 if it was not accepted.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the job as a JSON object.")
@journal_options
def resolve(
    job_id: int,
    state: str,
    cost: Decimal | None,
    config: Path | None,
    journal: Path | None,
    *,
    as_json: bool,
) -> None:
    """Record what became of an ambiguous or created job, as the service's own pages show it."""
    with journal_hub(chosen_journal(config, journal)) as hub:
        job = _job(hub, job_id)
        try:
            hub.resolve(job, JobState(state), cost=cost)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        now = _job(hub, job_id)
    if as_json:
        with writing_stdout():
            put(json.dumps(_fields(now), indent=2))
    say(f"job {job_id} is {now.state.value}; {amount_text(now.charge, now.currency)} is charged for it")


@jobs.command(cls=Subcommand)
@click.argument("job_id", metavar="ID", type=int)
@click.option(
    "--right/--wrong", "correct", default=None, help="Whether the answer was right; one is required."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@config_option("The YAML file with the account of the job; found as by captchahub solve.")
def report(job_id: int, config: Path | None, *, correct: bool | None, as_json: bool) -> None:
    """Report to the service whether the answer of a job was right.

    Some services refund wrong answers, and block accounts that report falsely.
    """
    if correct is None:
        raise click.UsageError("say whether the answer was right: --right or --wrong")
    with open_hub(config)[0] as hub:
        job = _job(hub, job_id)
        if job.is_of_other_account:
            raise click.ClickException(
                f"job {job_id} is of an account of {job.plugin} at {job.address} that is not configured here"
            )
        attempt = Attempt(job.configured_as or job.provider, 0.0, job_id=job.job_id, kind=job.kind)
        try:
            hub.report(attempt, correct=correct)
        except (NotOffered, ProviderError) as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        with writing_stdout():
            put(
                json.dumps(
                    {"id": job_id, "provider": job.provider, "job_id": job.job_id, "is_right": correct}
                )
            )
    say(f"job {job_id} is reported to {job.provider} as {'right' if correct else 'wrong'}")


jobs.add_command(resume)


def _job(hub: Hub, job_id: int) -> JobEntry:
    job = hub.job(job_id)
    if job is None:
        raise click.ClickException(
            f"there is no job {job_id} in the journal; {command('jobs', 'list')} shows the newest ones"
        )
    return job


def _answer(job: JobEntry) -> str | None:
    """Return the answer on one line, or None if there is none."""
    if job.answer is None:
        return None
    solution = unpack_of_kind(job.kind, job.answer)
    # A kind of task of a plugin that is not imported here.
    return json.dumps(job.answer) if solution is None else answer(solution)


def _fields(job: JobEntry) -> Mapping[str, object]:
    """Return a job for JSON. Amounts are text, to be exact; times are ISO 8601 in the local time zone."""
    return {
        "id": job.id,
        "state": job.state.value,
        "label": job.label,
        "kind": job.kind,
        "provider": job.provider,
        "job_id": job.job_id,
        "answer": _answer(job),
        "solution": job.answer,
        # Only an answer can be delivered.
        "is_delivered": job.is_given if job.state is JobState.SOLVED else None,
        "error": job.error,
        "price": None if job.price is None else money_text(job.price),
        "charge": money_text(job.charge),
        "cost": None if job.cost is None else money_text(job.cost),
        "currency": job.currency,
        "ordered_at": _time(job.ordered_at),
        "updated_at": _time(job.updated_at),
        "held_until": None if job.held_until is None else _time(job.held_until),
        "options": dict(job.options),
        "fingerprint": job.fingerprint,
        "submission": job.submission,
        "plugin": job.plugin,
        "address": job.address,
        "is_by_hand": job.is_by_hand,
    }


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment).astimezone().isoformat(timespec="seconds")


def _plain(value: object) -> str:
    if value is None:
        return "-"
    return printable(value if isinstance(value, str) else json.dumps(value))


# In columns of the terminal: what a picture's name keeps at least, and what an answer gets at most.
_PICTURE_WIDTH, _ANSWER_WIDTH = 12, 24

# What a narrow terminal leaves out, the first one first.
_OPTIONAL = ("cost", "time", "provider")


def _show_list(found: Sequence[JobEntry]) -> None:
    # Imported late, because rich takes long to import and help does not need it.
    from rich.table import Column  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from captchahub.cli.tables import GAP, new_console, new_table, shortened  # noqa: PLC0415

    console = new_console()
    if not found:
        console.print("no such jobs")
        return
    rows = list(_rows(found))
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    widths["answer"] = min(widths["answer"], _ANSWER_WIDTH)
    names = list(rows[0])

    def room() -> int:
        """Return the width that is left for the pictures."""
        return console.width - sum(widths[name] + GAP for name in names if name != "picture")

    for name in _OPTIONAL:
        if room() < min(widths["picture"], _PICTURE_WIDTH):
            names.remove(name)
    columns = {
        "id": Column("id", justify="right", no_wrap=True),
        "cost": Column("cost", justify="right", no_wrap=True),
        "answer": Column("answer", overflow="fold"),
    }
    table = new_table(*(columns.get(name, Column(name, no_wrap=True)) for name in names))
    for row in rows:
        shown = {**row, "picture": shortened(row["picture"], max(room(), 1))}
        table.add_row(*(Text(shown[name]) for name in names))
    console.print(table)


def _rows(found: Sequence[JobEntry]) -> Iterator[Mapping[str, str]]:
    times = [datetime.fromtimestamp(job.ordered_at).astimezone() for job in found]
    is_today = {time.date() for time in times} == {datetime.now().astimezone().date()}
    for job, time in zip(found, times, strict=True):
        yield {
            "id": str(job.id),
            "time": time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S"),
            "state": job.state.value if job.is_given else f"{job.state.value}, undelivered",
            "provider": printable(job.provider),
            "cost": amount_text(job.cost, job.currency),
            "picture": printable(job.label or job.fingerprint[:12]),
            "answer": printable(_answer(job) or (job.error or "").partition(":")[0]),
        }
