"""The options of a task on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import attrs
import click

from captchahub._support.wording import advise
from captchahub.cli.options import Whole
from captchahub.errors import TaskError
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


def task_maker(
    types: Mapping[str, type[Task[Solution]]],
    kind: str,
    text: Mapping[str, TextOption],
    further: Mapping[str, object],
) -> MakeTask:
    """What makes a task of a picture: of the type of a kind, with options for texts and further ones.

    Raises a usage error for a kind that is none, or options that it does not have, and
    :class:`~captchahub.errors.TaskError` for options that contradict each other: once and at the start,
    rather than for each picture.
    """
    if kind not in types:
        raise click.UsageError(f"there is no type {kind!r} of task; {advise(kind, types, 'types')}")
    given = {name: value for name, value in text.items() if value is not None}
    if given and kind != ImageToText.kind:
        raise _only_for_texts(given, kind)
    task_type, options = types[kind], {**given, **further}
    _refuse_unknown(task_type, options)

    def make(image: Image) -> Task[Solution]:
        return task_type(image=image, **options)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]  # an attrs class with a picture

    try:
        make(Image.from_bytes(_PIXEL))
    except TaskError:
        raise
    # What a type that a plugin adds raises, where it does not have such options or values.
    except (TypeError, ValueError) as error:
        # That of attrs has the value, the field and the type beside the words.
        words = error.args[0] if error.args else type(error).__name__
        raise click.UsageError(f"a {kind} can't be made with {_written(options)}: {words}") from error
    return make


def _refuse_unknown(task_type: type[Task[Solution]], options: Mapping[str, object]) -> None:
    known = _options_of(task_type)
    for name in options:
        if known is not None and name not in known:
            told = advise(name, known, "options")
            raise click.UsageError(f"{task_type.kind} has no option {name!r}; {told}")


def _options_of(task_type: type) -> Sequence[str] | None:
    """What tasks of a type are made with beside the picture, None where nobody can say."""
    if not attrs.has(task_type):
        return None
    fields: Sequence[attrs.Attribute[Any]] = attrs.fields(task_type)
    return [str(field.alias) for field in fields if field.init and field.alias != "image"]


def _only_for_texts(given: Mapping[str, TextOption], kind: str) -> click.UsageError:
    names = ", ".join(_flag(name, value) for name, value in given.items())
    other = (
        "it takes no options" if kind == PhoneSlide.kind else f"options of a {kind} are --option NAME=VALUE"
    )
    return click.UsageError(f"{names}: only for --type {ImageToText.kind}; {other}")


def _written(options: Mapping[str, object]) -> str:
    return ", ".join(options) or "no options"


def _flag(name: str, value: TextOption) -> str:
    """The option as it was typed."""
    if isinstance(value, bool):
        return _FLAGS[name][value]
    return f"--{name.replace('_', '-')}"
