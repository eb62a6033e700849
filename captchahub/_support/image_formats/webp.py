"""WebP, by RFC 9649.

No decoder takes a WebP that is shorter than its RIFF header says, so neither does this module.
"""

from __future__ import annotations

from collections.abc import Callable

from captchahub._support.image_formats.numbers import Size, TruncatedError, number

__all__ = ["size_of"]


def size_of(data: bytes) -> Size | None:
    """The size in pixels, None where it is no WebP."""
    if not data.startswith(b"RIFF"):
        return None
    end = 8 + number(data, 4, 4, "little")
    canvas: Size | None = None
    position = 12
    while position < min(end, len(data)):
        kind, length = data[position : position + 4], number(data, position + 4, 4, "little")
        position += 8
        if kind == b"VP8X":
            canvas = (
                1 + number(data, position + 4, 3, "little"),
                1 + number(data, position + 7, 3, "little"),
            )
        elif kind in _PIXELS and position + length <= end <= len(data):
            return canvas or _PIXELS[kind](data, position)
        position += length + length % 2
    raise TruncatedError


def _lossy(data: bytes, position: int) -> Size | None:
    size = (
        number(data, position + 6, 2, "little") & 0x3FFF,
        number(data, position + 8, 2, "little") & 0x3FFF,
    )
    return size if data[position + 3 : position + 6] == b"\x9d\x01\x2a" else None


def _lossless(data: bytes, position: int) -> Size | None:
    bits = number(data, position + 1, 4, "little")
    return (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)) if data[position] == 0x2F else None


def _animation(_data: bytes, _position: int) -> None:
    """A frame is smaller than the canvas, which comes before it in every animation."""


_PIXELS: dict[bytes, Callable[[bytes, int], Size | None]] = {
    b"VP8 ": _lossy,
    b"VP8L": _lossless,
    b"ANMF": _animation,
}
