"""The help pages: readable in 80 columns, and there for every command."""

from collections.abc import Iterator

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
