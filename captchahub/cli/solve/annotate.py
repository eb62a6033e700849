"""Draws an answer onto a copy of its picture, so that a person can see whether it is right."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from captchahub._support.paths import expanded
from captchahub.cli.replacing import replacing
from captchahub.cli.solve.files import FileOutcome
from captchahub.cli.text import answer
from captchahub.images import Image
from captchahub.tasks import SlideSolution, TextSolution

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

# Green and vermilion, which people with any kind of colour vision can distinguish.
_START, _END = (0, 158, 115), (213, 94, 0)


def check_annotation(files: Sequence[str], target: Path | None) -> None:
    """Raise a ClickException before anything is paid if the answer can't be drawn onto a copy."""
    if target is None:
        return
    if len(files) > 1 or files[0] == "-":
        raise click.UsageError("--annotate is for one FILE, and not for stdin")
    if find_spec("PIL") is None:
        raise click.ClickException('--annotate needs the package Pillow: pip install "captchahub[testing]"')


def annotate(outcome: FileOutcome, target: Path) -> None:
    """Write a copy of the picture with the answer: a drag as a line with its ends, a text below the picture.

    Raises :class:`click.ClickException` if the file can't be written.
    """
    if outcome.result is None:
        return
    import PIL.Image  # noqa: PLC0415 - only this option needs Pillow

    data = Image.open(expanded(outcome.file)).data
    with PIL.Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGB")
    solution = outcome.result.solution
    if isinstance(solution, SlideSolution):
        _draw_slide(picture, solution)
    elif isinstance(solution, TextSolution):
        picture = _with_text(picture, answer(solution))
    else:
        raise click.ClickException(f"--annotate can't draw the answer to a {outcome.kind}")
    try:
        with replacing(target) as file:
            picture.save(file)
    # Pillow raises it for a name whose ending it does not know.
    except ValueError as error:
        message = (
            f"{target}: no format of pictures has the ending {target.suffix!r}; name a file such as out.png"
        )
        raise click.ClickException(message) from error


def _draw_slide(picture: Picture, solution: SlideSolution) -> None:
    from PIL import ImageDraw  # noqa: PLC0415 - see above

    draw = ImageDraw.Draw(picture)
    start, end = (solution.start.x, solution.start.y), (solution.end.x, solution.end.y)
    # Wide enough to be seen on a screenshot of any size.
    width = max(2, round(max(picture.size) / 200))
    draw.line([start, end], fill=_END, width=width)
    for (x, y), colour in ((start, _START), (end, _END)):
        for radius, fill in ((4 * width, None), (width, colour)):
            draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill, outline=colour, width=width)


def _with_text(picture: Picture, text: str) -> Picture:
    import PIL.Image  # noqa: PLC0415 - see above
    from PIL import ImageDraw  # noqa: PLC0415 - see above

    height = max(16, picture.height // 4)
    canvas = PIL.Image.new("RGB", (picture.width, picture.height + height), "white")
    canvas.paste(picture)
    ImageDraw.Draw(canvas).text((4, picture.height), text, fill="black", font_size=height * 0.7)
    return canvas
