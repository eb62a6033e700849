"""``captchahub demo``: show the library at work."""

from __future__ import annotations

from pathlib import Path

import click

from captchahub.cli.options import WholeNumber, directory
from captchahub.cli.program import Subcommand
from captchahub.cli.streams import need_stdout, put, writing_stdout

_EPILOG = """
\b
Examples:
  captchahub demo
  captchahub demo --pictures 24 --seed 7
  captchahub demo --save shots           keep the pictures in a folder

\b
Exit codes:
  0    every answer is right
  1    an answer is wrong or missing
  6    stdout failed
  130  interrupted
"""


@click.command(cls=Subcommand, epilog=_EPILOG)
@click.option(
    "--pictures",
    "count",
    type=WholeNumber(1, 60),
    default=12,
    show_default=True,
    metavar="N",
    help="How many pictures to draw: two texts for each slide puzzle.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of the random pictures.")
@click.option(
    "--save",
    "shots",
    type=directory,
    metavar="DIR",
    help="Save the pictures in DIR, with the right answers in answers.json.",
)
def demo(count: int, seed: int, shots: Path | None) -> None:
    """Solve newly drawn pictures while an account fails.

    A local stand-in of OMOcaptcha runs for about ten seconds. The pictures are sent to it over HTTP, and
    nothing costs money. The account with priority fails often, and a second account takes over. Every answer
    is compared with what was drawn.
    """
    # Imported late, because servers, drawing and tables would slow "captchahub --help" down.
    from captchahub.cli.demo.run import start_demo  # noqa: PLC0415
    from captchahub.cli.demo.view import show  # noqa: PLC0415
    from captchahub.cli.pictures import save  # noqa: PLC0415

    need_stdout()
    with start_demo(count, seed) as demo_run:
        if shots is not None:
            save(demo_run.pictures, shots)
        with writing_stdout():
            if shots is not None:
                put(f"The pictures are in {shots}, with the right answers in answers.json.")
            show(demo_run)
    click.get_current_context().exit(0 if demo_run.is_all_right() else 1)
