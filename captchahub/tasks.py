"""The types of task that can be solved, and the types of their solutions."""

from __future__ import annotations

import hashlib
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, Generic, TypeAlias, TypeGuard, TypeVar

import attrs
from attrs.validators import and_, optional

from captchahub._support.notebook import card
from captchahub._support.plain_text import plain, result_of_sum, with_digits_of, without_marks
from captchahub.errors import TaskError
from captchahub.frames import Frame
from captchahub.images import Image

__all__ = ["ImageToText", "PhoneSlide", "Point", "Size", "SlideSolution", "Solution", "Task", "TextSolution"]


class Solution:
    """The base class of the answers to tasks. Each task type has a solution type of its own."""

    __slots__ = ()

    def placed(self, frame: Frame) -> Solution:  # noqa: ARG002 - for solutions with coordinates
        """Map an answer for a prepared picture back to the original picture.

        ``frame`` is where the prepared picture lies in the original. A solution without coordinates is
        returned unchanged.
        """
        return self


S_co = TypeVar("S_co", bound=Solution, covariant=True)

OptionValue = str | int | bool

# Made once: json.dumps() makes an encoder in each call with arguments.
_encode_sorted = json.JSONEncoder(sort_keys=True).encode


@cache
def _option_names(task_type: type[Task[Solution]]) -> Sequence[str]:
    if not attrs.has(task_type):
        raise TypeError(f"{task_type.__name__} must be an attrs class: decorate it with @attrs.frozen")
    return [field.name for field in attrs.fields(task_type) if field.name != "image"]


