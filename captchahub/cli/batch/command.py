"""``captchahub batch``: solve any number of pictures, and write the answers to a file."""

from __future__ import annotations

import json
import signal
import threading
import time
import typing
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

import attrs
import click
import yaml

from captchahub._config.loader import read_yaml
from captchahub._plugins.manager import Plugins
from captchahub._support.paths import expanded
from captchahub.cli.batch.entries import Entry, read_entries
from captchahub.cli.batch.messages import (
    how_it_goes_on,
    reason_of_stop,
    say_how_to_go_on,
    say_what_is_skipped,
)
from captchahub.cli.batch.output import Output
from captchahub.cli.batch.own_files import refuse_own
from captchahub.cli.batch.run import Batch
from captchahub.cli.batch.summary import summary, totals_fields
from captchahub.cli.options import (
    UserPath,
    WholeNumber,
    amount,
    config_option,
    find_config,
    positive_seconds,
    with_journal,
)
from captchahub.cli.program import Subcommand
from captchahub.cli.solve.task_options import MakeTask, TextOption, check_kind, task_maker, text_options
from captchahub.cli.solve.waits import WaitReporter
from captchahub.cli.streams import ExitCode, put, say, writing_stdout
from captchahub.errors import TaskError
from captchahub.hub import Hub
from captchahub.settings import FurtherBudget, HubSettings
from captchahub.tasks import ImageToText, Solution, Task

__all__ = ["batch"]

_EPILOG = """
\b
Examples:
  captchahub batch shots -o answers.jsonl
  captchahub batch "shots/**/*.png" -o answers.csv --length 5
  captchahub batch list.csv -o answers.csv --budget 2.50
  captchahub batch list.csv -o answers.csv --retry-failed

\b
SOURCE is one of these, and several can be given:
  a folder       every picture in it and below; an answers.json in it, as \
"captchahub sandbox --pictures" writes it, names the right answers
  a pattern      such as "shots/*.png", in quotes
  a .csv file    with the column file, and if wanted id, type, truth (the right \
answer) and options of the task such as length
  a .jsonl file  one object per line with the same keys
  a picture
Paths in a list begin at the folder of the list.

\b
Output: a record for each picture, appended as soon as its answer is there.
  A .csv file has the columns id, file, kind, answer, truth, is_right, provider, \
job_id, cost, total_cost, is_collected, elapsed, error and fingerprint; any other file has one JSON \
object per line with these keys and those of "captchahub solve --json".

Started again with the same -o, the batch goes on where it stopped. No picture
is paid for twice, even if the process was killed: the answers that were not
yet written are in the journal. A picture that the file has under another name
gets the same answer. A picture whose job was being created at that
moment is recorded as failed, because the service may have the job;
--retry-failed solves it again.

Ctrl-C starts no more pictures and waits for the answers that are paid for. A
second Ctrl-C stops at once; the next run collects the answers.

\b
Exit codes:
  0    every picture is solved
  1    some pictures are not solved: they failed, or the batch stopped early
  2    wrong usage, or a source can't be read; nothing was solved
  3    the configuration or the output file is wrong; nothing was solved
  130  interrupted, or 143 ended by SIGTERM
"""


@click.command(cls=Subcommand, epilog=_EPILOG)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "-o",
    "--output",
    type=UserPath(),
    required=True,
    metavar="FILE",
    help="The file to append the answers to.",
)
@config_option("The YAML file with the providers; found as by captchahub solve.")
@click.option(
    "--type",
    "kind",
    default=ImageToText.kind,
    show_default=True,
    metavar="TYPE",
    help="The type of the tasks whose source names none.",
)
@click.option(
    "--concurrency",
    type=WholeNumber(1, 10_000),
    default=32,
    show_default=True,
    metavar="N",
    help="How many pictures are solved at the same time.",
)
@click.option(
    "--budget",
    type=amount,
    metavar="AMOUNT",
    help="The most that the batch may spend, all its runs together. The prices must be known.",
)
@click.option("--retry-failed", is_flag=True, help="Solve the pictures again whose records have an error.")
@click.option(
    "--timeout",
    type=positive_seconds,
    metavar="SECONDS",
    help="The time limit of each picture. By default as configured.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the totals as a JSON object.")
