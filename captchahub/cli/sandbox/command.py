"""``captchahub sandbox``: serve a local stand-in of a service, for any HTTP client."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import click

from captchahub.cli.options import WholeNumber, amount, directory, named_value, seconds, share
from captchahub.cli.options import token as account_token
from captchahub.cli.program import Subcommand

_PICTURES = 6

_EPILOG = """
\b
Examples:
  captchahub sandbox
  captchahub sandbox --port 8080 --pictures shots
  captchahub sandbox --answers our-captchas/answers.json
  captchahub sandbox --job-time 3 --latency 0.2 --failure-rate 0.1
  captchahub sandbox --plugin createtask --option dialect=capsolver

Jobs for pictures that this sandbox drew, or that --answers names, get the right answer. Jobs for other
pictures fail.

FILE has the format of the answers.json that --pictures writes, and is in the folder of its pictures. For
texts a shorter format is accepted:

\b
  {"login-1.png": "x7kp2", "login-2.png": "q3wm"}

\b
Exit codes:
  0  ended by Ctrl-C or SIGTERM
  1  the port is in use, or the pictures can't be drawn or written
  2  wrong usage
  3  no installed plugin has such a sandbox, or it does not accept the --option
  6  stdout failed
"""


@click.command(cls=Subcommand, epilog=_EPILOG)
@click.option(
    "--port",
    type=WholeNumber(0, 65535),
    default=0,
    show_default=True,
    help="The port to listen on, at 127.0.0.1; 0 picks a free one.",
)
@click.option(
    "--plugin", default="omocaptcha", show_default=True, help="The plugin whose service to emulate."
)
@click.option(
    "--option",
    "options",
    type=named_value,
    multiple=True,
    metavar="NAME=VALUE",
    help="An option of the emulation, such as dialect=capsolver for createtask. The error for a wrong NAME "
    "lists the valid ones. Can be repeated.",
)
@click.option(
    "--token",
    type=account_token,
    default="sandbox-token",
    show_default=True,
    metavar="TEXT",
    help="The token of the account.",
)
@click.option(
    "--balance",
    type=amount,
    default="10",
    show_default=True,
    metavar="AMOUNT",
    help="The balance of the account.",
)
@click.option(
    "--job-time",
    type=seconds,
    default="1",
    show_default=True,
    metavar="SECONDS",
    help="How long a job takes.",
)
@click.option(
    "--latency",
    type=seconds,
    default="0",
    show_default=True,
    metavar="SECONDS",
    help="The round-trip time of each call.",
)
@click.option(
    "--failure-rate",
    type=share,
    default="0",
    show_default=True,
    metavar="SHARE",
    help="The share of jobs that fail, from 0 to 1.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of everything random.")
@click.option(
    "--pictures",
    type=directory,
    metavar="DIR",
    help="Draw pictures that it can answer into DIR, with the right answers in answers.json and the "
    "configuration in sandbox.yaml.",
)
@click.option(
    "--count",
    type=WholeNumber(1, 999),
    metavar="N",
    help=f"How many pictures to draw; {_PICTURES} by default.",
)
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="A JSON file with the answers to pictures of your own. Can be repeated.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print a JSON object when it listens, and nothing else."
)
def sandbox(
    *,
    port: int,
    plugin: str,
    options: Sequence[tuple[str, object]],
    token: str,
    balance: Decimal,
    job_time: float,
    latency: float,
    failure_rate: float,
    seed: int,
    pictures: Path | None,
    count: int | None,
    answers: Sequence[Path],
    as_json: bool,
) -> None:
    """Serve a local stand-in of a service until Ctrl-C.

    It speaks the service's protocol to any HTTP client, keeps an account and jobs, and costs nothing. It
    prints its address, an example of a call, and a captchahub command with the configuration for it.
    """
    if count is not None and pictures is None:
        raise click.UsageError("--count needs --pictures DIR")
    # Imported late, because servers and drawing would slow "captchahub --help" down.
    from captchahub.cli.sandbox import serve as serving  # noqa: PLC0415
    from captchahub.testing import Sandbox, load_emulation  # noqa: PLC0415

    service = Sandbox(
        load_emulation(plugin, **dict(options)),
        port=port,
        job_time=job_time,
        latency=latency,
        failure_rate=failure_rate,
        seed=seed,
    )
    known = serving.add_answers(service, answers)
    serving.serve(
        service,
        plugin=plugin,
        token=token,
        balance=balance,
        directory=pictures,
        count=_PICTURES if count is None else count,
        known=known,
        as_json=as_json,
    )