class Task(ABC, Generic[S_co]):
    """One picture to solve, and what is known about its answer.

    A task type is a frozen attrs class whose fields are the ``image`` and the options; an option that was not
    given is None. ``kind`` is its name in routes and in the journal, ``solution_type`` the type of its
    answers. :meth:`check` says which answers cannot be right.
    """

    __slots__ = ()

    kind: ClassVar[str]
    solution_type: ClassVar[type[Solution]]

    image: Image

    @abstractmethod
    def check(self, solution: Solution) -> str | None:
        """Return why an answer cannot be right, or None if it may be right."""

    def is_answered_by(self, solution: Solution) -> TypeGuard[S_co]:
        """Whether an answer is of this task's ``solution_type``."""
        return isinstance(solution, self.solution_type)

    def complete(self, solution: Solution) -> Solution:
        """Return a solution in the form that the task expects. It is called before :meth:`check`.

        A task type fills in what only the task knows, and normalises what services write differently.
        """
        return solution

    def agrees(self, one: Solution, other: Solution) -> bool:
        """Whether two answers to this task count as the same answer when providers have to agree."""
        return one == other

    @property
    def options(self) -> Mapping[str, OptionValue]:
        """The options that were given, by name."""
        names = _option_names(type(self))
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def fingerprint(self) -> str:
        """A hash of the kind, the options and the picture. Equal tasks have the same one in every process."""
        facts = [self.kind, dict(self.options), self.image.sha256]
        return hashlib.sha256(_encode_sorted(facts).encode()).hexdigest()

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the picture, unless it is large, and the options."""
        image = self.image
        size = f"{image.format}, {image.width} x {image.height} pixels, {len(image.data)} bytes"
        facts = {"picture": size} | {name: str(value) for name, value in self.options.items()}
        return card(f"Task {self.kind}", facts, picture=(image.format, image.data))


@attrs.frozen
class TextSolution(Solution):
    """The text that a person would read in the picture."""

    text: str


def _wrong_type(task_type: type[Task[Solution]], solution: Solution) -> str:
    wanted, found = task_type.solution_type.__name__, type(solution).__name__
    return f"{task_type.kind} is answered by a {wanted}, not a {found}"


Field: TypeAlias = "attrs.Attribute[Any]"  # one validator serves fields of several types


def _positive(_task: object, field: Field, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TaskError(f"{field.name} must be a whole number of characters, not {value!r}")
    if value < 1:
        raise TaskError(f"{field.name} must be 1 or more, not {value}")


def _flag(_task: object, field: Field, value: object) -> None:
    if not isinstance(value, bool):
        raise TaskError(f"{field.name} must be True, False or None, not {value!r}")


def _words(_task: object, field: Field, value: object) -> None:
    if not isinstance(value, str):
        raise TaskError(f"{field.name} must be text, not {value!r}")
    if not value.strip():
        raise TaskError(f"{field.name} is empty; pass a text, or leave it out")


def _image(_task: object, _field: Field, value: object) -> None:
    if not isinstance(value, Image):
        found = type(value).__name__
        raise TaskError(
            f"image must be an Image, not {found}: use Image.open(path) or Image.from_bytes(data)"
        )


# As in BCP 47: a language, and subtags such as its script or region.
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def _language(_task: object, field: Field, value: str) -> None:
    if not _LANGUAGE.fullmatch(value):
        raise TaskError(f"{field.name} {value!r} is not a language code such as 'en' or 'zh-Hans'")


_SHORTEST_PHRASE = len("a b")


@attrs.frozen
class ImageToText(Task[TextSolution]):
    """Read the text in a picture.

    Leave an option None if it is not known. An option that a service does not accept is still used to check
    its answer, and is listed in the result's ``ignored_options``.

    Creating one raises :class:`~captchahub.errors.TaskError` if an option is of the wrong type, or if options
    contradict each other.
    """

    kind = "image-to-text"
    solution_type = TextSolution

    image: Image = attrs.field(validator=_image)
    length: int | None = attrs.field(default=None, kw_only=True, validator=optional(_positive))
    """The number of characters in the answer."""
    min_length: int | None = attrs.field(default=None, kw_only=True, validator=optional(_positive))
    """The smallest number of characters in the answer."""
    max_length: int | None = attrs.field(default=None, kw_only=True, validator=optional(_positive))
    """The largest number of characters in the answer."""
    charset: str | None = attrs.field(default=None, kw_only=True, validator=optional(_words))
    """All characters that can occur, such as ``string.digits``. Spaces between words are always allowed."""
    case_sensitive: bool | None = attrs.field(default=None, kw_only=True, validator=optional(_flag))
    """Whether the answer is case-sensitive."""
    phrase: bool | None = attrs.field(default=None, kw_only=True, validator=optional(_flag))
    """True if the picture shows several words, False if it shows exactly one."""
    math: bool | None = attrs.field(default=None, kw_only=True, validator=optional(_flag))
    """Whether the picture shows a sum whose result is the answer."""
    language: str | None = attrs.field(
        default=None, kw_only=True, validator=optional(and_(_words, _language))
    )
    """The language of the text, as a code such as ``en``, ``ru`` or ``zh-Hans``."""
    hint: str | None = attrs.field(default=None, kw_only=True, validator=optional(_words))
    """An instruction for the person who reads the picture."""

    def __attrs_post_init__(self) -> None:
        contradiction = self._contradiction()
        if contradiction is not None:
            raise TaskError(contradiction)

    def _contradiction(self) -> str | None:
        shortest, longest = self.min_length, self.max_length
        if self.length is not None and (shortest is not None or longest is not None):
            return "pass either length, or min_length and max_length"
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
        """Return why a text cannot be right (its length, characters or words), or None if it may be right."""
        if not isinstance(solution, TextSolution):
            return _wrong_type(type(self), solution)
        return self._wrong(solution.text)

    def _wrong(self, text: str) -> str | None:
        if not text.strip():
            return "the answer is empty"
        # U+2212 is the minus sign. Services write it or the hyphen.
        if self.math and not re.fullmatch(r"[-+\u2212]?\d+", text):
            return f"{text!r} is not a number, but the picture shows a sum"
        if self.phrase is False and len(text.split()) > 1:
            return f"{text!r} has several words, but the task expects one"
        return self._wrong_length(text) or self._wrong_characters(text)

    def complete(self, solution: Solution) -> Solution:
        """Return the text as a person would type it, and for a sum only the result.

        Full-width characters become plain ones (NFKC) and invisible format characters are removed, unless
        ``charset`` has them or only the text as received can be right. A sum that is written out, such as
        ``5+3=8``, becomes its result.
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
        # Folding can change the length, so of the three forms the first that passes the check is meant.
        might_be_right = (one for one in (typed, without_marks(text, kept), text) if not self._wrong(one))
        return next(might_be_right, typed)

    def agrees(self, one: Solution, other: Solution) -> bool:
        """Whether two texts are equal, ignoring white space, and case unless the task is case-sensitive."""
        if isinstance(one, TextSolution) and isinstance(other, TextSolution):
            return self._comparable(one.text) == self._comparable(other.text)
        return False

    def _comparable(self, text: str) -> str:
        # Services write a minus as a hyphen or as U+2212, the minus sign.
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
        # Without white space: a charset says nothing about the spaces between words.
        foreign = sorted(set("".join(text.split())) - self._allowed())
        return f"{text!r} has {''.join(foreign)!r}, which charset does not allow" if foreign else None

    def _allowed(self) -> set[str]:
        """Return the characters that ``charset`` allows, or an empty set if there is no charset."""
        if self.charset is None:
            return set()
        allowed = set(self.charset)
        if not self.case_sensitive:
            allowed |= set(self.charset.lower()) | set(self.charset.upper())
        # A result can be negative even if the charset has digits only.
        return allowed | set("-+\u2212") if self.math else allowed


