"""Shows how far a batch is: a bar on a terminal, a line now and then elsewhere. On stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from captchahub.cli.batch.summary import percentage
from captchahub.cli.batch.totals import Totals
from captchahub.cli.streams import say
from captchahub.cli.text import money_text

__all__ = ["showing_progress"]

_REDRAWS = 5.0  # a second; a terminal over a slow line must not hold the work up

# How often a line is printed if stderr is no terminal, in seconds.
_LINE_INTERVAL = 30.0


@contextmanager
def showing_progress(totals: Totals) -> Generator[Callable[[], None]]:
    """Show the totals in here, and yield what has to be called after they have changed."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    with _bar(totals) if is_terminal else _lines(totals) as changed:
        yield changed


@contextmanager
def _bar(totals: Totals) -> Generator[Callable[[], None]]:
    begun = time.monotonic()
    progress = Progress(
        BarColumn(bar_width=None),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TextColumn("{task.fields[facts]}"),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True, highlight=False),
        refresh_per_second=_REDRAWS,
        transient=True,
        expand=True,
    )
    with progress:
        bar = progress.add_task("", total=totals.total, completed=totals.done, facts="")

        def changed() -> None:
            facts = ", ".join(_facts(totals, time.monotonic() - begun))
            progress.update(bar, completed=totals.done, facts=facts)

        yield changed


@contextmanager
def _lines(totals: Totals) -> Generator[Callable[[], None]]:
    begun = last = time.monotonic()

    def changed() -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE_INTERVAL:
            last = now
            say(f"{totals.done} of {totals.total}: {', '.join(_facts(totals, now - begun))}")

    yield changed


def _facts(totals: Totals, elapsed: float) -> Iterator[str]:
    """Yield the facts of a batch that has been running for ``elapsed`` seconds."""
    done = totals.done - totals.done_before
    if elapsed > 0 and done:
        yield f"{done / elapsed:.1f}/s"
    yield f"{money_text(totals.spent)} spent"
    if totals.judged:
        yield f"{percentage(totals.right, totals.judged)} right"
    if totals.failed:
        yield f"{totals.failed} failed"
