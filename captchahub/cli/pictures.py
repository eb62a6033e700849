"""Draws pictures with names in a sandbox, and saves them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import attrs
import click

from captchahub.cli.text import answer, solution_fields
from captchahub.tasks import PhoneSlide
from captchahub.testing import DrawnPicture, Sandbox


@attrs.frozen
class NamedPicture:
    """A picture with a known answer and a name such as ``text-01``."""

    name: str
    drawn: DrawnPicture

    @property
    def file_name(self) -> str:
        """The name of its file."""
        return f"{self.name}.png"


def draw(sandbox: Sandbox, count: int) -> list[NamedPicture]:
    """Draw ``count`` pictures that the sandbox can answer: two texts, a slide if it has slides, and so on."""
    has_slides = PhoneSlide.kind in sandbox.emulation.prices
    try:
        return [_draw_one(sandbox, number, has_slides=has_slides) for number in range(count)]
    except ImportError as error:
        raise click.ClickException(str(error)) from error


def _draw_one(sandbox: Sandbox, number: int, *, has_slides: bool) -> NamedPicture:
    if not has_slides:
        return NamedPicture(f"text-{number + 1:02}", sandbox.draw_text())
    group, place = divmod(number, 3)
    if place == 2:
        return NamedPicture(f"slide-{group + 1:02}", sandbox.draw_slide())
    return NamedPicture(f"text-{2 * group + place + 1:02}", sandbox.draw_text())


def save(pictures: Sequence[NamedPicture], directory: Path) -> None:
    """Write the pictures and ``answers.json``, and create the directory if it does not exist."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            (directory / picture.file_name).write_bytes(picture.drawn.image.data)
        (directory / "answers.json").write_text(_answers(pictures), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(
            f"cannot write the pictures to {directory}: {error.strerror or error}"
        ) from error


def _answers(pictures: Sequence[NamedPicture]) -> str:
    answers = {
        picture.file_name: {
            "kind": picture.drawn.kind,
            "answer": answer(picture.drawn.solution),
            "solution": solution_fields(picture.drawn.solution),
        }
        for picture in pictures
    }
    return json.dumps(answers, indent=2) + "\n"
