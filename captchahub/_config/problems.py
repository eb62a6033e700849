"""What is wrong with a configuration: places, found values and advice, collected into one error."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date

import attrs

Place = tuple[str | int, ...]
"""The way to a value: keys of mappings, and positions in lists counted from 0."""

EXAMPLE = "providers: {omo: {plugin: omocaptcha, api_token: '${env:OMOCAPTCHA_TOKEN}'}}"
"""The least configuration, for advice; on one line, as every problem is."""

_SHOWN = 40
_PLAIN_KEY = re.compile(r"[\w-]+")


@attrs.frozen
class Problem:
    """One thing wrong at one place. ``line`` is known where the place alone does not tell it."""

    place: Place
    message: str
    line: int | None = None


class Misfit(Exception):
    """A value that is not of its type. ``hidden`` where the value must not be shown."""

    def __init__(self, expected: str, value: object, advice: str = "", *, hidden: bool = False) -> None:
        super().__init__(expected)
        self.expected = expected
        self.value = value
        self.advice = advice
        self.hidden = hidden


@attrs.frozen
class Origin:
    """The references a value came from: what they are called, such as ``${env:NAME}``, and what they gave."""

    name: str
    texts: tuple[str, ...] = attrs.field(repr=False)


@attrs.define
class Problems:
    """The problems found so far.

    ``origins`` tells, by place, which values came from references: those are never shown.
    ``spoilt`` are the places whose values could not be read, so that nothing is said of their types.
    ``cause`` is the first failure that was more than a wrong value, such as a plugin that can't be imported.
    """

    origins: dict[Place, Origin] = attrs.field(factory=dict[Place, Origin])
    found: list[Problem] = attrs.field(factory=list[Problem])
    cause: Exception | None = None
    spoilt: set[Place] = attrs.field(factory=set[Place])

    def add(self, place: Place, message: str, line: int | None = None) -> None:
        """Note one problem."""
        self.found.append(Problem(place, message, line))

    def spoil(self, place: Place, message: str) -> None:
        """Note that the value at a place can't be read."""
        self.add(place, message)
        self.spoilt.add(place)

    def shown(self, place: Place, value: object) -> str:
        """How a message speaks of the value found at a place."""
        origin = self.origins.get(place)
        return shown(value) if origin is None else f"the value of {origin.name}"

    def is_followed(self, text: str) -> bool:
        """Whether a reference gave exactly this text."""
        return any(text in origin.texts for origin in self.origins.values())

    def is_spoilt(self, place: Place) -> bool:
        """Whether a value, or something in it, could not be read."""
        return any(where[: len(place)] == place for where in self.spoilt)

    def is_blamed(self, place: Place) -> bool:
        """Whether something was found wrong with a value, or with something in it."""
        return any(problem.place[: len(place)] == place for problem in self.found)

    def origins_under(self, place: Place) -> list[Origin]:
        """The origins of a value and of everything in it."""
        return [origin for where, origin in self.origins.items() if where[: len(place)] == place]

    def lines(self, file: str | None, lines: Mapping[Place, int]) -> str:
        """All problems as text, one a line, in the order of the file."""
        located = [(problem.line or line_of(problem.place, lines), problem) for problem in self.found]
        located.sort(key=lambda item: item[0] or 0)
        return "\n".join(_told(file, line, problem) for line, problem in located)


def _told(file: str | None, line: int | None, problem: Problem) -> str:
    position = f"{file}:{line}" if file and line else file
    return ": ".join(part for part in (position, dotted(problem.place), problem.message) if part)


def line_of(place: Place, lines: Mapping[Place, int]) -> int | None:
    """The line of a place, or of the nearest thing around it that has one; lines count from 1."""
    for length in range(len(place), -1, -1):
        if place[:length] in lines:
            return lines[place[:length]]
    return None


def dotted(place: Place) -> str:
    """The place as a person writes it: ``routes.image-to-text[0]``."""
    return "".join(_step(step) for step in place).removeprefix(".")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_KEY.fullmatch(step) else f".{_quoted(step)}"


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def shown(value: object) -> str:
    """A value in a few words and on one line, whatever it is."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, (int, float)):
        return _number(value)
    return _WORDS.get(type(value)) or f"a {type(value).__name__}"


def _number(value: float) -> str:
    # Python refuses to write out an integer of thousands of digits.
    return "a huge number" if isinstance(value, int) and abs(value) > 10**30 else str(value)


_WORDS: Mapping[type, str] = {dict: "a mapping", list: "a list", tuple: "a list", date: "a date"}


def advise(word: str, known: Iterable[str], label: str) -> str:
    """The nearest of the known words, if one is near, and all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word[:_SHOWN], names, n=1)
    listed = f"{label}: {', '.join(names) or 'none'}"
    return f"did you mean {near[0]!r}? {listed}" if near else listed
