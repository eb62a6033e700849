"""Draws pictures with known answers: distorted text, and phone screens with a puzzle.

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
"""Capital letters and digits that stay distinguishable when distorted."""


class DrawnPicture(ABC):
    """A picture and its right answer."""

    kind: ClassVar[str]
    image: Image

    @property
    @abstractmethod
    def solution(self) -> Solution:
        """The right answer."""

    @abstractmethod
    def accepts(self, solution: Solution) -> bool:
        """Return whether an answer is right."""

    @abstractmethod
    def task(self) -> Task[Solution]:
        """Return a task with this picture."""


@attrs.frozen
class DrawnText(DrawnPicture):
    """A picture of a text. Case matters only if ``case_sensitive`` is set; white space never matters."""

    kind = ImageToText.kind

    image: Image
    text: str
    case_sensitive: bool = False

    @property
    def solution(self) -> TextSolution:
        """The text as it was drawn."""
        return TextSolution(self.text)

    def accepts(self, solution: Solution) -> bool:
        """Return whether this is the text."""
        return isinstance(solution, TextSolution) and self._plain(solution.text) == self._plain(self.text)

    def task(self) -> ImageToText:
        """Return a task with this picture and no options."""
        return ImageToText(self.image)

    def _plain(self, text: str) -> str:
        words = " ".join(text.split())
        return words if self.case_sensitive else words.casefold()


@attrs.frozen
class DrawnSlide(DrawnPicture):
    """A phone's screen with a puzzle: dragging the handle moves the piece to its gap.

    ``handle`` and ``piece`` are their centres before the drag, ``gap`` is the right place for the piece's
    centre, and ``tolerance`` is the maximum error of the drag; all in pixels.
    """

    kind = PhoneSlide.kind

    image: Image
    handle: Point
    piece: Point
    gap: Point
    tolerance: float = 6.0
    grip: float = 30.0
    """The maximum distance of a drag's start from the centre of the handle or the piece, in pixels."""

    @property
    def distance(self) -> float:
        """The length of the right drag, in pixels."""
        return self.gap.x - self.piece.x

    @property
    def solution(self) -> SlideSolution:
        """The drag of the handle from its centre."""
        return SlideSolution(self.handle, Point(self.handle.x + self.distance, self.handle.y))

    def accepts(self, solution: Solution) -> bool:
        """Return whether this drag starts on the handle or the piece and moves it into the gap."""
        if not isinstance(solution, SlideSolution):
            return False
        if solution.screen is not None:
            solution = solution.scaled(self.image.width, self.image.height)
        moved = solution.end.x - solution.start.x
        return self._grips(solution.start) and abs(moved - self.distance) <= self.tolerance

    def task(self) -> PhoneSlide:
        """Return a task with this picture."""
        return PhoneSlide(self.image)

    def _grips(self, start: Point) -> bool:
        return any(
            math.hypot(start.x - spot.x, start.y - spot.y) <= self.grip for spot in (self.handle, self.piece)
        )


class TextOptions(TypedDict, total=False):
    """How :meth:`Painter.text` draws."""

    length: int
    """Characters in a word, if no text is given. 5 by default."""
    words: int
    """Words, if no text is given. 1 by default."""
    characters: str
    """The characters to choose from. CLEAR_CHARACTERS by default."""
    case_sensitive: bool
    """Whether an answer must have the same case. False by default."""


class SlideOptions(TypedDict, total=False):
    """How :meth:`Painter.slide` draws."""

    width: int
    """The screen's size, in pixels. 540 by default."""
    height: int
    """The screen's size, in pixels. 1140 by default."""
    tolerance: float
    """The maximum error of the drag, in pixels. 6 by default."""


class Painter:
    """Draws pictures. The same seed yields the same texts and puzzles in the same order."""

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
        """Draw ``text``, or ``words`` random words of ``length`` characters.

        The distortion of the characters is not seeded. Raises ImportError if the extra ``testing`` is not
        installed.
        """
        if text is None:
            text = " ".join(self._word(length, characters) for _ in range(words))
        if not text.strip():
            raise ValueError("there is nothing to draw: pass a text, or a length and words of 1 or more")
        with _explained_import_error():
            # Imported late, because the sandbox must work without the drawing packages.
            from captchahub.testing._drawing.text import draw_text  # noqa: PLC0415
        return DrawnText(Image.from_pil(draw_text(text, self._random)), text, case_sensitive)

    def slide(self, *, width: int = 540, height: int = 1140, tolerance: float = 6.0) -> DrawnSlide:
        """Draw a phone's screen of this size in pixels, with a puzzle on it.

        Raises ValueError for a size that is not a phone's, and ImportError if the extra ``testing`` is not
        installed.
        """
        with _explained_import_error():
            from captchahub.testing._drawing.screen import draw_screen  # noqa: PLC0415 - as above
        screen = draw_screen(width, height, self._random)
        image = Image.from_pil(screen.picture)
        return DrawnSlide(image, screen.handle, screen.piece, screen.gap, tolerance, screen.grip)

    def _word(self, length: int, characters: str) -> str:
        return "".join(self._random.choices(characters, k=length))


@contextmanager
def _explained_import_error() -> Generator[None]:
    # Before the import, which would run a script of the user's with that name again.
    refuse_shadows(("captcha", "PIL"))
    try:
        yield
    except ImportError as error:
        said = f"drawing pictures needs {how_to_get(error, 'testing')}"
        raise ImportError(said, name=error.name) from error
