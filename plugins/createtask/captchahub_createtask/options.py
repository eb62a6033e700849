"""The fields that a task's options become in a request, and which options they state in full."""

from __future__ import annotations

import string
from collections.abc import Callable, Collection, Mapping
from typing import Final

import attrs

from captchahub.tasks import ImageToText
from captchahub_createtask.dialects import Dialect, OptionName

__all__ = ["POOLS", "TaskFields", "task_fields"]

POOLS: Final[Mapping[str, str]] = {"en": "en", "ru": "rn", "uk": "rn", "be": "rn", "kk": "rn"}
"""The pool of workers for a language: English, or Russia, Ukraine, Belarus and Kazakhstan."""

_DIGITS_ONLY: Final = 1
_LETTERS_ONLY: Final = 2


@attrs.frozen
class TaskFields:
    """The fields of a request that state the options of a task."""

    inside: Mapping[str, object]
    """The fields in the task object."""
    beside: Mapping[str, object]
    """The fields next to the task object."""
    sent: frozenset[str]
    """The names of the task's options that the fields state in full."""


def task_fields(task: ImageToText, dialect: Dialect) -> TaskFields:
    """Return the fields for a task. An option is left out if the dialect has no way to state its value."""
    stated: dict[OptionName, object] = {
        name: value for name in dialect.options if (value := _value(name, task, dialect)) is not None
    }
    inside = {dialect.options[name]: value for name, value in stated.items() if name != "language"}
    beside = {dialect.options[name]: value for name, value in stated.items() if name == "language"}
    sent = (name for name in task.options if _is_stated(name, task, stated))
    return TaskFields(inside, beside, frozenset(sent))


def _value(name: OptionName, task: ImageToText, dialect: Dialect) -> object:
    value = _VALUES[name](task)
    return None if name == "charset" and value not in dialect.numeric else value


def _is_stated(name: str, task: ImageToText, stated: Collection[str]) -> bool:
    if name == "length":
        return "min_length" in stated and "max_length" in stated
    return name in stated and (name != "charset" or _is_whole(task))


def _numeric(task: ImageToText) -> int | None:
    characters = _characters(task)
    if not characters:
        return None
    if characters <= set(string.digits):
        return _DIGITS_ONLY
    return _LETTERS_ONLY if all(character.isalpha() for character in characters) else None


def _is_whole(task: ImageToText) -> bool:
    """Whether "digits only" or "letters only" means exactly the charset of the task."""
    characters = _characters(task)
    if not task.case_sensitive:
        characters = {cased for character in characters for cased in (character.lower(), character.upper())}
    return characters in (set(string.digits), set(string.ascii_letters))


def _characters(task: ImageToText) -> set[str]:
    # Spaces between words are always allowed.
    return set("".join((task.charset or "").split()))


def _pool(task: ImageToText) -> str | None:
    return POOLS.get(task.language.partition("-")[0]) if task.language else None


_VALUES: Final[Mapping[OptionName, Callable[[ImageToText], object]]] = {
    "min_length": lambda task: task.length or task.min_length,
    "max_length": lambda task: task.length or task.max_length,
    "charset": _numeric,
    "case_sensitive": lambda task: task.case_sensitive,
    "phrase": lambda task: task.phrase,
    "math": lambda task: task.math,
    "language": _pool,
    "hint": lambda task: task.hint,
}
