"""Where a prepared picture lies in the one that it was made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["WHOLE", "Frame", "frame_of"]


def _finite(_frame: object, field: attrs.Attribute[Any], value: float) -> None:
    # Callers need not use a type checker.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{field.name} of a frame is a finite number, not {value!r:.40}")


def _positive(frame: object, field: attrs.Attribute[Any], value: float) -> None:
    _finite(frame, field, value)
    if value <= 0:
        raise ValueError(f"{field.name} of a frame is more than 0, not {value}")


@attrs.frozen
class Frame:
    """The part of a picture that another one was made of.

    ``left`` and ``top`` are where it begins, in pixels of the original; ``across`` and ``down`` are how many
    pixels of the original one pixel of the new picture stands for. A picture of which 10 pixels at the left
    were cut off, and which was halved then, has ``Frame(left=10, across=2, down=2)``. Raises ValueError for
    what is no such number.
    """

    left: float = attrs.field(default=0.0, validator=_finite)
    top: float = attrs.field(default=0.0, validator=_finite)
    across: float = attrs.field(default=1.0, validator=_positive)
    down: float = attrs.field(default=1.0, validator=_positive)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where a place in the new picture is in the original, in pixels."""
        return self.left + self.across * x, self.top + self.down * y

    def within(self, outer: Frame) -> Frame:
        """The same picture's frame in the original of ``outer``, whose picture is this one's original."""
        left, top = outer.place(self.left, self.top)
        return Frame(left, top, outer.across * self.across, outer.down * self.down)


WHOLE = Frame()
"""The frame of a picture in which nothing has moved."""


def frame_of(fields: Mapping[str, object]) -> Frame:
    """The frame of its written fields, as :func:`attrs.asdict` gives them. Raises ValueError for others."""
    try:
        return Frame(**fields)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # checked by it
    except TypeError as error:
        raise ValueError(f"this is no frame: {error}") from error
