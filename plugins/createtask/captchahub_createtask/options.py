"""What a task's options become on the wire, and which of them arrive there whole."""

from __future__ import annotations

import string
from collections.abc import Callable, Collection, Mapping
from typing import Final

import attrs

from captchahub.tasks import ImageToText
from captchahub_createtask.dialects import Dialect, OptionName

__all__ = ["POOLS", "Telling", "tell"]

POOLS: Final[Mapping[str, str]] = {"en": "en", "ru": "rn", "uk": "rn", "be": "rn", "kk": "rn"}
"""The pool of workers for a language: English, or that of Russia, Ukraine, Belarus and Kazakhstan."""

_DIGITS_ONLY: Final = 1
_LETTERS_ONLY: Final = 2


@attrs.frozen
class Telling:
    """What a service is told of a task: fields of the task object, and fields beside it."""

    inside: Mapping[str, object]
    beside: Mapping[str, object]
    sent: frozenset[str]
    """The task's options that the fields say in full."""


def tell(task: ImageToText, dialect: Dialect) -> Telling:
    """The fields for a task; an option is left out where the dialect has no way to say its value."""
    said: dict[OptionName, object] = {
        name: value for name in dialect.options if (value := _value(name, task, dialect)) is not None
    }
    inside = {dialect.options[name]: value for name, value in said.items() if name != "language"}
    beside = {dialect.options[name]: value for name, value in said.items() if name == "language"}
    sent = (name for name in task.options if _is_said(name, task, said))
    return Telling(inside, beside, frozenset(sent))


def _value(name: OptionName, task: ImageToText, dialect: Dialect) -> object:
    value = _VALUES[name](task)
    return None if name == "charset" and value not in dialect.numeric else value


def _is_said(name: str, task: ImageToText, said: Collection[str]) -> bool:
    if name == "length":
        return "min_length" in said and "max_length" in said
    return name in said and (name != "charset" or _is_whole(task))


def _numeric(task: ImageToText) -> int | None:
    characters = _characters(task)
    if not characters:
        return None
    if characters <= set(string.digits):
        return _DIGITS_ONLY
    return _LETTERS_ONLY if all(character.isalpha() for character in characters) else None


def _is_whole(task: ImageToText) -> bool:
    """Whether "digits only" or "letters only" says all that the charset does."""
    characters = _characters(task)
    if not task.case_sensitive:
        characters = {cased for character in characters for cased in (character.lower(), character.upper())}
    return characters in (set(string.digits), set(string.ascii_letters))


def _characters(task: ImageToText) -> set[str]:
    # Blanks between words are always allowed.
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
