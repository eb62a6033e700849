"""``captchahub sandbox``: a local stand-in of a service, for any HTTP client."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import click

from captchahub.cli.options import Whole, amount, directory, named_value, seconds, share
from captchahub.cli.options import token as account_token
from captchahub.cli.program import Subcommand

__all__ = ["sandbox"]

_PICTURES = 6

_EPILOG = """
\b
Examples:
  captchahub sandbox
  captchahub sandbox --port 8080 --pictures shots
  captchahub sandbox --answers our-captchas/answers.json
  captchahub sandbox --job-time 3 --latency 0.2 --failure-rate 0.1
  captchahub sandbox --plugin createtask --option dialect=capsolver

A job for a picture that this sandbox drew, or that --answers names, is answered with the truth; any other
picture ends as a failed job.

FILE is such as --pictures writes, with the pictures beside it. For texts it can be shorter:

\b
  {"login-1.png": "x7kp2", "login-2.png": "q3wm"}

\b
Exit codes:
  0  Ctrl-C or SIGTERM ended it
  1  the port is taken, or the pictures can't be drawn or written
  2  wrong usage
  3  no installed plugin has such a sandbox, or it does not take such an --option
  6  stdout failed
"""


@click.command(cls=Subcommand, epilog=_EPILOG)
@click.option(
    "--port",
    type=Whole(0, 65535),
    default=0,
    show_default=True,
    help="Where to listen on 127.0.0.1; 0 takes a free one.",
)
@click.option("--plugin", default="omocaptcha", show_default=True, help="Whose service to stand in for.")
@click.option(
    "--option",
    "options",
    type=named_value,
    multiple=True,
    metavar="NAME=VALUE",
    help="How that service is, such as dialect=capsolver for createtask; a wrong NAME is answered with those "
    "there are. Can be repeated.",
)
@click.option(
    "--token",
    type=account_token,
    default="sandbox-token",
    show_default=True,
    metavar="TEXT",
    help="The token of the one account.",
)
@click.option(
    "--balance",
    type=amount,
    default="10",
    show_default=True,
    metavar="AMOUNT",
    help="What is on the account.",
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
    help="How long a call travels.",
)
@click.option(
    "--failure-rate",
    type=share,
    default="0",
    show_default=True,
    metavar="SHARE",
    help="The share of jobs that fail, from 0 to 1.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Fixes what is left to chance.")
@click.option(
    "--pictures",
    type=directory,
    metavar="DIR",
    help="Draw pictures it can answer into DIR, with the truth in answers.json.",
)
@click.option(
    "--count",
    type=Whole(1, 999),
    metavar="N",
    help=f"How many pictures to draw; {_PICTURES} where it is not said.",
)
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Know pictures of your own: a JSON file with the answer for each. Can be repeated.",
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
) -> None:
    """Serve a local stand-in of a service until Ctrl-C.

    It speaks the service's own dialect to any HTTP client, keeps accounts and jobs, and costs nothing. It
    prints its address, a call to try, and a configuration to paste.
    """
    if count is not None and pictures is None:
        raise click.UsageError("--count needs --pictures DIR: there is nowhere to draw to")
    # Only here: "captchahub --help" must not wait for servers and drawing.
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
    account = serving.AccountOptions(plugin, token, balance)
    known = serving.teach(service, answers)
    serving.serve(service, account, pictures, _PICTURES if count is None else count, known=known)
