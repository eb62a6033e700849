"""Writes to stdout and stderr, either of which can fail."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from enum import IntEnum

import click

from captchahub.cli.text import printable


class ExitCode(IntEnum):
    """The exit codes of the program."""

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
    """Output could not be written to stdout."""

    exit_code = ExitCode.STDOUT


def escape_unencodable() -> None:
    r"""Make stdout and stderr escape the characters that their encodings lack, as ``\u0444``.

    Redirected to a file on Windows they use cp1252, and an answer in another script must not end the program.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def need_stdout() -> None:
    """Raise :class:`StdoutFailed` if the program was started without a stdout."""
    # As Python sets it if the file descriptor is closed, with >&- in a shell.
    if sys.stdout is None:
        raise StdoutFailed("there is no stdout to write to; nothing was started")


@contextmanager
def writing_stdout() -> Generator[None]:
    """Raise :class:`StdoutFailed` if writing fails in here."""
    try:
        yield
    # UnicodeError: the encoding lacks a character, and this kind of stdout can't be reconfigured.
    except (OSError, UnicodeError) as error:
        raise StdoutFailed(f"cannot write to stdout: {getattr(error, 'strerror', None) or error}") from error


def put(text: str) -> None:
    """Write lines to stdout. Raises OSError if that fails."""
    # Without ``file``, click would write UTF-8 even if the encoding of stdout is ASCII.
    # click removes colours if stdout is no terminal, but does not know $NO_COLOR.
    click.echo(text, file=sys.stdout, color=False if os.environ.get("NO_COLOR") else None)


def say(text: str) -> None:
    """Write lines to stderr. A failure is ignored, because the work matters more than its report."""
    if sys.stderr is not None:
        with suppress(OSError):
            click.echo("\n".join(printable(line) for line in text.split("\n")), file=sys.stderr)
