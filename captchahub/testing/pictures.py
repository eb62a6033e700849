"""Pictures with known answers, drawn on the spot: distorted text, and phone screens with a puzzle.

Drawing needs the packages ``captcha`` and ``pillow``: ``pip install 'captchahub[testing]'``.
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar, TypedDict

import attrs

from captchahub._support.shadowing import how_to_get, refuse_shadows
from captchahub.images import Image
from captchahub.tasks import ImageToText, PhoneSlide, Point, SlideSolution, Solution, Task, TextSolution

__all__ = ["CLEAR_CHARACTERS", "DrawnPicture", "DrawnSlide", "DrawnText", "Painter"]

CLEAR_CHARACTERS = "ACEFHJKLMNPRTUWXY3479"
"""Capital letters and digits that are not taken for one another, even when bent."""


class DrawnPicture(ABC):
    """A picture and the truth about it."""

    kind: ClassVar[str]
    image: Image

    @property
    @abstractmethod
    def solution(self) -> Solution:
        """What a perfect solver answers."""

    @abstractmethod
    def accepts(self, solution: Solution) -> bool:
        """Whether an answer is right."""

    @abstractmethod
    def task(self) -> Task[Solution]:
        """The task that asks for it."""


@attrs.frozen
class DrawnText(DrawnPicture):
    """A picture of a text; capitals count only where ``case_sensitive`` says so, white space never does."""

    kind = ImageToText.kind

    image: Image
    text: str
    case_sensitive: bool = False

    @property
    def solution(self) -> TextSolution:
        """The text, as it was drawn."""
        return TextSolution(self.text)

    def accepts(self, solution: Solution) -> bool:
        """Whether this is the text."""
        return isinstance(solution, TextSolution) and self._plain(solution.text) == self._plain(self.text)

    def task(self) -> ImageToText:
        """The task without any option: the picture says it all."""
        return ImageToText(self.image)

    def _plain(self, text: str) -> str:
        words = " ".join(text.split())
        return words if self.case_sensitive else words.casefold()


@attrs.frozen
class DrawnSlide(DrawnPicture):
    """A phone's screen with a puzzle: the handle below the picture drags the piece to its gap.

    ``handle`` and ``piece`` are their centres before the drag, ``gap`` is where the piece's centre must go,
    ``tolerance`` how far off it may end; all in pixels.
    """

    kind = PhoneSlide.kind

    image: Image
    handle: Point
    piece: Point
    gap: Point
    tolerance: float = 6.0
    grip: float = 30.0
    """How far from the centre of the handle or the piece a drag may begin, in pixels."""

    @property
    def distance(self) -> float:
        """How far to drag to the right, in pixels."""
        return self.gap.x - self.piece.x

    @property
    def solution(self) -> SlideSolution:
        """The drag of the handle, from its centre."""
        return SlideSolution(self.handle, Point(self.handle.x + self.distance, self.handle.y))

    def accepts(self, solution: Solution) -> bool:
        """Whether this drag takes the handle, or the piece itself, by the right way."""
        if not isinstance(solution, SlideSolution):
            return False
        if solution.screen is not None:
            solution = solution.scaled(self.image.width, self.image.height)
        way = solution.end.x - solution.start.x
        return self._grips(solution.start) and abs(way - self.distance) <= self.tolerance

    def task(self) -> PhoneSlide:
        """The task that asks for the drag."""
        return PhoneSlide(self.image)

    def _grips(self, start: Point) -> bool:
        return any(
            math.hypot(start.x - spot.x, start.y - spot.y) <= self.grip for spot in (self.handle, self.piece)
        )


class TextOptions(TypedDict, total=False):
    """How :meth:`Painter.text` draws."""

    length: int
    """Characters a word, where no text is given; 5 by default."""
    words: int
    """Words, where no text is given; 1 by default."""
    characters: str
    """What the characters are chosen from; CLEAR_CHARACTERS by default."""
    case_sensitive: bool
    """Whether an answer must have the same capitals; False by default."""


class SlideOptions(TypedDict, total=False):
    """How :meth:`Painter.slide` draws."""

    width: int
    """Of the screen, in pixels; 540 by default."""
    height: int
    """Of the screen, in pixels; 1140 by default."""
    tolerance: float
    """How far off the piece may end, in pixels; 6 by default."""


class Painter:
    """Draws pictures: equal seeds give the same texts and the same puzzles in the same order."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def text(
        self,
        text: str | None = None,
        *,
        length: int = 5,
        words: int = 1,
        characters: str = CLEAR_CHARACTERS,
        case_sensitive: bool = False,
    ) -> DrawnText:
        """A picture of ``text``, or of so many ``words`` of ``length`` characters each.

        How the characters are bent differs from run to run. Raises ImportError without the extra.
        """
        if text is None:
            text = " ".join(self._word(length, characters) for _ in range(words))
        if not text.strip():
            raise ValueError("there is nothing to draw: give a text, or a length and words of 1 or more")
        with _explained():
            # Only here: the sandbox must work without the drawing packages.
            from captchahub.testing._drawing.text import draw_text  # noqa: PLC0415
        return DrawnText(Image.from_pil(draw_text(text, self._random)), text, case_sensitive)

    def slide(self, *, width: int = 540, height: int = 1140, tolerance: float = 6.0) -> DrawnSlide:
        """A phone's screen of this size in pixels, with a puzzle on it.

        Raises ValueError for a size that is not a phone's, ImportError without the extra.
        """
        with _explained():
            from captchahub.testing._drawing.screen import draw_screen  # noqa: PLC0415 - as above
        screen = draw_screen(width, height, self._random)
        image = Image.from_pil(screen.picture)
        return DrawnSlide(image, screen.handle, screen.piece, screen.gap, tolerance, screen.grip)

    def _word(self, length: int, characters: str) -> str:
        return "".join(self._random.choices(characters, k=length))


@contextmanager
def _explained() -> Generator[None]:
    # First, for the import would run a script of that name once more.
    refuse_shadows(("captcha", "PIL"))
    try:
        yield
    except ImportError as error:
        said = f"drawing pictures needs {how_to_get(error, 'testing')}"
        raise ImportError(said, name=error.name) from error
