"""How the program ends: its exit codes, and expected errors told on stderr instead of a traceback."""

from __future__ import annotations

import errno
from enum import IntEnum

import click

from captchahub.errors import ConfigError, TaskError

__all__ = ["ExitCode", "Program"]


class ExitCode(IntEnum):
    """What a script can tell from the end of the program."""

    DONE = 0
    UNSOLVED = 1
    USAGE = 2
    CONFIGURATION = 3
    REFUSED = 4
    TIMEOUT = 5
    INTERRUPTED = 130


class _Misconfigured(click.ClickException):
    exit_code = ExitCode.CONFIGURATION


class _Refused(click.ClickException):
    exit_code = ExitCode.REFUSED


class Program(click.Group):
    """A group whose commands may raise the library's own errors, and be interrupted."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise _Misconfigured(str(error)) from error
        except TaskError as error:
            raise _Refused(str(error)) from error
        except OSError as error:
            # A reader that went away is click's to handle; a full disk is nobody's mistake in here.
            if error.errno == errno.EPIPE:
                raise
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            # click would exit with 1, which here means "not solved".
            click.echo("interrupted", err=True)
            ctx.exit(ExitCode.INTERRUPTED)
