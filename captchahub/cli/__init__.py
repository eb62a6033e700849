"""The command line: parse, call the library, print."""

from __future__ import annotations

import click

from captchahub._version import __version__
from captchahub.cli.accounts import accounts
from captchahub.cli.batch.command import batch
from captchahub.cli.config.command import config
from captchahub.cli.demo.command import demo
from captchahub.cli.doctor.command import doctor
from captchahub.cli.jobs import jobs
from captchahub.cli.new_plugin.command import new_plugin
from captchahub.cli.plugins import plugins
from captchahub.cli.program import Program
from captchahub.cli.report.command import report
from captchahub.cli.resume import resume
from captchahub.cli.sandbox.command import sandbox
from captchahub.cli.solve.command import solve
from captchahub.cli.spend import spend
from captchahub.cli.watch import watch

_EPILOG = """
\b
First steps:
  captchahub demo                        see it work; needs no account and no network
  captchahub sandbox --pictures shots    start a local service for trials
  captchahub config init                 write a configuration
  captchahub solve shots/text-01.png     solve a picture with the providers in captchahub.yaml

"captchahub COMMAND --help" describes each command.
"""


@click.group(cls=Program, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="captchahub")
def cli() -> None:
    """Send pictures to captcha recognition services, with fallback from one service to the next.

    Use it where you are authorised to automate: on your own sites, apps and archives.
    """


for _command in (
    demo,
    solve,
    batch,
    accounts,
    spend,
    jobs,
    resume,
    watch,
    report,
    doctor,
    config,
    plugins,
    sandbox,
    new_plugin,
):
    cli.add_command(_command)
