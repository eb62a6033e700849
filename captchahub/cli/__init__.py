"""The command line: parse, call the library, print."""

from __future__ import annotations

import click

from captchahub._version import __version__
from captchahub.cli.program import DeferredCommand, Program

# The first sentence of the help of each command stands here too, so that listing them imports none.
_COMMANDS = {
    "demo": ("demo.command", "Solve newly drawn pictures while an account fails."),
    "solve": ("solve.command", "Solve pictures and print the answers."),
    "batch": ("batch.command", "Solve any number of pictures, and write the answers to a file."),
    "accounts": ("accounts", "Show the balance, prices, spending and budget of every account."),
    "spend": ("spend", "Show what was spent, by day, provider or kind of task."),
    "jobs": ("jobs", "Look at the jobs of the journal, and settle what is open."),
    "resume": (
        "resume",
        "Collect the answers of jobs that were created but not delivered, after a crash or Ctrl-C.",
    ),
    "watch": (
        "watch",
        "Show live what other processes solve: health, jobs in flight, answers, times, spending and errors.",
    ),
    "report": ("report.command", "Write a page about what was solved, how fast and at what cost."),
    "doctor": ("doctor.command", "Check the configuration, plugins, services, tokens, clock and journal."),
    "config": ("config.command", "Check, show, describe or begin a configuration."),
    "plugins": (
        "plugins",
        "Import every installed plugin, and list what each one adds or why it can't be used.",
    ),
    "sandbox": ("sandbox.command", "Serve a local stand-in of a service until Ctrl-C."),
    "new-plugin": (
        "new_plugin.command",
        "Write an installable provider plugin to start from. Configurations call it NAME.",
    ),
}

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


for _name, (_module, _help) in _COMMANDS.items():
    cli.add_command(DeferredCommand(_name, f"{__name__}.{_module}", _help))
