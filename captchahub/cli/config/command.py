"""``captchahub config``: check, show, describe and begin a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from captchahub.cli.options import UserPath, find_config, named_value
from captchahub.cli.program import Subcommand, Subgroup
from captchahub.cli.streams import ExitCode, need_stdout

_CODES = """
\b
Exit codes:
  0  done
  2  wrong usage
  3  the configuration is missing or wrong
  6  stdout failed
"""

_WHERE = """
\b
FILE: else $CAPTCHAHUB_CONFIG, else ./captchahub.yaml, else ./config.yaml, else captchahub.yaml in \
the user's configuration folder. Environment variables override single keys of it, such as \
CAPTCHAHUB__PROVIDERS__OMO__TIMEOUT=30s.
"""

_file = click.argument("file", required=False, type=UserPath(), envvar="CAPTCHAHUB_CONFIG", metavar="[FILE]")

_json = click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")


@click.group(cls=Subgroup)
def config() -> None:
    """Check, show, describe or begin a configuration."""


@config.command(cls=Subcommand, epilog=_WHERE + _CODES)
@_file
@_json
def check(file: Path | None, *, as_json: bool) -> None:
    """Report every problem of a configuration, each with its line and what to do.

    It goes as far as a solve would before anything is sent: variables, files and plugins must exist.
    """
    need_stdout()
    # Only here, as below: "captchahub --help" must not wait for what these need.
    from captchahub.cli.config import check as commands  # noqa: PLC0415

    is_fine = commands.check(find_config(file), as_json=as_json)
    click.get_current_context().exit(ExitCode.DONE if is_fine else ExitCode.CONFIGURATION)


@config.command(cls=Subcommand, epilog=_WHERE + _CODES)
@_file
@_json
def show(file: Path | None, *, as_json: bool) -> None:
    """Print the configuration as it counts, with every default, and where each value came from.

    Secrets are replaced by '***', so it can be shown to others, but cannot be used as it is. Any other
    text that comes from a reference, and may be a secret, is shown as it is written.
    """
    need_stdout()
    from captchahub.cli.config import check as commands  # noqa: PLC0415

    commands.show(find_config(file), as_json=as_json)


@config.command(
    cls=Subcommand,
    epilog="""
\b
Example:
  captchahub config schema > captchahub.schema.json
Then this line at the top of the configuration makes editors with a YAML language server complete and check:
  # yaml-language-server: $schema=captchahub.schema.json
"""
    + _CODES,
)
def schema() -> None:
    """Print the JSON Schema of the configuration, with the keys of each installed plugin."""
    need_stdout()
    from captchahub.cli.config import check as commands  # noqa: PLC0415

    commands.print_schema()


@config.command(
    cls=Subcommand,
    epilog="""
\b
Examples:
  captchahub config init
  captchahub config init --plugin omocaptcha --yes
  captchahub config init prod.yaml --plugin createtask --set dialect=capsolver --secret keyring --yes
"""
    + _CODES,
)
@click.argument("file", type=UserPath(), default="captchahub.yaml", metavar="[FILE]")
@click.option(
    "--plugin", "plugins", multiple=True, metavar="NAME", help="An installed plugin. Can be repeated."
)
@click.option(
    "--secret",
    type=click.Choice(["env", "file", "keyring"]),
    help="Where the secrets are: environment variables, which is usual, files, or the system's keyring.",
)
@click.option(
    "--set",
    "values",
    type=named_value,
    multiple=True,
    metavar="KEY=VALUE",
    help="A key of the plugin's own, such as dialect=capsolver. Can be repeated.",
)
@click.option("--timeout", metavar="TIME", help="How long a solve may take, such as 120s.")
@click.option("--budget", metavar="LIMIT/PERIOD", help="The most that may be spent, such as 5.00/day.")
@click.option(
    "--journal",
    metavar="PATH",
    help="The file for jobs and money, by default ./jobs.db, or '${env:NAME}' for a database's address. "
    '"none" writes none.',
)
@click.option("--yes", is_flag=True, help="Ask nothing: what no option says is left as usual.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
def init(
    *,
    file: Path,
    plugins: Sequence[str],
    secret: str | None,
    values: Sequence[tuple[str, object]],
    timeout: str | None,
    budget: str | None,
    journal: str | None,
    yes: bool,
    force: bool,
) -> None:
    """Ask what you need, and write a configuration with comments. FILE is captchahub.yaml unless given.

    It never asks for a secret, only where it is.
    """
    need_stdout()
    from captchahub.cli.config.init import Interview, init as begin  # noqa: PLC0415, I001

    interview = Interview(plugins, secret, dict(values), timeout, budget, journal, asks=not yes)
    begin(file, interview, overwrites=force)
