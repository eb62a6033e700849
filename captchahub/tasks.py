"""What can be solved: the tasks, and the solutions they are answered with."""

from __future__ import annotations

import hashlib
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeAlias, TypeGuard, TypeVar

import attrs

from captchahub._support.plain_text import plain, result_of_sum, with_digits_of, without_marks
from captchahub.errors import TaskError
from captchahub.frames import Frame
from captchahub.images import Image

__all__ = ["ImageToText", "PhoneSlide", "Point", "Size", "SlideSolution", "Solution", "Task", "TextSolution"]


class Solution:
    """The typed answer to a task; each task type has its own."""

    __slots__ = ()

    def placed(self, frame: Frame) -> Solution:  # noqa: ARG002 - for those that have places in them
        """The same answer for the picture that its own was made of; itself, where it has no places."""
        return self


S_co = TypeVar("S_co", bound=Solution, covariant=True)

OptionValue = str | int | bool


class Task(ABC, Generic[S_co]):
    """One picture to solve, and what is known of its answer.

    A task type is a frozen attrs class with an ``image`` and its options as fields, None meaning "not
    given". It names its ``kind`` (the word used in routes and in the journal) and its ``solution_type``,
    and says in :meth:`check` which answers can't be right.
    """

    __slots__ = ()

    kind: ClassVar[str]
    solution_type: ClassVar[type[Solution]]

    image: Image

    @abstractmethod
    def check(self, solution: Solution) -> str | None:
        """Why this answer can't be right, or None where nothing speaks against it."""

    def is_answered_by(self, solution: Solution) -> TypeGuard[S_co]:
        """Whether the answer is of the type this task asks for."""
        return isinstance(solution, self.solution_type)

    def complete(self, solution: Solution) -> Solution:
        """The solution as the task wants it, before it is checked; the same one where nothing is to be done.

        What only the task knows is filled in, and what is written otherwise than the task has it is changed.
        """
        return solution

    def agrees(self, one: Solution, other: Solution) -> bool:
        """Whether two answers to this task are the same answer."""
        return one == other

    @property
    def options(self) -> Mapping[str, OptionValue]:
        """The options that were given, by name."""
        task_type = type(self)
        if not attrs.has(task_type):
            raise TypeError(f"{task_type.__name__} must be an attrs class: decorate it with @attrs.frozen")
        values = {field.name: getattr(self, field.name) for field in attrs.fields(task_type)}
        del values["image"]
        return {name: value for name, value in values.items() if value is not None}

    @property
    def fingerprint(self) -> str:
        """A hash of the kind, the options and the picture: the same in every process for an equal task."""
        facts = [self.kind, dict(self.options), self.image.sha256]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@attrs.frozen
class TextSolution(Solution):
    """The text that a person would read in the picture."""

    text: str


def _wrong_type(task_type: type[Task[Solution]], solution: Solution) -> str:
    wanted, found = task_type.solution_type.__name__, type(solution).__name__
    return f"{task_type.kind} is answered by a {wanted}, not a {found}"


Field: TypeAlias = "attrs.Attribute[Any]"  # one validator serves fields of several types


