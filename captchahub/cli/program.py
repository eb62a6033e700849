"""The program and its exit: prints expected errors on stderr, without a traceback."""

from __future__ import annotations

import re
import signal
import sys
import textwrap
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib import import_module

import click

from captchahub.cli.plugin_commands import added_commands, load_command
from captchahub.cli.streams import ExitCode, say, writing_stdout
from captchahub.errors import ConfigError, JournalError, TaskError


class Terminated(KeyboardInterrupt):
    """SIGTERM: like Ctrl-C, with another exit code."""


@contextmanager
def _ended_by_sigterm() -> Generator[None]:
    """Treat SIGTERM like Ctrl-C, so that the hub closes and keeps its jobs for ``resume``."""
    # Python lets only the main thread set handlers. Programs may run the command in another one.
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# The first column of a line such as "  0    every picture is solved", with the space after it.
_FIRST_COLUMN = re.compile(r"\s*\S+(?: \S+)*\s{2,}")


def _wrapped(line: str, width: int) -> str:
    """Return a line in at most ``width`` columns, its continuation below the second column if it has two."""
    columns = _FIRST_COLUMN.match(line)
    indent = len(line) - len(line.lstrip()) if columns is None else columns.end()
    return (
        "\n".join(textwrap.wrap(line, width, subsequent_indent=" " * indent, break_on_hyphens=False)) or line
    )


WORDS = "captchahub.words"
"""Where ``Context.meta`` has the words of the command line, without the name of the program."""


class Subcommand(click.Command):
    """A command whose help fits the terminal, and reports a failing stdout."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as in click
        r"""Write the paragraphs of the epilog; each line of one that begins with ``\b`` is wrapped by itself.

        click would leave such lines as they are, however long.
        """
        for paragraph in self.epilog.strip("\n").split("\n\n") if self.epilog else ():
            formatter.write_paragraph()
            first, *lines = paragraph.splitlines()
            for line in lines if first == "\b" else [" ".join([first, *lines])]:
                # The formatter's own margin is two columns on each side.
                formatter.write(
                    f"  {_wrapped(line, formatter.width - 2)}".rstrip().replace("\n", "\n  ") + "\n"
                )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments. click prints the help and the version in here."""
        ctx.meta.setdefault(WORDS, list(args))
        with writing_stdout():
            return super().parse_args(ctx, args)


class Subgroup(Subcommand, click.Group):
    """A group of commands."""


class DeferredCommand(click.Command):
    """Stands for a command in help and completion, so that they need not import its module.

    The command is the attribute of the module that has its name, with ``_`` for ``-``.
    """

    def __init__(self, name: str, module: str, help_text: str) -> None:
        super().__init__(name, help=help_text)
        self._module, self._attribute = module, name.replace("-", "_")

    def load(self) -> click.Command:
        """Import the module, and return the command."""
        command: object = getattr(import_module(self._module), self._attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self._module}.{self._attribute} is a {type(command).__name__}, not a command")
        return command


class Program(Subgroup):
    """The top-level group: handles the library's errors and interrupts, and includes plugins' commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, imported, and the arguments that are left."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, DeferredCommand) else command, rest

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the library's command with that name, or else a plugin's."""
        return super().get_command(ctx, cmd_name) or load_command(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the library's commands, and the plugins' commands by name, without importing any plugin."""
        super().format_commands(ctx, formatter)
        rows = [(name, f"added by {package}") for name, package in added_commands()]
        if rows:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command."""
        try:
            with _ended_by_sigterm():
                return super().invoke(ctx)
        except (click.ClickException, ConfigError, JournalError, TaskError, OSError) as error:
            # Each of several lines is a problem of its own.
            text = f"\n{error}" if isinstance(error, ConfigError) and "\n" in str(error) else str(error)
            failure = error if isinstance(error, click.ClickException) else click.ClickException(text)
            code = failure.exit_code
            if isinstance(error, (ConfigError, JournalError)):
                code = ExitCode.CONFIGURATION
            elif isinstance(error, TaskError):
                code = ExitCode.REFUSED
            # Shown here and not by click, so that a failing stderr does not change the exit code.
            with suppress(OSError):
                failure.show(file=sys.stderr)
            ctx.exit(code)
        except KeyboardInterrupt as interrupt:
            # click would exit with 1, which means "not solved" here. Commands raise the interrupt again with
            # a text about what is left.
            say(": ".join(["interrupted", *map(str, interrupt.args)]))
            is_terminated = isinstance(interrupt, Terminated)
            ctx.exit(ExitCode.TERMINATED if is_terminated else ExitCode.INTERRUPTED)
