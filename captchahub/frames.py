"""Where a prepared picture lies in the original picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["WHOLE", "Frame", "frame_of"]


def _finite(_frame: object, field: attrs.Attribute[Any], value: float) -> None:
    # Checked at run time because plugins may be written without a type checker.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(f"{field.name} of a frame must be a finite number, not {value!r:.40}")


def _positive(frame: object, field: attrs.Attribute[Any], value: float) -> None:
    _finite(frame, field, value)
    if value <= 0:
        raise ValueError(f"{field.name} of a frame must be more than 0, not {value}")


@attrs.frozen
class Frame:
    """The part of the original picture that a prepared picture shows.

    ``left`` and ``top`` are its top left corner, in pixels of the original. ``across`` and ``down`` are the
    pixels of the original for each pixel of the prepared picture, horizontally and vertically. A picture
    whose 10 leftmost columns were cut off and which was then scaled to half its size has ``Frame(left=10,
    across=2, down=2)``. Raises ValueError if a number is not finite, or a scale not positive.
    """

    left: float = attrs.field(default=0.0, validator=_finite)
    top: float = attrs.field(default=0.0, validator=_finite)
    across: float = attrs.field(default=1.0, validator=_positive)
    down: float = attrs.field(default=1.0, validator=_positive)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return the point of the original for a point of the prepared picture, both in pixels."""
        return self.left + self.across * x, self.top + self.down * y

    def within(self, outer: Frame) -> Frame:
        """Return the frame in the first original, for a picture that was prepared twice.

        ``outer`` is the frame of the first preparation, whose picture is the original of this one.
        """
        left, top = outer.place(self.left, self.top)
        return Frame(left, top, outer.across * self.across, outer.down * self.down)


WHOLE = Frame()
"""The frame of a picture that is not cropped or scaled."""


def frame_of(fields: Mapping[str, object]) -> Frame:
    """Return the frame with the fields that :func:`attrs.asdict` returned. Raises ValueError for others."""
    try:
        return Frame(**fields)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]  # Frame checks the types
    except TypeError as error:
        raise ValueError(f"not a frame: {error}") from error
