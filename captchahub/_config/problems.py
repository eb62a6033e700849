"""Problems with a configuration: each has a place and a message, and all go into one error."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from captchahub._support.wording import quoted, shown

KeyPath = tuple[str | int, ...]
"""The way to a value: keys of mappings, and positions in lists counted from 0."""

EXAMPLE = "providers: {omo: {plugin: omocaptcha, api_token: '${env:OMOCAPTCHA_TOKEN}'}}"
"""The least configuration, for advice; on one line, as every problem is."""

# Other keys are quoted in messages, so that a dot in one does not look like a step.
_PLAIN_KEY = re.compile(r"[\w-]+")


@attrs.frozen
class Problem:
    """One thing wrong at one place. ``line`` and ``variable`` are set if the place does not imply them."""

    place: KeyPath
    message: str
    line: int | None = None
    variable: str | None = None


class InvalidValue(Exception):
    """A value that is not of its type.

    ``guess`` is advice that spells out what the value is like. It replaces ``advice``, unless the value came
    from a reference and so may be a secret. ``hidden`` means that the value must not be shown.
    """

    def __init__(
        self, expected: str, value: object, advice: str = "", *, guess: str = "", hidden: bool = False
    ) -> None:
        # Without the value, which may be a secret: str() of an exception shows all its arguments.
        super().__init__(expected)
        self.expected = expected
        self.value = value
        self.advice = advice
        self.guess = guess
        self.hidden = hidden


@attrs.frozen
class ValueOrigin:
    """Where a value came from: the name, such as ``${env:NAME}``, and the texts that it contributed.

    ``is_reference`` is false for a variable that overrides a key: it holds what could stand in the file.
    """

    name: str
    texts: tuple[str, ...] = attrs.field(repr=False)
    is_reference: bool = True


@attrs.frozen
class LocatedProblem:
    """A problem with its position: the file and the line, or the variable that overrides the place."""

    file: str | None
    line: int | None
    variable: str | None
    place: str
    message: str

    def __str__(self) -> str:
        position = f"{self.file}:{self.line}" if self.file and self.line else self.file
        if self.variable is not None:
            position = f"${self.variable}"
        return ": ".join(part for part in (position, self.place, self.message) if part)


@attrs.define
class Problems:
    """The problems found so far, and what is known of the places where others may be found."""

    origins: dict[KeyPath, ValueOrigin] = attrs.field(factory=dict[KeyPath, ValueOrigin])
    """The values that came from the environment, files or a keyring. They are never shown."""
    found: list[Problem] = attrs.field(factory=list[Problem])
    """The problems, in the order in which they were found."""
    cause: Exception | None = None
    """The first failure that was more than a wrong value, such as a plugin that can't be imported."""
    unreadable: set[KeyPath] = attrs.field(factory=set[KeyPath])
    """The values that could not be read at all, so their types are not reported as well."""
    hints: dict[KeyPath, str] = attrs.field(factory=dict[KeyPath, str])
    """What to write instead of a value, in case it is refused."""
    overrides: dict[KeyPath, str] = attrs.field(factory=dict[KeyPath, str])
    """The values that an environment variable sets, with its name."""

    def add(
        self, place: KeyPath, message: str, line: int | None = None, *, variable: str | None = None
    ) -> None:
        """Add one problem."""
        self.found.append(Problem(place, message, line, variable))

    def add_unreadable(self, place: KeyPath, message: str) -> None:
        """Add a problem because of which the value at a place can't be read."""
        self.add(place, message)
        self.unreadable.add(place)

    def shown(self, place: KeyPath, value: object) -> str:
        """Return the value found at a place as a message shows it."""
        origin = self.origins.get(place)
        return shown(value) if origin is None else f"the value of {origin.name}"

    def came_from_reference(self, text: str) -> bool:
        """Whether a reference led to exactly this text."""
        # By the text, because a reader of a single value does not know its place.
        return any(text in origin.texts for origin in self.origins.values() if origin.is_reference)

    def is_unreadable(self, place: KeyPath) -> bool:
        """Whether a value, or something in it, could not be read."""
        return any(where[: len(place)] == place for where in self.unreadable)

    def has_problem(self, place: KeyPath) -> bool:
        """Whether a value, or something in it, has a problem."""
        return any(problem.place[: len(place)] == place for problem in self.found)

    def origins_under(self, place: KeyPath) -> list[ValueOrigin]:
        """Return the origins of a value and of everything in it."""
        return [origin for where, origin in self.origins.items() if where[: len(place)] == place]

    def position(self, place: KeyPath, lines: Mapping[KeyPath, int]) -> tuple[str | None, int | None]:
        """Return the variable that set a value, or the line where the file has it; the other one is None.

        A value that has neither is found at the nearest thing around it.
        """
        for length in range(len(place), -1, -1):
            around = place[:length]
            if around in self.overrides:
                return self.overrides[around], None
            if around in lines:
                # Something without a line may exist only because a variable sets a key inside it.
                below = place[: length + 1]
                inside = (name for where, name in self.overrides.items() if where[: length + 1] == below)
                variable = next(inside, None) if length < len(place) else None
                return variable, None if variable else lines[around]
        return None, None

    def located(self, file: str | None, lines: Mapping[KeyPath, int]) -> list[LocatedProblem]:
        """Return all problems in the order of the file, those of variables first."""
        # Sorting keeps the order in which problems of one line were found.
        located = [self.locate(problem, file, lines) for problem in self.found]
        return sorted(located, key=lambda problem: problem.line or 0)

    def locate(self, problem: Problem, file: str | None, lines: Mapping[KeyPath, int]) -> LocatedProblem:
        """Return a problem with its position."""
        variable, line = problem.variable, problem.line
        if variable is None and line is None:
            variable, line = self.position(problem.place, lines)
        place = dotted(problem.place)
        return LocatedProblem(None if variable else file, line, variable, place, problem.message)


def dotted(place: KeyPath) -> str:
    """Return the place as people write it: ``routes.image-to-text[0]``."""
    return "".join(_step(step) for step in place).removeprefix(".")


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if _PLAIN_KEY.fullmatch(step) else f".{quoted(step)}"
