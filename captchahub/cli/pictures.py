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


def draw(sandbox: Sandbox, count: int) -> list[NamedPicture]:
    """Draw ``count`` pictures that the sandbox can answer: two texts, a slide if it has slides, and so on."""
    has_slides = PhoneSlide.kind in sandbox.emulation.prices
    pictures: list[NamedPicture] = []
    slides = 0
    try:
        for number in range(1, count + 1):
            # Every third one, so that even a few pictures have both kinds.
            if has_slides and number % 3 == 0:
                slides += 1
                pictures.append(NamedPicture(f"slide-{slides:02}", sandbox.draw_slide()))
            else:
                pictures.append(NamedPicture(f"text-{number - slides:02}", sandbox.draw_text()))
    except ImportError as error:
        raise click.ClickException(str(error)) from error
    return pictures


def save(pictures: Sequence[NamedPicture], directory: Path) -> None:
    """Write the pictures and ``answers.json``, and create the directory if it does not exist."""
    answers = {
        f"{picture.name}.png": {
            "kind": picture.drawn.kind,
            "answer": answer(picture.drawn.solution),
            "solution": solution_fields(picture.drawn.solution),
        }
        for picture in pictures
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            (directory / f"{picture.name}.png").write_bytes(picture.drawn.image.data)
        (directory / "answers.json").write_text(json.dumps(answers, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(
            f"cannot write the pictures to {directory}: {error.strerror or error}"
        ) from error
