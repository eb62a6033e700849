"""Writing to stdout and stderr, either of which can fail."""

from __future__ import annotations

import io
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from enum import IntEnum

import click

from captchahub.cli.text import printable

__all__ = [
    "ExitCode",
    "StdoutFailed",
    "escape_what_is_lacking",
    "need_stdout",
    "put",
    "say",
    "writing_stdout",
]


class ExitCode(IntEnum):
    """What a script can tell from the end of the program."""

    DONE = 0
    UNSOLVED = 1
    USAGE = 2
    CONFIGURATION = 3
    REFUSED = 4
    TIMEOUT = 5
    STDOUT = 6
    INTERRUPTED = 130
    TERMINATED = 143


class StdoutFailed(click.ClickException):
    """What was to go to stdout could not be written there."""

    exit_code = ExitCode.STDOUT


def escape_what_is_lacking() -> None:
    r"""Have stdout and stderr spell out the characters that their encodings do not have, as ``\u0444``.

    Into a file on Windows they write cp1252, and an answer in another script must not end the program.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def need_stdout() -> None:
    """Raise :class:`StdoutFailed` where the program was started without a stdout."""
    if sys.stdout is None:
        raise StdoutFailed("there is no stdout to write to; nothing was begun")


@contextmanager
def writing_stdout() -> Generator[None]:
    """Raises :class:`StdoutFailed` where what is written in here can't be."""
    try:
        yield
    # UnicodeError: a character that the encoding of a stdout does not have which can't be reconfigured.
    except (OSError, UnicodeError) as error:
        raise StdoutFailed(f"cannot write to stdout: {getattr(error, 'strerror', None) or error}") from error


def put(text: str) -> None:
    """Lines for stdout. Raises OSError where it fails."""
    # Named, for else click would write UTF-8 to a stdout that says it is ASCII.
    click.echo(text, file=sys.stdout)


def say(text: str) -> None:
    """Lines for stderr; where it fails they are lost, for the work is worth more than its report."""
    if sys.stderr is not None:
        with suppress(OSError):
            click.echo("\n".join(printable(line) for line in text.split("\n")), file=sys.stderr)
