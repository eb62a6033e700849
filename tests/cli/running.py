"""Runs the program in this process."""

from collections.abc import Iterator

import click
from click.testing import CliRunner
from click.testing import Result as Ran

from captchahub.cli import cli
from captchahub.cli.program import DeferredCommand

TOKEN = "s3cret-token"


def run(*arguments: str, stdin: bytes | None = None) -> Ran:
    """Return how the program ended; no traceback and no token may be in its output."""
    result = CliRunner().invoke(cli, arguments, input=stdin, prog_name="captchahub")
    assert "Traceback" not in result.output, result.output
    assert TOKEN not in result.output
    return result


def commands(group: click.Group, *before: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and group of the program, with the words that call it."""
    yield before, group
    for name, listed in group.commands.items():
        command = listed.load() if isinstance(listed, DeferredCommand) else listed
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        else:
            yield (*before, name), command
