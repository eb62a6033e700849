"""The help pages: readable in 80 columns, and there for every command."""

from collections.abc import Iterator, Sequence

import click
import pytest

from captchahub.cli import cli
from tests.cli.running import run


def commands(group: click.Group, *before: str) -> Iterator[tuple[str, ...]]:
    """Every command of the program with the words that call it."""
    yield before
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        else:
            yield (*before, name)


@pytest.mark.parametrize(
    "words", [pytest.param(words, id=" ".join(words) or "captchahub") for words in commands(cli)]
)
def test_a_help_page_fits_into_80_columns_and_says_what_the_command_does(words: tuple[str, ...]) -> None:
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if len(line) > 80] == []
    assert len(result.stdout.split("\n\n")[1].split()) > 3
    assert list(orphans(result.stdout.splitlines())) == []


def orphans(lines: Sequence[str]) -> Iterator[str]:
    """The short lines in the middle of a paragraph: what was wrapped was wrapped before."""
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        words = line.split()
        indents = {len(one) - len(one.lstrip()) for one in (before, line, after)}
        is_column = "  " in line.strip()
        if words and after.strip() and len(indents) == 1 and not is_column:
            is_short = len(line.strip()) < 30 and not words[-1].endswith((".", ":"))
            if is_short and len(before) > 60 and len(line) + len(after.split()[0]) < 60:
                yield line


def test_a_line_that_was_wrapped_twice_is_found() -> None:
    assert list(orphans(["x" * 70, "picture", "is paid for"])) == ["picture"]
    assert list(orphans(["x" * 70, "and the end.", "Another paragraph"])) == []
