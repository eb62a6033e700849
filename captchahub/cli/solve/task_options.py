"""The options of a task on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import attrs
import click

from captchahub._support.wording import advise
from captchahub.cli.options import WholeNumber
from captchahub.images import Image
from captchahub.tasks import ImageToText, PhoneSlide, Solution, Task

MakeTask = Callable[[Image], Task[Solution]]

TextOption: TypeAlias = "int | str | bool | None"

F = TypeVar("F", bound=Callable[..., object])

_TEXT_OPTIONS = (
    click.option("--length", type=WholeNumber(1), metavar="N", help="The number of characters."),
    click.option("--min-length", type=WholeNumber(1), metavar="N", help="The minimum number of characters."),
    click.option("--max-length", type=WholeNumber(1), metavar="N", help="The maximum number of characters."),
    click.option(
        "--charset", metavar="CHARACTERS", help="All characters that can occur, such as 0123456789."
    ),
    click.option(
        "--case-sensitive/--case-insensitive",
        default=None,
        help="Whether upper and lower case differ.",
    ),
    click.option("--phrase/--one-word", default=None, help="Whether the picture shows several words or one."),
    click.option(
        "--math/--no-math",
        default=None,
        help="Whether the picture shows a calculation whose result is the answer.",
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
    """Add the options of ImageToText to a command."""
    # As decorators are applied, from the last to the first, so that the help lists them in order.
    for option in reversed(_TEXT_OPTIONS):
        command = option(command)
    return command


def task_maker(
    types: Mapping[str, type[Task[Solution]]],
    kind: str,
    text: Mapping[str, TextOption],
    further: Mapping[str, object],
) -> MakeTask:
    """Return a function that makes tasks of a kind from pictures, with options for texts and further ones.

    Checks the options once instead of for each picture: raises UsageError for an unknown kind or option, and
    :class:`~captchahub.errors.TaskError` for options that contradict each other.
    """
    check_kind(types, kind)
    given = {name: value for name, value in text.items() if value is not None}
    if given and kind != ImageToText.kind:
        names = ", ".join(_flag(name, value) for name, value in given.items())
        other = (
            "it has no options" if kind == PhoneSlide.kind else f"options of a {kind} are --option NAME=VALUE"
        )
        raise click.UsageError(f"{names}: only for --type {ImageToText.kind}; {other}")
    task_type, options = types[kind], {**given, **further}
    _refuse_unknown(kind, task_type, options)

    def make(image: Image) -> Task[Solution]:
        return task_type(image=image, **options)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]  # an attrs class with a picture

    try:
        make(Image.from_bytes(_PIXEL))
    # A type of a plugin raises these for options or values that it does not accept.
    except (TypeError, ValueError) as error:
        # A validator of attrs raises the message together with the value, the field and the type.
        reason = error.args[0] if error.args else type(error).__name__
        names = ", ".join(options) or "no options"
        raise click.UsageError(f"a {kind} can't be made with {names}: {reason}") from error
    return make


def check_kind(types: Iterable[str], kind: str) -> None:
    """Raise UsageError if no task is of this kind."""
    known = [*types]
    if kind not in known:
        raise click.UsageError(f"there is no type {kind!r} of task; {advise(kind, known, 'types')}")


def _refuse_unknown(kind: str, task_type: type, options: Mapping[str, object]) -> None:
    if not attrs.has(task_type):
        return  # only making a task can find out
    fields: Sequence[attrs.Attribute[Any]] = attrs.fields(task_type)
    known = [str(field.alias) for field in fields if field.init and field.alias != "image"]
    for name in options:
        if name not in known:
            advice = advise(name, known, "options")
            raise click.UsageError(f"{kind} has no option {name!r}; {advice}")


def _flag(name: str, value: TextOption) -> str:
    """Return the option as the user typed it."""
    if isinstance(value, bool):
        return _FLAGS[name][value]
    return f"--{name.replace('_', '-')}"
