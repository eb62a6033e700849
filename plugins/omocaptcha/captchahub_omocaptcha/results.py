"""Functions that read the result of a finished job.

The next poll would return the same result. So the provider raises JobFailed and not MalformedReply, after
which a job is polled again, for one that cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from captchahub.tasks import Point, SlideSolution, Solution, TextSolution
from captchahub.words import text_of

__all__ = ["READERS", "read_slide", "read_text"]

_NUMBER: Final = r"\s*(-?[0-9]{1,9}(?:\.[0-9]+)?)\s*"
_DRAG: Final = re.compile(r"\|".join([_NUMBER] * 4))


def read_text(result: object) -> TextSolution | None:
    """Return the text of an ``image-to-text`` job, or None if there is none."""
    text = text_of(result)
    return TextSolution(text) if text else None


def read_slide(result: object) -> SlideSolution | None:
    """Return the drag of a ``phone-slide`` job, ``"x1|y1|x2|y2"`` in pixels, or None if it is not one."""
    drag = _DRAG.fullmatch(result) if isinstance(result, str) else None
    if drag is None:
        return None
    x1, y1, x2, y2 = (float(number) for number in drag.groups())
    return SlideSolution(Point(x1, y1), Point(x2, y2))


READERS: Final[Mapping[str, Callable[[object], Solution | None]]] = {
    "image-to-text": read_text,
    "phone-slide": read_slide,
}
"""The function that reads a result, by task kind."""
