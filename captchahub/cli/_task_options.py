"""The options of a task on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, TypeVar

import click

from captchahub.cli._values import Whole
from captchahub.images import Image
from captchahub.tasks import ImageToText, PhoneSlide, Solution, Task

__all__ = ["MakeTask", "TextOption", "task_maker", "text_options"]

MakeTask = Callable[[Image], Task[Solution]]
TextOption: TypeAlias = "int | str | bool | None"
F = TypeVar("F", bound=Callable[..., object])

_TEXT_OPTIONS = (
    click.option("--length", type=Whole(1), metavar="N", help="How many characters the text has."),
    click.option("--min-length", type=Whole(1), metavar="N", help="The fewest it can have."),
    click.option("--max-length", type=Whole(1), metavar="N", help="The most it can have."),
    click.option(
        "--charset", metavar="CHARACTERS", help="Every character that can occur, such as 0123456789."
    ),
    click.option(
        "--case-sensitive/--case-insensitive",
        default=None,
        help="Whether upper and lower case make a difference.",
    ),
    click.option("--phrase/--one-word", default=None, help="Whether it shows several words or one."),
    click.option(
        "--math/--no-math", default=None, help="Whether it shows a sum, whose result is the answer."
    ),
    click.option("--language", metavar="CODE", help="The language of the text, such as en or zh-Hans."),
    click.option("--hint", metavar="TEXT", help="A remark for the person who reads the picture."),
)

_FLAGS = {
    "case_sensitive": ("--case-insensitive", "--case-sensitive"),
    "phrase": ("--one-word", "--phrase"),
    "math": ("--no-math", "--math"),
}

# The smallest GIF there is: it stands in for a picture while the options are checked.
_PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)


def text_options(command: F) -> F:
    """Give a command the options of ImageToText."""
    for option in reversed(_TEXT_OPTIONS):
        command = option(command)
    return command


def task_maker(kind: str, options: Mapping[str, TextOption]) -> MakeTask:
    """What makes a task of a picture.

    Raises a usage error for options that the kind does not have, and
    :class:`~captchahub.errors.TaskError` for options that contradict each other: once and at the start,
    rather than for each picture.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if kind == PhoneSlide.kind:
        _refuse(given)
        return PhoneSlide

    def make(image: Image) -> Task[Solution]:
        # The names and types are those of ImageToText; click has seen to it.
        return ImageToText(image, **given)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

    make(Image.from_bytes(_PIXEL))
    return make


def _refuse(given: Mapping[str, TextOption]) -> None:
    if given:
        names = ", ".join(_flag(name, value) for name, value in given.items())
        raise click.UsageError(
            f"{names}: only for --type {ImageToText.kind}; a {PhoneSlide.kind} takes no options"
        )


def _flag(name: str, value: TextOption) -> str:
    """The option as it was typed."""
    if isinstance(value, bool):
        return _FLAGS[name][value]
    return f"--{name.replace('_', '-')}"
