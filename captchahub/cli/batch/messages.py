"""What a batch prints on stderr: what it skips, why it stopped, and how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from captchahub.cli.batch.entries import other_files
from captchahub.cli.batch.run import Batch
from captchahub.cli.batch.totals import Totals
from captchahub.cli.invocation import command
from captchahub.cli.program import WORDS
from captchahub.cli.streams import say
from captchahub.cli.text import counted, printable

__all__ = ["how_it_goes_on", "reason_of_stop", "say_how_to_go_on", "say_what_is_skipped"]


def say_what_is_skipped(sources: Sequence[str], output: Path) -> None:
    """Print how many files of the sources are no pictures, if there are any besides the output."""
    own = {output.absolute(), output.with_name(f"{output.name}.state").absolute()}
    others = [file for file in other_files(sources) if file.absolute() not in own]
    if others:
        was = "was" if len(others) == 1 else "were"
        say(f"{counted(len(others), 'other file')} {was} skipped, such as {others[0]}")


def reason_of_stop(run: Batch, output: Path) -> str | None:
    """Return why the batch stopped early, and what to do, or None if it did not."""
    if run.unwritable is not None:
        return (
            f"cannot write {output}: {run.unwritable}; what was paid for is in the journal: make room and "
            "start the same command again"
        )
    if run.stopped_by is not None:
        return f"stopped early, because the next pictures would fail as well: {run.stopped_by}"
    return None


def say_how_to_go_on(totals: Totals) -> None:
    """Print the failures by class, and the command that solves what is left."""
    for kind, number in totals.errors.most_common():
        say(f"{counted(number, 'picture')} failed with {kind}, such as {printable(totals.examples[kind])}")
    if totals.failed:
        say(f"--retry-failed solves them again: {_again('--retry-failed')}")
    if totals.done < totals.total:
        say(how_it_goes_on())


def how_it_goes_on() -> str:
    """Return that the same command goes on, with that command."""
    return f"the same command goes on where the batch stopped: {_again()}"


# A pattern that the shell has expanded would fill the terminal.
_MOST_WORDS = 20


def _again(*more: str) -> str:
    """Return the command line of this batch, with more words that it does not have yet."""
    words = click.get_current_context().meta[WORDS]
    if len(words) > _MOST_WORDS:
        words = ["batch", "..."]
    return command(*words, *(word for word in more if word not in words))
