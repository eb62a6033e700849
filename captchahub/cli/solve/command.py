"""``captchahub solve``: solve pictures and print the answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from captchahub._config.loader import read_yaml
from captchahub._plugins.manager import Plugins
from captchahub.cli.invocation import command
from captchahub.cli.options import (
    UserPath,
    config_option,
    find_config,
    named_value,
    positive_seconds,
    with_journal,
)
from captchahub.cli.program import Subcommand
from captchahub.cli.solve.annotate import annotate, check_annotation
from captchahub.cli.solve.files import FileOutcome, solve_files, worst
from captchahub.cli.solve.output import Printer, printer
from captchahub.cli.solve.task_options import TextOption, task_maker, text_options
from captchahub.cli.solve.waits import WaitReporter
from captchahub.cli.streams import ExitCode, need_stdout, say
from captchahub.cli.text import counted
from captchahub.hub import Hub
from captchahub.tasks import ImageToText

if TYPE_CHECKING:
    from captchahub.cli.solve.live import LiveReporter

_EPILOG = """
\b
Examples:
  captchahub solve captcha.png
  captchahub solve captcha.png --length 5 --charset 0123456789
  captchahub solve --type phone-slide screen.png
  captchahub solve --json shots/*.png > answers.jsonl
  curl -s https://example.com/captcha.png | captchahub solve -

\b
Output:
  one FILE        only the answer: the text, or "x1 y1 x2 y2" of the drag in pixels
  several FILEs   a line "FILE<TAB>answer" for each, in order of completion
  --json          one JSON object per line: file, kind, fingerprint, answer, solution, provider, job_id, \
cost, total_cost (of all attempts), elapsed, attempts, votes, ignored_options, error; amounts are \
strings, to be exact
  Line breaks, control characters and characters that the encoding of stdout lacks are escaped (\\n).
  Errors are printed on stderr, or with --json in the object. While a service can't be reached, stderr says \
so and why. On a terminal, and without --json, stderr shows what each picture waits for, until its result is \
there.

\b
Exit codes:
  0    every picture is solved
  1    no provider solved a picture
  2    wrong usage
  3    the configuration is missing or wrong; nothing was solved
  4    a picture or an option was refused; another try will not help
  5    time ran out before a picture was solved
  6    stdout failed: its output is on stderr, and no more files were started
  130  interrupted
  143  ended by SIGTERM
  If several pictures end differently, the exit code is the first of 6, 4, 1 and 5 that applies.

\b
Configuration: --config FILE, or else $CAPTCHAHUB_CONFIG, ./captchahub.yaml, ./config.yaml or \
captchahub.yaml in the user's configuration folder, such as ~/.config/captchahub.
  providers:
    omo:
      plugin: omocaptcha
      api_token: ${env:OMOCAPTCHA_TOKEN}
"""


@click.command(cls=Subcommand, epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--type",
    "kind",
    default=ImageToText.kind,
    show_default=True,
    metavar="TYPE",
    help="The type of task: image-to-text for texts to read, phone-slide for screenshots of a phone with a "
    "puzzle to drag, or a type that a plugin adds.",
)
@config_option("The YAML file with the providers. The default is described below.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option(
    "--timeout",
    type=positive_seconds,
    metavar="SECONDS",
    help="The time limit of each picture, over all providers. By default as configured.",
)
@click.option(
    "--annotate",
    "annotated",
    type=UserPath(),
    metavar="FILE",
    help="Write a copy of the picture with the answer drawn onto it, such as out.png.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Print on stderr which provider solved each picture, as on a terminal.",
)
@click.option(
    "-o",
    "--option",
    "further",
    type=named_value,
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of a type that a plugin adds. VALUE is YAML.",
)
@text_options
def solve(
    files: Sequence[str],
    kind: str,
    config: Path | None,
    timeout: float | None,
    annotated: Path | None,
    *,
    as_json: bool,
    verbose: bool,
    further: Sequence[tuple[str, object]],
    **options: TextOption,
) -> None:
    """Solve pictures and print the answers.

    Each FILE is a PNG, JPEG, GIF, WebP or BMP picture; "-" reads one from stdin. Several pictures are solved
    concurrently.
    """
    need_stdout()
    check_annotation(files, annotated)
    codes: list[ExitCode] = []
    reporter = _reporter(len(files), as_json=as_json)
    print_outcome = _apart(reporter, printer(as_json=as_json, several=len(files) > 1, verbose=verbose))
    plugins = Plugins((reporter,))
    settings = read_yaml(find_config(config), plugins)
    make_task = task_maker(plugins.task_types(), kind, options, dict(further))
    with reporter.reporting(), Hub(with_journal(settings), plugins=plugins) as hub:
        wanted = _while_stdout_works(files, codes)
        outcomes = solve_files(hub, wanted, kind, make_task, timeout)
        _print_all(outcomes, print_outcome, codes, len(files), annotated)
    click.get_current_context().exit(worst(codes))


def _reporter(total: int, *, as_json: bool) -> LiveReporter | WaitReporter:
    """Return the observer that reports on stderr: a live display on a terminal, lines elsewhere."""
    if as_json or sys.stderr is None or not sys.stderr.isatty():
        return WaitReporter()
    # Imported late, because rich takes long to import and a pipe does not need it.
    from rich.console import Console  # noqa: PLC0415

    from captchahub.cli.solve.live import LiveReporter  # noqa: PLC0415

    console = Console(stderr=True, highlight=False)
    # A terminal that can't move its cursor, TERM=dumb, gets lines.
    return LiveReporter(console, total) if console.is_interactive else WaitReporter()


def _apart(reporter: LiveReporter | WaitReporter, print_outcome: Printer) -> Printer:
    """Return a printer whose lines never mix with those of the reporter."""

    def print_apart(outcome: FileOutcome) -> ExitCode:
        with reporter.printing(is_solved=outcome.error is None):
            return print_outcome(outcome)

    return print_apart


def _while_stdout_works(files: Sequence[str], codes: Sequence[ExitCode]) -> Iterator[str]:
    """Yield the files until stdout fails, because answers cost money and would have no place to go."""
    for file in files:
        if ExitCode.STDOUT in codes:
            return
        yield file


def _print_all(
    outcomes: Iterator[FileOutcome],
    print_outcome: Printer,
    codes: list[ExitCode],
    total: int,
    annotated: Path | None,
) -> None:
    """Print the outcomes in order of completion, and append their exit codes to ``codes``."""
    try:
        # Appended one by one, because _while_stdout_works reads the codes during the loop.
        for outcome in outcomes:
            codes.append(print_outcome(outcome))
            if annotated is not None:
                annotate(outcome, annotated)
    except KeyboardInterrupt as interrupt:
        left = counted(total - len(codes), "file")
        message = f"{left} unfinished; {command('resume')} collects the answers later"
        # Of the same type, because SIGTERM has an exit code of its own.
        raise type(interrupt)(message) from None
    if len(codes) < total:
        say(f"{counted(total - len(codes), 'file')} not started")