@text_options
def batch(  # noqa: PLR0917 - click passes them by name
    sources: Sequence[str],
    output: Path,
    config: Path | None,
    kind: str,
    concurrency: int,
    budget: Decimal | None,
    timeout: float | None,
    *,
    retry_failed: bool,
    as_json: bool,
    **options: TextOption,
) -> None:
    """Solve any number of pictures, and write the answers to a file."""
    # Imported late, because rich takes long to import and help does not need it.
    from captchahub.cli.batch.progress import showing_progress  # noqa: PLC0415

    reporter = WaitReporter()
    plugins = Plugins((reporter,))
    configuration = find_config(config)
    settings = with_journal(read_yaml(configuration, plugins))
    check_kind(plugins.task_types(), kind)
    entries = read_entries(sources)
    refuse_own(output, configuration, settings, [*map(expanded, sources), *(one.file for one in entries)])
    makers = _makers(plugins.task_types(), kind, options)
    _check_options(entries, makers)
    say_what_is_skipped(sources, output)
    begun = time.monotonic()
    with Output(output, retry_failed=retry_failed) as file:
        file.begin(lambda: _spent(settings, plugins))
        run = Batch(entries, file, makers)
        with (
            showing_progress(run.totals) as run.on_change,
            reporter.reporting(),
            Hub(_for_batch(settings, file, budget), plugins=plugins) as hub,
            _stopping_on_interrupt(run) as interrupted,
        ):
            run.run(hub, timeout=timeout, concurrency=concurrency, may_pay_twice=retry_failed)
        totals, elapsed = run.totals, time.monotonic() - begun
        file.close(is_complete=totals.solved == totals.total)
    stopped = reason_of_stop(run, output)
    if stopped is not None:
        say(stopped)
    with writing_stdout():
        fields = {**totals_fields(totals, elapsed), "stopped": stopped}
        put(json.dumps(fields) if as_json else summary(totals, elapsed))
    say_how_to_go_on(totals)
    code = ExitCode.DONE if totals.solved == totals.total else ExitCode.UNSOLVED
    click.get_current_context().exit(ExitCode.INTERRUPTED if interrupted.is_set() else code)


def _makers(
    types: Mapping[str, type[Task[Solution]]], kind: str, options: Mapping[str, TextOption]
) -> Callable[[Entry], MakeTask]:
    """Return what returns the function that makes the task of an entry from its picture."""
    given = {name: value for name, value in options.items() if value is not None}

    # Most entries have the same options, and checking them makes a task.
    @lru_cache(maxsize=256)
    def maker(kind: str, own: tuple[tuple[str, object], ...]) -> MakeTask:
        texts = given if kind == ImageToText.kind else {}
        return task_maker(types, kind, {}, _typed(types.get(kind), {**texts, **dict(own)}))

    def of(entry: Entry) -> MakeTask:
        return maker(entry.kind or kind, tuple(sorted(entry.options.items())))

    return of


def _typed(task_type: type[Task[Solution]] | None, options: Mapping[str, object]) -> Mapping[str, object]:
    """Return the options with the texts of a CSV file as what they are: ``5`` for a length, ``true``."""
    if task_type is None or not attrs.has(task_type):
        return options
    fields: Sequence[attrs.Attribute[Any]] = attrs.fields(attrs.resolve_types(task_type))
    not_text = {field.alias for field in fields if str not in (typing.get_args(field.type) or (field.type,))}
    return {
        name: yaml.safe_load(value) if isinstance(value, str) and name in not_text else value
        for name, value in options.items()
    }


def _check_options(entries: Sequence[Entry], makers: Callable[[Entry], MakeTask]) -> None:
    """Raise UsageError, with its place, for the first entry whose type or options are wrong."""
    for entry in entries:
        try:
            makers(entry)
        except (click.UsageError, TaskError) as error:
            message = error.message if isinstance(error, click.UsageError) else str(error)
            raise click.UsageError(f"{entry.source}: {message}") from error
        except TypeError as error:
            raise click.UsageError(f"{entry.source}: an option is a list or an object: {error}") from error


_NO_LIMIT = FurtherBudget("everything", Decimal(10**9))


def _spent(settings: HubSettings, plugins: Plugins) -> Decimal:
    """Return what the accounts have ever spent."""
    with Hub(attrs.evolve(settings, budget=None, further_budgets=(_NO_LIMIT,)), plugins=plugins) as hub:
        return next(budget.spent for budget in hub.budgets() if budget.provider is None)


def _for_batch(settings: HubSettings, file: Output, budget: Decimal | None) -> HubSettings:
    """Return the settings with the batch's budget, and with what is solved since it began reused."""
    limits = () if budget is None else (FurtherBudget("the batch (--budget)", budget, file.spent_before),)
    return attrs.evolve(settings, further_budgets=limits, reuse_since=file.begun)


@contextmanager
def _stopping_on_interrupt(run: Batch) -> Generator[threading.Event]:
    """Let the first Ctrl-C in here stop the run in an orderly way; the next one raises KeyboardInterrupt."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def stop(_number: int, _frame: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt(how_it_goes_on())
        interrupted.set()
        run.stop()
        say("waiting for the answers that are paid for; Ctrl-C again stops at once")

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
