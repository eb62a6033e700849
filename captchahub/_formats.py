"""Reading a picture's format and size from its bytes, and whether all of it is there.

Pure, and no decoder: it answers "is this a whole picture, of what kind, how large?" for the five formats
that captcha services take. What follows the end of a picture is passed over, as decoders do. Sources: the
PNG, JFIF/JPEG (ITU T.81), GIF89a, RIFF/WebP (RFC 9649) and Windows BMP specifications.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

ImageFormat = Literal["png", "jpeg", "gif", "webp", "bmp"]


class Picture(NamedTuple):
    """What the bytes are: the format and the size in pixels."""

    format: ImageFormat
    width: int
    height: int


_Size = tuple[int, int]


class TruncatedError(ValueError):
    """The bytes begin like a picture, and its pixels or its end are missing."""


def recognise(data: bytes) -> Picture | None:
    """The picture in ``data``, or None where it is none of the five formats.

    Raises :class:`TruncatedError` where the beginning is known and the rest is missing.
    """
    for signature, offset, name, read in _READERS:
        if data[offset : offset + len(signature)] == signature:
            try:
                size = read(data)
            except (IndexError, TruncatedError):
                raise TruncatedError(name) from None
            return Picture(name, *size) if size else None
    return None


def _number(
    data: bytes, start: int, length: int, order: Literal["big", "little"], *, signed: bool = False
) -> int:
    part = data[start : start + length]
    if len(part) < length:
        raise TruncatedError
    return int.from_bytes(part, order, signed=signed)


def _png(data: bytes) -> _Size | None:
    width, height = _number(data, 16, 4, "big"), _number(data, 20, 4, "big")
    if data[12:16] != b"IHDR":
        return None
    position, has_pixels = 8, False
    while (kind := data[position + 4 : position + 8]) != b"IEND":
        has_pixels = has_pixels or kind == b"IDAT"
        position += 12 + _number(data, position, 4, "big")
    if not has_pixels or len(data) < position + 12:
        raise TruncatedError
    return width, height


# A marker that means something: no data byte (FF 00), no restart, no start, which all have no length. The
# frame markers carry the size; DHT, JPG and DAC lie between them and mean something else (table B.1).
_JPEG_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_END = 0xD9
_JPEG_SCAN = 0xDA


def _jpeg(data: bytes) -> _Size:
    size: _Size | None = None
    position, has_pixels = 2, False
    while (found := _JPEG_MARKER.search(data, position)) and (marker := found[1][0]) != _JPEG_END:
        position = found.end()
        if marker in _JPEG_FRAMES:
            size = _number(data, position + 5, 2, "big"), _number(data, position + 3, 2, "big")
        has_pixels = has_pixels or marker == _JPEG_SCAN
        position += _number(data, position, 2, "big")
    if found is None or size is None or not has_pixels:
        raise TruncatedError
    return size


def _gif(data: bytes) -> _Size:
    width, height = _number(data, 6, 2, "little"), _number(data, 8, 2, "little")
    position, has_pixels = 13 + _gif_palette(data[10]), False
    while (kind := data[position]) != 0x3B:
        if kind == 0x2C:
            position = _after_gif_blocks(data, position + 11 + _gif_palette(data[position + 9]))
            has_pixels = True
        else:
            # Some writers leave stray bytes between the blocks; decoders pass over them.
            position = _after_gif_blocks(data, position + 2) if kind == 0x21 else position + 1
    if not has_pixels:
        raise TruncatedError
    return width, height


def _gif_palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_gif_blocks(data: bytes, position: int) -> int:
    while length := data[position]:
        position += 1 + length
    return position + 1


def _webp(data: bytes) -> _Size | None:
    if not data.startswith(b"RIFF"):
        return None
    end = 8 + _number(data, 4, 4, "little")
    canvas: _Size | None = None
    position = 12
    while position < min(end, len(data)):
        kind, length = data[position : position + 4], _number(data, position + 4, 4, "little")
        position += 8
        if kind == b"VP8X":
            canvas = (
                1 + _number(data, position + 4, 3, "little"),
                1 + _number(data, position + 7, 3, "little"),
            )
        elif kind in _WEBP_PIXELS and position + length <= end <= len(data):
            return canvas or _WEBP_PIXELS[kind](data, position)
        position += length + length % 2
    raise TruncatedError


def _webp_lossy(data: bytes, position: int) -> _Size | None:
    size = (
        _number(data, position + 6, 2, "little") & 0x3FFF,
        _number(data, position + 8, 2, "little") & 0x3FFF,
    )
    return size if data[position + 3 : position + 6] == b"\x9d\x01\x2a" else None


def _webp_lossless(data: bytes, position: int) -> _Size | None:
    bits = _number(data, position + 1, 4, "little")
    return (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)) if data[position] == 0x2F else None


def _webp_animation(_data: bytes, _position: int) -> None:
    """A frame is smaller than the canvas, which comes before it in every animation."""


_WEBP_PIXELS: dict[bytes, Callable[[bytes, int], _Size | None]] = {
    b"VP8 ": _webp_lossy,
    b"VP8L": _webp_lossless,
    b"ANMF": _webp_animation,
}

# The lengths of the header in use, from OS/2's to Windows' fifth version: two letters are little to know a
# picture by.
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
_BMP_DEPTHS = frozenset({1, 2, 4, 8, 16, 24, 32})
_BMP_ROWS = frozenset({0, 3, 6})


def _bmp(data: bytes) -> _Size | None:
    pixels, header = _number(data, 10, 4, "little"), _number(data, 14, 4, "little")
    if header not in _BMP_HEADERS:
        return None
    if header == 12:
        width, height = _number(data, 18, 2, "little"), _number(data, 20, 2, "little")
        depth, compression = _number(data, 24, 2, "little"), 0
    else:
        # A negative height says that the rows begin at the top.
        width, height = _number(data, 18, 4, "little"), abs(_number(data, 22, 4, "little", signed=True))
        depth, compression = _number(data, 28, 2, "little"), _number(data, 30, 4, "little")
    if compression not in _BMP_ROWS:
        needed = max(1, _number(data, 34, 4, "little"))
    elif depth in _BMP_DEPTHS:
        needed = (width * depth + 31) // 32 * 4 * height
    else:
        return None
    if len(data) < max(pixels, 14 + header) + needed:
        raise TruncatedError
    return width, height


_READERS: tuple[tuple[bytes, int, ImageFormat, Callable[[bytes], _Size | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "png", _png),
    (b"\xff\xd8\xff", 0, "jpeg", _jpeg),
    (b"GIF87a", 0, "gif", _gif),
    (b"GIF89a", 0, "gif", _gif),
    (b"WEBP", 8, "webp", _webp),
    (b"BM", 0, "bmp", _bmp),
)