def _positive(_task: object, field: Field, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise TaskError(f"{field.name} must be a whole number of characters, not {value!r}")
    if value < 1:
        raise TaskError(f"{field.name} must be 1 or more, not {value}")


def _flag(_task: object, field: Field, value: object) -> None:
    if value is not None and not isinstance(value, bool):
        raise TaskError(f"{field.name} must be True, False or None, not {value!r}")


def _words(_task: object, field: Field, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise TaskError(f"{field.name} must be text, not {value!r}")
    if not value.strip():
        raise TaskError(f"{field.name} is empty; leave it out where there is nothing to say")


def _image(_task: object, _field: Field, value: object) -> None:
    if not isinstance(value, Image):
        found = type(value).__name__
        raise TaskError(
            f"image must be an Image, not {found}: use Image.open(path) or Image.from_bytes(data)"
        )


_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def _language(_task: object, field: Field, value: object) -> None:
    _words(_task, field, value)
    if isinstance(value, str) and not _LANGUAGE.fullmatch(value):
        raise TaskError(f"{field.name} {value!r} is not a language code such as 'en' or 'zh-Hans'")


_SHORTEST_PHRASE = len("a b")


@attrs.frozen
class ImageToText(Task[TextSolution]):
    """Read the text in a picture.

    Every option is None where it is not known. Options that a service can't be told still serve the local
    check of its answer, and are named in the result's ``ignored_options``.

    Raises :class:`~captchahub.errors.TaskError` when built from options of the wrong type, or that
    contradict each other.
    """

    kind = "image-to-text"
    solution_type = TextSolution

    image: Image = attrs.field(validator=_image)
    length: int | None = attrs.field(default=None, kw_only=True, validator=_positive)
    """How many characters the answer has."""
    min_length: int | None = attrs.field(default=None, kw_only=True, validator=_positive)
    """The fewest characters the answer can have."""
    max_length: int | None = attrs.field(default=None, kw_only=True, validator=_positive)
    """The most characters the answer can have."""
    charset: str | None = attrs.field(default=None, kw_only=True, validator=_words)
    """Every character that can occur, such as ``string.digits``; spaces are always allowed between words."""
    case_sensitive: bool | None = attrs.field(default=None, kw_only=True, validator=_flag)
    """Whether upper and lower case make a difference."""
    phrase: bool | None = attrs.field(default=None, kw_only=True, validator=_flag)
    """Whether the picture shows several words (True) or exactly one (False)."""
    math: bool | None = attrs.field(default=None, kw_only=True, validator=_flag)
    """Whether the picture shows a sum, whose result is the answer."""
    language: str | None = attrs.field(default=None, kw_only=True, validator=_language)
    """The language of the text, as a code: ``en``, ``ru``, ``zh-Hans``."""
    hint: str | None = attrs.field(default=None, kw_only=True, validator=_words)
    """A remark for the person who reads the picture."""

    def __attrs_post_init__(self) -> None:
        contradiction = self._contradiction()
        if contradiction is not None:
            raise TaskError(contradiction)

    def _contradiction(self) -> str | None:
        shortest, longest = self.min_length, self.max_length
        if self.length is not None and (shortest is not None or longest is not None):
            return "give either length, or min_length and max_length"
        if shortest is not None and longest is not None and shortest > longest:
            return f"min_length {shortest} is more than max_length {longest}"
        room = self.length or longest
        if self.phrase and room is not None and room < _SHORTEST_PHRASE:
            return f"several words (phrase) need more than {room} characters"
        if self.math and self.phrase:
            return "a sum (math) is answered by one number, not by several words (phrase)"
        if self.math and self.charset is not None and not any(c.isdecimal() for c in self.charset):
            return "a sum (math) is answered by a number, but charset has no digit"
        return None

    def check(self, solution: Solution) -> str | None:
        """Why this text can't be right: its length, its characters, its words."""
        if not isinstance(solution, TextSolution):
            return _wrong_type(type(self), solution)
        return self._wrong(solution.text)

    def _wrong(self, text: str) -> str | None:
        if not text.strip():
            return "the answer is empty"
        if self.math and not re.fullmatch(r"[-+\u2212]?\d+", text):
            return f"{text!r} is not a number, and the picture shows a sum"
        if self.phrase is False and len(text.split()) > 1:
            return f"{text!r} has several words, and one was asked"
        return self._wrong_length(text) or self._wrong_characters(text)

    def complete(self, solution: Solution) -> Solution:
        """The text as a person would type it, and for a sum the result alone.

        Full-width characters become plain ones (NFKC), and format characters are left out, unless charset has
        them or only the text as it came can be right. A sum that is written out, as ``5+3=8``, is its result.
        """
        if not isinstance(solution, TextSolution):
            return solution
        text = self._typed(solution.text)
        return solution if text == solution.text else attrs.evolve(solution, text=text)

    def _typed(self, text: str) -> str:
        kept = self._allowed()
        typed = with_digits_of(plain(text, kept), kept)
        if self.math:
            typed = result_of_sum(typed)
        if not typed:
            return typed
        might_be_right = (one for one in (typed, without_marks(text, kept), text) if not self._wrong(one))
        return next(might_be_right, typed)

    def agrees(self, one: Solution, other: Solution) -> bool:
        """Whether two texts are the same, but for white space, and for case where it does not count."""
        if isinstance(one, TextSolution) and isinstance(other, TextSolution):
            return self._compared(one.text) == self._compared(other.text)
        return False

    def _compared(self, text: str) -> str:
        words = " ".join(self._typed(text).replace("\u2212", "-").split())
        return words if self.case_sensitive else words.casefold()

    def _wrong_length(self, text: str) -> str | None:
        if self.length is not None and len(text) != self.length:
            return f"{text!r} has {len(text)} characters, not {self.length}"
        if self.min_length is not None and len(text) < self.min_length:
            return f"{text!r} has {len(text)} characters, fewer than {self.min_length}"
        if self.max_length is not None and len(text) > self.max_length:
            return f"{text!r} has {len(text)} characters, more than {self.max_length}"
        return None

    def _wrong_characters(self, text: str) -> str | None:
        if self.charset is None:
            return None
        strange = sorted(set("".join(text.split())) - self._allowed())
        return f"{text!r} has {''.join(strange)!r}, which charset does not allow" if strange else None

    def _allowed(self) -> set[str]:
        """The characters that charset allows; none where there is no charset."""
        if self.charset is None:
            return set()
        allowed = set(self.charset)
        if not self.case_sensitive:
            allowed |= set(self.charset.lower()) | set(self.charset.upper())
        return allowed | set("-+\u2212") if self.math else allowed


@attrs.frozen
class Point:
    """A place in a picture, in pixels from its left (x) and its top (y)."""

    x: float
    y: float


@attrs.frozen
class Size:
    """The size of a picture, in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@attrs.frozen
class SlideSolution(Solution):
    """Drag from ``start`` to ``end``, in pixels of ``screen``: the screenshot that was sent.

    A provider leaves ``screen`` out; the task fills it in.
    """

    start: Point
    end: Point
    screen: Size | None = None

    def placed(self, frame: Frame) -> SlideSolution:
        """The same drag on the screenshot that this one's was made of."""
        start, end = (Point(*frame.place(point.x, point.y)) for point in (self.start, self.end))
        return SlideSolution(start, end)

    def scaled(self, width: int, height: int) -> SlideSolution:
        """The same drag on the same screen at another size, such as the device's own, in pixels.

        Raises ValueError where ``width`` or ``height`` is not positive, or ``screen`` is not known.
        """
        if self.screen is None:
            raise ValueError(
                "the size of the screenshot is not known; build the solution with screen=Size(...)"
            )
        if width <= 0 or height <= 0:
            raise ValueError(f"a screen can't be {width}x{height} pixels")
        across, down = width / self.screen.width, height / self.screen.height
        start, end = (Point(point.x * across, point.y * down) for point in (self.start, self.end))
        return SlideSolution(start, end, Size(width, height))


# Two people who mark the same place do not hit the same pixel.
_SAME_PLACE = 0.01


def _is_near(one: Point, other: Point, most: float) -> bool:
    return math.hypot(one.x - other.x, one.y - other.y) <= most


@attrs.frozen
class PhoneSlide(Task[SlideSolution]):
    """Find the drag that solves a puzzle on a phone: ``image`` is the screenshot of the whole screen.

    Raises :class:`~captchahub.errors.TaskError` when built from anything but an Image.
    """

    kind = "phone-slide"
    solution_type = SlideSolution

    image: Image = attrs.field(validator=_image)

    def check(self, solution: Solution) -> str | None:
        """Why this drag can't be right: a point outside the screenshot, or no way between the two."""
        if not isinstance(solution, SlideSolution):
            return _wrong_type(type(self), solution)
        for name, point in (("start", solution.start), ("end", solution.end)):
            if not self._contains(point):
                return (
                    f"the {name} ({point.x}, {point.y}) is outside the screenshot of "
                    f"{self.image.width}x{self.image.height} pixels"
                )
        if solution.start == solution.end:
            return f"the drag begins and ends at ({solution.start.x}, {solution.start.y})"
        return None

    def agrees(self, one: Solution, other: Solution) -> bool:
        """Whether two drags are the same, give or take a hundredth of the screenshot's longer side."""
        if not (isinstance(one, SlideSolution) and isinstance(other, SlideSolution)):
            return False
        most = max(self.image.width, self.image.height) * _SAME_PLACE
        return _is_near(one.start, other.start, most) and _is_near(one.end, other.end, most)

    def _contains(self, point: Point) -> bool:
        # Not a number, and infinity, are not less than anything here either.
        return 0 <= point.x < self.image.width and 0 <= point.y < self.image.height

    def complete(self, solution: Solution) -> Solution:
        """The solution with the size of the screenshot, so that it can be scaled."""
        if isinstance(solution, SlideSolution) and solution.screen is None:
            return attrs.evolve(solution, screen=Size(self.image.width, self.image.height))
        return solution
