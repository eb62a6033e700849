"""``captchahub doctor``: check everything that a solve needs, and say what to do about what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import click

from captchahub.cli.options import config_option
from captchahub.cli.program import Subcommand
from captchahub.cli.streams import ExitCode, need_stdout, put, writing_stdout
from captchahub.cli.text import printable

_EPILOG = """
\b
Each line is a check: what was found and, if something is wrong, what to do.
  ok    as it should be
  note  works, and is worth knowing
  FAIL  a solve would fail

\b
Exit codes:
  0  no check failed
  1  a check failed
  2  wrong usage
  3  the configuration is missing or wrong; nothing else could be checked
"""

_COLOURS = {"ok": "green", "note": "magenta", "FAIL": "red"}


@click.command(cls=Subcommand, epilog=_EPILOG)
@config_option("The YAML file with the providers; found as by captchahub solve.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def doctor(config: Path | None, *, as_json: bool) -> None:
    """Check the configuration, plugins, services, tokens, clock and journal.

    Nothing is solved and nothing is paid.
    """
    need_stdout()
    # Imported late, because the help must not wait for what the checks need.
    from captchahub.cli.doctor.checks import Check, Status, checks  # noqa: PLC0415

    done: list[Check] = []
    with writing_stdout():
        for check in checks(config):
            done.append(check)
            if as_json:
                put(json.dumps({**attrs.asdict(check), "status": check.status.value.lower()}))
            else:
                _show(check.status.value, check.name, check.found, check.advice)
    failed = [check.name for check in done if check.status is Status.FAIL]
    code = ExitCode.DONE if not failed else ExitCode.UNSOLVED
    click.get_current_context().exit(ExitCode.CONFIGURATION if "configuration" in failed else code)


def _show(status: str, name: str, found: str, advice: str) -> None:
    # click removes the colour if stdout is no terminal.
    first, *more = found.split("\n")
    put(f"{click.style(f'{status:<4}', fg=_COLOURS[status])}  {name}: {printable(first)}")
    for line in [*more, *([advice] if advice else [])]:
        put(f"      {printable(line)}".rstrip())
