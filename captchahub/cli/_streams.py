"""Writing to stdout and stderr, either of which can fail."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress

import click

from captchahub.cli._exit_code import ExitCode
from captchahub.cli._text import printable

__all__ = ["StdoutFailed", "need_stdout", "say", "writing_stdout"]


class StdoutFailed(click.ClickException):
    """What was to go to stdout could not be written there."""

    exit_code = ExitCode.STDOUT


def need_stdout() -> None:
    """Raise :class:`StdoutFailed` where the program was started without a stdout."""
    if sys.stdout is None:
        raise StdoutFailed("there is no stdout to write to; nothing was begun")


@contextmanager
def writing_stdout() -> Generator[None]:
    """Raises :class:`StdoutFailed` where what is written in here can't be."""
    try:
        yield
    # UnicodeError: a character that the encoding of stdout does not have.
    except (OSError, UnicodeError) as error:
        raise StdoutFailed(f"cannot write to stdout: {getattr(error, 'strerror', None) or error}") from error


def say(text: str) -> None:
    """Lines for stderr; where it fails they are lost, for the work is worth more than its report."""
    with suppress(OSError):
        click.echo("\n".join(printable(line) for line in text.split("\n")), err=True)
