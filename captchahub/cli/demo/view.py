"""Shows the demo: live on a terminal and as lines elsewhere, then a table and the problems."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Column, Table
from rich.text import Text

from captchahub.cli.demo.report import attempts_of, cost_text, problems, summary
from captchahub.cli.demo.run import ACCOUNTS, DemoRun
from captchahub.cli.invocation import command
from captchahub.cli.pictures import NamedPicture
from captchahub.cli.text import counted, plain
from captchahub.tasks import ImageToText, SlideSolution, Solution, TextSolution

# In columns of the terminal: the picture, the answer and the verdict, then each of the optional.
_REQUIRED_WIDTH, _COLUMN_WIDTH = 40, 10

_OPTIONAL_COLUMNS = ("provider", "attempts", "seconds", "cost")

# Blue and purple of the 256 colours: their contrast is 4.1 on white and 5.1 on black.
_FIRST, _SECOND = "color(31)", "color(133)"

# A narrow terminal shows the first of these.
_BY_IMPORTANCE = ("provider", "seconds", "attempts", "cost")


def show(run: DemoRun) -> None:
    """Run the demo and show its progress and results on stdout."""
    # A pipe can have forced colours, but frames that replace each other make no sense there.
    interactive = None if sys.stdout.isatty() else False
    console = Console(highlight=False, force_interactive=interactive)
    console.print(_introduction(run))
    if console.is_interactive:
        # The dots are Braille characters, which the code pages of Windows lack. The table of results replaces
        # the live display at the end.
        live = _Live(run, console, "dots" if console.encoding.startswith("utf") else "line")
        with Live(get_renderable=live.frame, console=console, refresh_per_second=10, transient=True):
            for _ in run.run():
                pass
    else:
        _run_in_lines(run, console)
    console.print(_results(run, console.width))
    console.print(_summary(run))


def _introduction(run: DemoRun) -> RenderableType:
    first, second = ACCOUNTS
    texts = sum(picture.drawn.kind == ImageToText.kind for picture in run.pictures)
    slides = len(run.pictures) - texts
    puzzles = f" and {counted(slides, 'puzzle')} to slide" if slides else ""
    return Text.assemble(
        (f"\n{counted(texts, 'text')} to read{puzzles}", "bold"),
        f", solved by a local stand-in of OMOcaptcha\nat {run.sandbox.url}.\n",
        f'The account "{first}" has priority and fails often; "{second}" takes over.\n',
    )


def _run_in_lines(run: DemoRun, console: Console) -> None:
    total = len(run.pictures)
    for number, picture in enumerate(run.run(), start=1):
        result = run.outcomes[picture.name].result
        text = f"solved by {result.provider} after {result.elapsed:.1f} s" if result else "not solved"
        console.print(f"{number:>{len(str(total))}}/{total} {picture.name}: {text}")


class _Live:
    """Draws the frames of the live display, in another thread."""

    def __init__(self, run: DemoRun, console: Console, spinner: str) -> None:
        self._run = run
        self._console = console
        self._spinners = {picture.name: Spinner(spinner) for picture in run.pictures}

    def frame(self) -> RenderableType:
        """Return the current frame."""
        done, total = len(self._run.outcomes), len(self._run.pictures)
        bar = Table.grid(padding=(0, 1))
        columns = self._console.width
        length = max(1, min(40, columns - 14))
        bar.add_row(" ", ProgressBar(total, done, width=length, complete_style=_FIRST), f"{done} of {total}")
        optional = _optional_columns(columns)
        table = _table(optional)
        for picture in self._run.pictures:
            table.add_row(*self._cells(picture, optional))
        return Group(bar, table)

    def _cells(self, picture: NamedPicture, optional: Sequence[str]) -> Iterator[RenderableType]:
        if picture.name in self._run.outcomes:
            yield from _cells(self._run, picture, optional)
            return
        job = self._run.job_of(picture)
        if job is None:
            yield from (Text(picture.name, "dim"), Text("waits", "dim"))
            return
        yield picture.name
        spinner = self._spinners[picture.name]
        spinner.update(text=Text(f"job {job.id} at {job.account.token}", _colour(job.account.token)))
        yield spinner


def _results(run: DemoRun, columns: int) -> Table:
    optional = _optional_columns(columns)
    table = _table(optional)
    for picture in run.pictures:
        table.add_row(*_cells(run, picture, optional))
    return table


def _optional_columns(columns: int) -> Sequence[str]:
    """Return the optional columns that fit into this width."""
    shown = _BY_IMPORTANCE[: max(0, (columns - _REQUIRED_WIDTH) // _COLUMN_WIDTH)]
    return [name for name in _OPTIONAL_COLUMNS if name in shown]


def _table(optional: Sequence[str]) -> Table:
    # The table fits in 80 characters, the default width of terminals.
    return Table(
        Column("picture", min_width=8, no_wrap=True),
        Column("answer", min_width=20),
        Column("", min_width=5),
        *(
            Column(name, min_width=8, no_wrap=True, justify="left" if name == "provider" else "right")
            for name in optional
        ),
        box=box.SIMPLE_HEAD,
        header_style="bold",
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )


def _cells(run: DemoRun, picture: NamedPicture, optional: Sequence[str]) -> Iterator[RenderableType]:
    outcome, is_right = run.outcomes[picture.name], run.is_right(picture)
    result, attempts = outcome.result, attempts_of(outcome)
    yield picture.name
    if result is None:
        yield Text("not solved", "red")
    else:
        given = _shown(result.solution)
        yield given if is_right else f"{given} (it is {_shown(picture.drawn.solution)})"
    yield Text("right", "green") if is_right else Text("WRONG", "bold red")
    elapsed = sum(attempt.elapsed for attempt in attempts) if result is None else result.elapsed
    details: dict[str, RenderableType] = {
        "provider": Text("-") if result is None else Text(result.provider, _colour(result.provider)),
        "attempts": Text(str(len(attempts)), _SECOND if len(attempts) > 1 else ""),
        "seconds": f"{elapsed:.1f}",
        "cost": "-" if result is None else cost_text(result.cost),
    }
    yield from (details[name] for name in optional)


def _shown(solution: Solution) -> str:
    if isinstance(solution, SlideSolution):
        start, end = solution.start, solution.end
        return f"{plain(start.x)},{plain(start.y)} -> {plain(end.x)},{plain(end.y)}"
    return solution.text if isinstance(solution, TextSolution) else str(solution)


def _colour(account: str) -> str:
    return _FIRST if account == ACCOUNTS[0] else _SECOND


def _summary(run: DemoRun) -> RenderableType:
    colour = "bold green" if run.is_all_right() else "bold red"
    first, *more = summary(run)
    lines = [Text(first, colour), *(Text(line) for line in more)]
    grid = Table.grid(Column(max_width=18), Column(), padding=(0, 2))
    for subject, text in problems(run):
        grid.add_row(Text(subject, _SECOND), text)
    if grid.row_count:
        lines.append(Text("\nProblems on the way:", "bold"))
    hint = Text(f"\nNext: {command('sandbox', '--help')}, {command('solve', '--help')}", "dim")
    return Group(*lines, grid, hint)
