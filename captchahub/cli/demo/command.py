"""``captchahub demo``: see the whole thing work."""

from __future__ import annotations

from pathlib import Path

import click

from captchahub.cli.options import Whole, directory
from captchahub.cli.program import Subcommand
from captchahub.cli.streams import need_stdout, put, writing_stdout

__all__ = ["demo"]

_EPILOG = """
\b
Examples:
  captchahub demo
  captchahub demo --pictures 24 --seed 7
  captchahub demo --save shots           look at the pictures yourself

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
    type=Whole(1, 60),
    default=12,
    show_default=True,
    metavar="N",
    help="How many pictures to draw: two texts to read for each puzzle to slide.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another seed, other pictures.")
@click.option(
    "--save",
    "shots",
    type=directory,
    metavar="DIR",
    help="Keep the pictures in DIR, with the truth in answers.json.",
)
def demo(count: int, seed: int, shots: Path | None) -> None:
    """Solve freshly drawn pictures while an account fails.

    A stand-in of OMOcaptcha runs on this machine for some ten seconds; pictures go to it over real HTTP, and
    nothing costs money. The account that is asked first is in trouble, so a second one steps in. Every
    answer is compared with what was drawn.
    """
    # Only here: "captchahub --help" must not wait for servers, drawing and tables.
    from captchahub.cli.demo.stage import stage  # noqa: PLC0415
    from captchahub.cli.demo.view import show  # noqa: PLC0415
    from captchahub.cli.pictures import save  # noqa: PLC0415

    need_stdout()
    with stage(count, seed) as scene:
        if shots is not None:
            save(scene.pictures, shots)
        with writing_stdout():
            if shots is not None:
                put(f"The pictures are in {shots}, with the truth in answers.json.")
            show(scene)
    click.get_current_context().exit(0 if scene.is_all_right() else 1)
