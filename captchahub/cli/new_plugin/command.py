"""``captchahub new-plugin``: begin a provider plugin of one's own."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from captchahub.cli.options import directory
from captchahub.cli.program import Subcommand
from captchahub.cli.streams import need_stdout, put, writing_stdout

__all__ = ["new_plugin"]

_EPILOG = """
\b
Examples:
  captchahub new-plugin acme
  captchahub new-plugin acme-reader --service-name "ACME Reader" --into ~/code

\b
It writes the package captchahub-NAME: the provider with its settings and table of errors, the stand-in of
the service for tests, the contract suite, and what packaging and CI need. The service is made up, and the
package passes all of its tests as it stands; comments "CHANGE:" say what to put in its place.

\b
Exit codes:
  0  it is written
  1  it can't be written there
  2  wrong usage: a NAME that can't be had, or a folder that is there already
  6  stdout failed
"""


@click.command("new-plugin", cls=Subcommand, epilog=_EPILOG)
@click.argument("name")
@click.option(
    "--into",
    type=directory,
    default=".",
    help="The folder to write the package's own folder into; it is made where it is missing.",
)
@click.option(
    "--service-name",
    metavar="TEXT",
    help="What texts call the service; made of NAME unless given.",
)
def new_plugin(name: str, into: Path, service_name: str | None) -> None:
    """Write an installable provider plugin, called NAME in configurations, to start from."""
    need_stdout()
    # Only here: "captchahub --help" must not wait for what it needs.
    from captchahub.cli.new_plugin.scaffold import Names, free_name, write_plugin  # noqa: PLC0415

    names = Names.of(free_name(name), service_name)
    folder = write_plugin(names, into)
    with writing_stdout():
        put(_next_steps(names.service, folder))


def _next_steps(service: str, folder: Path) -> str:
    return f"""\
{folder}: a provider for {service}, with a made-up API. See it pass, in an environment of its own:

  cd {shlex.quote(str(folder))}
  python -m pip install -e '.[dev]'
  python -m pytest

Then make it speak the real API; these are the places:

  grep -rn CHANGE: .

docs/write-a-provider.md in captchahub's repository goes through them one by one."""
