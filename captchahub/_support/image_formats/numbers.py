"""Numbers in the bytes of a picture."""

from __future__ import annotations

from typing import Literal

__all__ = ["Size", "TruncatedError", "number"]

Size = tuple[int, int]
"""Width and height in pixels."""


class TruncatedError(ValueError):
    """The bytes begin like a picture, and pixels are missing."""


def number(
    data: bytes, start: int, length: int, order: Literal["big", "little"], *, signed: bool = False
) -> int:
    """The number of so many bytes. Raises :class:`TruncatedError` where they are not all there."""
    part = data[start : start + length]
    if len(part) < length:
        raise TruncatedError
    return int.from_bytes(part, order, signed=signed)
