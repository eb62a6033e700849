"""``captchahub new-plugin``: write a provider plugin to start from."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from captchahub.cli.options import directory
from captchahub.cli.program import Subcommand
from captchahub.cli.streams import need_stdout, put, writing_stdout

_EPILOG = """
\b
Examples:
  captchahub new-plugin acme
  captchahub new-plugin acme-reader --service-name "ACME Reader" --into ~/code

It writes the package captchahub-NAME: the provider with its settings and table of errors, an emulation of
the service for tests, the contract suite, and the files for packaging and CI. The service is fictional, and
the package passes all its tests. Comments "CHANGE:" mark what to replace.

\b
Exit codes:
  0  the package is written
  1  the package can't be written
  2  wrong usage: NAME is invalid or taken, or the folder exists
  6  stdout failed
"""

_NEXT_STEPS = """\
{folder}: a provider for {service}, with a fictional API. Run its tests in a new virtual environment:

  cd {quoted}
  python -m pip install -e '.[dev]'
  python -m pytest

Then adapt it to the real API. List the places:

  grep -rn CHANGE: .

docs/guides/write-a-provider.md in captchahub's repository explains each of them."""


@click.command("new-plugin", cls=Subcommand, epilog=_EPILOG)
@click.argument("name")
@click.option(
    "--into",
    type=directory,
    default=".",
    help="The folder for the package's folder; created if it does not exist.",
)
@click.option(
    "--service-name",
    metavar="TEXT",
    help="The service's name in texts; derived from NAME by default.",
)
def new_plugin(name: str, into: Path, service_name: str | None) -> None:
    """Write an installable provider plugin to start from. Configurations call it NAME."""
    need_stdout()
    # Imported late to keep "captchahub --help" fast.
    from captchahub.cli.new_plugin import scaffold  # noqa: PLC0415

    plugin = scaffold.free_name(name)
    service = scaffold.service_name(plugin, service_name)
    folder = scaffold.write_plugin(plugin, service, into)
    with writing_stdout():
        put(_NEXT_STEPS.format(folder=folder, quoted=shlex.quote(str(folder)), service=service))