@attrs.frozen
class Point:
    """A point in a picture, in pixels from its left (x) and top (y) edge."""

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
    """A drag from ``start`` to ``end``, in pixels of the task's screenshot, whose size is ``screen``.

    Providers leave ``screen`` out; the task fills it in.
    """

    start: Point
    end: Point
    screen: Size | None = None

    def placed(self, frame: Frame) -> SlideSolution:
        """Map a drag on a prepared screenshot back to the original one. See :meth:`Solution.placed`."""
        start, end = (Point(*frame.place(point.x, point.y)) for point in (self.start, self.end))
        return SlideSolution(start, end)

    def scaled(self, width: int, height: int) -> SlideSolution:
        """Return the same drag on a screen of another size in pixels, such as the device's own.

        Raises ValueError if ``width`` or ``height`` is not positive, or if ``screen`` is unknown.
        """
        if self.screen is None:
            raise ValueError("the size of the screenshot is unknown; pass screen=Size(...) to the solution")
        if width <= 0 or height <= 0:
            raise ValueError(f"a screen cannot be {width}x{height} pixels")
        across, down = width / self.screen.width, height / self.screen.height
        start, end = (Point(point.x * across, point.y * down) for point in (self.start, self.end))
        return SlideSolution(start, end, Size(width, height))


# As a share of the longer side. Two people who mark the same point do not hit the same pixel.
_TOLERANCE = 0.01


@attrs.frozen
class PhoneSlide(Task[SlideSolution]):
    """Find the drag that solves a slide puzzle on a phone. ``image`` is a screenshot of the whole screen.

    Creating one raises :class:`~captchahub.errors.TaskError` if ``image`` is not an Image.
    """

    kind = "phone-slide"
    solution_type = SlideSolution

    image: Image = attrs.field(validator=_image)

    def check(self, solution: Solution) -> str | None:
        """Return why a drag cannot be right: a point is outside the screenshot, or both are the same."""
        if not isinstance(solution, SlideSolution):
            return _wrong_type(type(self), solution)
        for name, point in (("start", solution.start), ("end", solution.end)):
            # NaN and infinity fail these comparisons too.
            if not (0 <= point.x < self.image.width and 0 <= point.y < self.image.height):
                return (
                    f"the {name} ({point.x}, {point.y}) is outside the screenshot of "
                    f"{self.image.width}x{self.image.height} pixels"
                )
        if solution.start == solution.end:
            return f"the drag starts and ends at ({solution.start.x}, {solution.start.y})"
        return None

    def agrees(self, one: Solution, other: Solution) -> bool:
        """Whether two drags are the same to within a hundredth of the screenshot's longer side."""
        if not (isinstance(one, SlideSolution) and isinstance(other, SlideSolution)):
            return False
        distance = max(self.image.width, self.image.height) * _TOLERANCE
        pairs = ((one.start, other.start), (one.end, other.end))
        return all(math.dist((a.x, a.y), (b.x, b.y)) <= distance for a, b in pairs)

    def complete(self, solution: Solution) -> Solution:
        """Fill in the size of the screenshot, so that the solution can be scaled."""
        if isinstance(solution, SlideSolution) and solution.screen is None:
            return attrs.evolve(solution, screen=Size(self.image.width, self.image.height))
        return solution
