"""Reading a picture's format and size from its bytes, and whether all of its pixels are there.

Pure: it answers "is this a whole picture, of what kind, how large?" for the five formats that captcha
services take. A picture without its end mark is whole where no pixel is missing. What follows the end of a
picture is passed over, as decoders do. Each format has a module of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from captchahub._support.image_formats import bmp, gif, jpeg, png, webp
from captchahub._support.image_formats.numbers import Size, TruncatedError

__all__ = ["ImageFormat", "Picture", "TruncatedError", "recognise"]

ImageFormat = Literal["png", "jpeg", "gif", "webp", "bmp"]


class Picture(NamedTuple):
    """What the bytes are: the format and the size in pixels."""

    format: ImageFormat
    width: int
    height: int


def recognise(data: bytes) -> Picture | None:
    """The picture in ``data``, or None where it is none of the five formats.

    Raises :class:`TruncatedError` where the beginning is known and pixels are missing.
    """
    for signature, offset, name, read in _READERS:
        if data[offset : offset + len(signature)] == signature:
            try:
                size = read(data)
            except (IndexError, TruncatedError):
                raise TruncatedError(name) from None
            return Picture(name, *size) if size else None
    return None


_READERS: tuple[tuple[bytes, int, ImageFormat, Callable[[bytes], Size | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "png", png.size_of),
    (b"\xff\xd8\xff", 0, "jpeg", jpeg.size_of),
    (b"GIF87a", 0, "gif", gif.size_of),
    (b"GIF89a", 0, "gif", gif.size_of),
    (b"WEBP", 8, "webp", webp.size_of),
    (b"BM", 0, "bmp", bmp.size_of),
)
