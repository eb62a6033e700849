"""``captchahub solve``: pictures in, answers out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from captchahub._plugins.manager import Plugins
from captchahub.cli.options import config_option, find_config, named_value, positive_seconds, with_journal
from captchahub.cli.program import Subcommand
from captchahub.cli.solve.files import End, solve_files, worst
from captchahub.cli.solve.output import Show, printer
from captchahub.cli.solve.task_options import TextOption, task_maker, text_options
from captchahub.cli.solve.waits import WaitReporter
from captchahub.cli.streams import ExitCode, need_stdout, say
from captchahub.cli.text import counted
from captchahub.config import load_yaml
from captchahub.hub import Hub
from captchahub.tasks import ImageToText

__all__ = ["solve"]

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
  one FILE        the answer alone: the text, or "x1 y1 x2 y2" of the drag in pixels
  several FILEs   a line "FILE<TAB>answer" for each, as they come
  --json          a JSON object a line: file, kind, fingerprint, answer, solution, provider, job_id, cost,
                  total_cost (of all attempts), elapsed, attempts, votes, ignored_options, error;
                  amounts are text, so that they stay exact
  Line breaks, control characters and what the encoding of stdout lacks are spelt out (\\\\n). Errors go
  to stderr, with --json into the object. While a service can't be reached, stderr says so, and why.

\b
Exit codes:
  0    every picture is solved
  1    a picture was not solved by any provider
  2    wrong usage
  3    the configuration is missing or wrong; nothing was solved
  4    a picture or an option was refused: trying again will not help
  5    time ran out before a picture was solved
  6    stdout failed: what it should have got is on stderr, and no more files were begun
  130  interrupted
  143  ended by SIGTERM
  Of several pictures that end differently, 6 is told before 4, 4 before 1, and 1 before 5.

\b
Configuration: --config FILE, else $CAPTCHAHUB_CONFIG, else ./captchahub.yaml, else ./config.yaml.
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
    help="What the pictures are: image-to-text, texts to read; phone-slide, screenshots of a phone with a "
    "puzzle to drag; or a type that a plugin adds.",
)
@config_option("The YAML file that names the providers; see below where it is looked for.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.option(
    "--timeout",
    type=positive_seconds,
    metavar="SECONDS",
    help="How long one picture may take, every provider together; else as the configuration says.",
)
@click.option("-v", "--verbose", is_flag=True, help="Tell on stderr who solved it, as on a terminal.")
@click.option(
    "-o",
    "--option",
    "further",
    type=named_value,
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of a type that a plugin adds; its value is written as in a configuration.",
)
@text_options
def solve(
    files: Sequence[str],
    kind: str,
    config: Path | None,
    timeout: float | None,
    *,
    as_json: bool,
    verbose: bool,
    further: Sequence[tuple[str, object]],
    **options: TextOption,
) -> None:
    """Solve pictures and print the answers.

    Each FILE is a PNG, JPEG, GIF, WebP or BMP picture; "-" reads one from stdin. Several are solved at the
    same time.
    """
    need_stdout()
    show = printer(as_json=as_json, several=len(files) > 1, verbose=verbose)
    codes: list[ExitCode] = []
    reporter = WaitReporter()
    plugins = Plugins((reporter,))
    settings = load_yaml(find_config(config), plugins)
    make_task = task_maker(plugins.task_types(), kind, options, dict(further))
    with reporter.reporting(), Hub(with_journal(settings), plugins=plugins) as hub:
        wanted = _while_stdout_works(files, codes)
        _show_all(solve_files(hub, wanted, kind, make_task, timeout), show, codes, len(files))
    click.get_current_context().exit(worst(codes))


def _while_stdout_works(files: Sequence[str], codes: Sequence[ExitCode]) -> Iterator[str]:
    """The files, as long as there is a place for answers that cost money."""
    for file in files:
        if ExitCode.STDOUT in codes:
            return
        yield file


def _show_all(ends: Iterator[End], show: Show, codes: list[ExitCode], total: int) -> None:
    """Show the ends as they come, and put their exit codes at the end of ``codes``."""
    try:
        # A list of all of them would come too late for who looks at the codes so far.
        for end in ends:
            codes.append(show(end))  # noqa: PERF401 - as said
    except KeyboardInterrupt as interrupt:
        left = counted(total - len(codes), "file")
        told = f"{left} unfinished; captchahub resume collects what was ordered"
        raise type(interrupt)(told) from None
    if len(codes) < total:
        say(f"{counted(total - len(codes), 'file')} not begun")
