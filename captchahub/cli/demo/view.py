"""How the demo looks: live on a terminal, plain lines elsewhere, then a table and the story of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from captchahub.cli.demo.stage import ACCOUNTS, Scene
from captchahub.cli.demo.story import attempts_of, cost_text, mishaps, summary
from captchahub.cli.pictures import NamedPicture
from captchahub.cli.text import counted, plain
from captchahub.results import Outcome, Result
from captchahub.tasks import ImageToText, SlideSolution, Solution, TextSolution

__all__ = ["show"]

# In columns of the terminal: the picture, the answer and the verdict, then each of the rest.
_NEEDED, _EACH = 40, 10

_REST = ("provider", "attempts", "seconds", "cost")

_BY_WORTH = ("provider", "seconds", "attempts", "cost")


def show(scene: Scene) -> None:
    """Run the scene and tell what happens on stdout."""
    # Colours may be forced on a pipe; frames that replace each other make no sense there.
    interactive = None if sys.stdout.isatty() else False
    console = Console(highlight=False, force_interactive=interactive)
    console.print(_introduction(scene))
    if console.is_interactive:
        _run_live(scene, console)
    else:
        _run_in_lines(scene, console)
    console.print(_results(scene, console.width))
    console.print(_ending(scene))


def _introduction(scene: Scene) -> RenderableType:
    first, second = ACCOUNTS
    texts = sum(picture.drawn.kind == ImageToText.kind for picture in scene.pictures)
    slides = len(scene.pictures) - texts
    puzzles = f", {counted(slides, 'puzzle')} to slide" if slides else ""
    return Text.assemble(
        (f"\n{counted(texts, 'text')} to read{puzzles}", "bold"),
        f"; a stand-in of OMOcaptcha takes them at\n{scene.sandbox.url} on this machine.\n",
        f'The account "{first}" is asked first and has a bad day; "{second}" steps in.\n',
    )


def _run_live(scene: Scene, console: Console) -> None:
    live = _Live(scene, console, "dots" if console.encoding.startswith("utf") else "line")
    with Live(get_renderable=live.frame, console=console, refresh_per_second=10, transient=True):
        for _ in scene.run():
            pass


def _run_in_lines(scene: Scene, console: Console) -> None:
    total = len(scene.pictures)
    for number, picture in enumerate(scene.run(), start=1):
        console.print(f"{number:>{len(str(total))}}/{total} {picture.name}: {_news(scene, picture)}")


def _news(scene: Scene, picture: NamedPicture) -> str:
    result = scene.outcomes[picture.name].result
    if result is None:
        return "not solved"
    return f"solved by {result.provider} after {result.elapsed:.1f} s"


class _Live:
    """The frames of the live display; drawn in a thread of its own."""

    def __init__(self, scene: Scene, console: Console, spinner: str) -> None:
        self._scene = scene
        self._console = console
        self._spinners = {picture.name: Spinner(spinner) for picture in scene.pictures}

    def frame(self) -> RenderableType:
        """How far it is now."""
        done, total = len(self._scene.outcomes), len(self._scene.pictures)
        bar = Table.grid(padding=(0, 1))
        columns = self._console.width
        length = max(1, min(40, columns - 14))
        bar.add_row(" ", ProgressBar(total, done, width=length, complete_style="cyan"), f"{done} of {total}")
        rest = _rest(columns)
        table = _table(rest)
        for picture in self._scene.pictures:
            table.add_row(*self._cells(picture, rest))
        return Group(bar, table)

    def _cells(self, picture: NamedPicture, rest: Sequence[str]) -> Iterator[RenderableType]:
        outcome = self._scene.outcomes.get(picture.name)
        if outcome is not None:
            yield from _cells(picture, outcome, rest, is_right=self._scene.is_right(picture))
            return
        job = self._scene.job_of(picture)
        if job is None:
            yield from (Text(picture.name, "dim"), Text("waits", "dim"))
            return
        yield picture.name
        spinner = self._spinners[picture.name]
        spinner.update(text=Text(f"job {job.id} at {job.account.token}", _colour(job.account.token)))
        yield spinner


def _results(scene: Scene, columns: int) -> Table:
    rest = _rest(columns)
    table = _table(rest)
    for picture in scene.pictures:
        outcome = scene.outcomes[picture.name]
        table.add_row(*_cells(picture, outcome, rest, is_right=scene.is_right(picture)))
    return table


def _rest(columns: int) -> Sequence[str]:
    """What there is room for beside the picture, the answer and the verdict."""
    shown = _BY_WORTH[: max(0, (columns - _NEEDED) // _EACH)]
    return [name for name in _REST if name in shown]


def _table(rest: Sequence[str]) -> Table:
    # Fits in 80 columns, the width of a terminal that was never resized.
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("picture", min_width=8, no_wrap=True)
    table.add_column("answer", min_width=20)
    table.add_column("", min_width=5)
    for name in rest:
        table.add_column(name, min_width=8, no_wrap=True, justify="left" if name == "provider" else "right")
    return table


def _cells(
    picture: NamedPicture, outcome: Outcome[Solution], rest: Sequence[str], *, is_right: bool
) -> Iterator[RenderableType]:
    yield picture.name
    result = outcome.result
    yield Text("not solved", "red") if result is None else _answer(picture, result, is_right=is_right)
    yield Text("right", "green") if is_right else Text("WRONG", "bold red")
    cells = _details(outcome)
    yield from (cells[name] for name in rest)


def _details(outcome: Outcome[Solution]) -> dict[str, RenderableType]:
    result, attempts = outcome.result, attempts_of(outcome)
    elapsed = sum(attempt.elapsed for attempt in attempts) if result is None else result.elapsed
    return {
        "provider": Text("-") if result is None else Text(result.provider, _colour(result.provider)),
        "attempts": Text(str(len(attempts)), "yellow" if len(attempts) > 1 else ""),
        "seconds": f"{elapsed:.1f}",
        "cost": "-" if result is None else cost_text(result.cost),
    }


def _answer(picture: NamedPicture, result: Result[Solution], *, is_right: bool) -> str:
    given = _shown(result.solution)
    return given if is_right else f"{given} (it is {_shown(picture.drawn.solution)})"


def _shown(solution: Solution) -> str:
    if isinstance(solution, SlideSolution):
        start, end = solution.start, solution.end
        return f"{plain(start.x)},{plain(start.y)} -> {plain(end.x)},{plain(end.y)}"
    return solution.text if isinstance(solution, TextSolution) else str(solution)


def _colour(account: str) -> str:
    return "cyan" if account == ACCOUNTS[0] else "yellow"


def _ending(scene: Scene) -> RenderableType:
    colour = "bold green" if scene.is_all_right() else "bold red"
    first, *more = summary(scene)
    lines = [Text(first, colour), *(Text(line) for line in more)]
    story = _story(scene)
    if story.row_count:
        lines.append(Text("\nWhat went wrong on the way:", "bold"))
    hint = Text("\nNext: captchahub sandbox --help, captchahub solve --help", "dim")
    return Group(*lines, story, hint)


def _story(scene: Scene) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(max_width=18)
    grid.add_column()
    for mishap in mishaps(scene):
        grid.add_row(Text(mishap.what, "yellow"), mishap.words)
    return grid
