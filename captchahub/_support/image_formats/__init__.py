"""Reads a picture's format and size from its bytes, and checks that all of its pixels are there.

It answers "is this a complete picture, of which format and size?" for the five formats that captcha services
accept. A service may charge for a picture that was cut off, too. A picture without its end mark is complete
if no pixel is missing. What follows the end of a picture is ignored, as decoders do.

Each format has a module with a function ``size_of``. It returns None if the bytes only look like that format,
and raises EOFError if they end too early.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Literal, NamedTuple

from captchahub._support.image_formats import bmp, gif, jpeg, png, webp

ImageFormat = Literal["png", "jpeg", "gif", "webp", "bmp"]

_DAMAGE = (ArithmeticError, LookupError, ValueError, struct.error, zlib.error)
"""What reading headers, tables and pixels raises if they are cut off or damaged."""


class Picture(NamedTuple):
    """The format of a picture, and its size in pixels."""

    format: ImageFormat
    width: int
    height: int


class TruncatedError(ValueError):
    """The bytes begin like a picture, and pixels are missing."""


def recognise(data: bytes) -> Picture | None:
    """Return the picture in ``data``, or None if it is in none of the five formats.

    Raises :class:`TruncatedError` if the beginning is known and pixels are missing.
    """
    for signature, offset, name, size_of in _FORMATS:
        if data.startswith(signature, offset):
            try:
                size = size_of(data)
            except (EOFError, *_DAMAGE):
                raise TruncatedError(name) from None
            return Picture(name, *size) if size else None
    return None


_FORMATS: tuple[tuple[bytes, int, ImageFormat, Callable[[bytes], tuple[int, int] | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "png", png.size_of),
    (b"\xff\xd8\xff", 0, "jpeg", jpeg.size_of),
    (b"GIF87a", 0, "gif", gif.size_of),
    (b"GIF89a", 0, "gif", gif.size_of),
    (b"WEBP", 8, "webp", webp.size_of),
    (b"BM", 0, "bmp", bmp.size_of),
)
