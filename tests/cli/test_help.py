"""The help pages: readable in 80 columns, and there for every command."""

import inspect
from collections.abc import Iterator, Sequence

import pytest

from captchahub.cli import cli
from captchahub.cli.program import DeferredCommand
from tests.cli.running import commands, run


@pytest.mark.parametrize(
    "words", [pytest.param(words, id=" ".join(words) or "captchahub") for words, _ in commands(cli)]
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


def test_the_list_of_commands_says_what_their_own_pages_begin_with() -> None:
    listed = {name: command for name, command in cli.commands.items() if isinstance(command, DeferredCommand)}
    assert len(listed) == len(cli.commands)
    begins = {
        name: " ".join(inspect.cleandoc(command.load().help or "").split("\n\n")[0].split())
        for name, command in listed.items()
    }
    assert {name: command.help for name, command in listed.items()} == begins
    assert {name: command.load().name for name, command in listed.items()} == {name: name for name in listed}
