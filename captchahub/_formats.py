"""Reading a picture's format and size from its first bytes, and whether its end is there.

Pure, and no decoder: it answers "is this a whole picture, of what kind, how large?" for the five formats
that captcha services take. Sources: the PNG, JFIF/JPEG (ITU T.81), GIF89a, RIFF/WebP and Windows BMP
specifications.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

ImageFormat = Literal["png", "jpeg", "gif", "webp", "bmp"]


class Picture(NamedTuple):
    """What the bytes are: the format and the size in pixels."""

    format: ImageFormat
    width: int
    height: int


class TruncatedError(ValueError):
    """The bytes begin like a picture and end too early."""


def recognise(data: bytes) -> Picture | None:
    """The picture in ``data``, or None where it is none of the five formats.

    Raises :class:`TruncatedError` where the beginning is known and the rest is missing.
    """
    for signature, offset, name, read in _READERS:
        if data[offset : offset + len(signature)] == signature:
            try:
                width, height = read(data)
            except (IndexError, TruncatedError):
                raise TruncatedError(name) from None
            return Picture(name, width, height)
    return None


def _number(
    data: bytes, start: int, length: int, order: Literal["big", "little"], *, signed: bool = False
) -> int:
    part = data[start : start + length]
    if len(part) < length:
        raise TruncatedError
    return int.from_bytes(part, order, signed=signed)


def _png(data: bytes) -> tuple[int, int]:
    width, height = _number(data, 16, 4, "big"), _number(data, 20, 4, "big")
    position = 8
    while data[position + 4 : position + 8] != b"IEND":
        position += 12 + _number(data, position, 4, "big")
    if len(data) < position + 12:
        raise TruncatedError
    return width, height


# Start-of-frame markers; C4, C8 and CC lie between them and mean something else (ITU T.81, table B.1).
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_SCAN = 0xDA


def _jpeg(data: bytes) -> tuple[int, int]:
    size: tuple[int, int] | None = None
    position = 2
    while True:
        while data[position] != 0xFF:
            position += 1
        while data[position] == 0xFF:
            position += 1
        marker = data[position]
        if marker in _JPEG_FRAMES:
            size = _number(data, position + 6, 2, "big"), _number(data, position + 4, 2, "big")
        if marker == _JPEG_SCAN:
            break
        position += 1 if marker in _JPEG_BARE else 1 + _number(data, position + 1, 2, "big")
    if size is None or b"\xff\xd9" not in data[position:]:
        raise TruncatedError
    return size


def _gif(data: bytes) -> tuple[int, int]:
    width, height = _number(data, 6, 2, "little"), _number(data, 8, 2, "little")
    position = 13 + _gif_palette(data[10])
    while data[position] != 0x3B:
        if data[position] == 0x2C:
            position += 11 + _gif_palette(data[position + 9])
        else:
            position += 2
        while data[position]:
            position += 1 + data[position]
        position += 1
    return width, height


def _gif_palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(data: bytes) -> tuple[int, int]:
    if len(data) < 8 + _number(data, 4, 4, "little"):
        raise TruncatedError
    chunk = data[12:16]
    if chunk == b"VP8X":
        return 1 + _number(data, 24, 3, "little"), 1 + _number(data, 27, 3, "little")
    if chunk == b"VP8L":
        bits = _number(data, 21, 4, "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return _number(data, 26, 2, "little") & 0x3FFF, _number(data, 28, 2, "little") & 0x3FFF


def _bmp(data: bytes) -> tuple[int, int]:
    pixels = _number(data, 10, 4, "little")
    if _number(data, 14, 4, "little") == 12:
        width, height = _number(data, 18, 2, "little"), _number(data, 20, 2, "little")
        depth, compression = _number(data, 24, 2, "little"), 0
    else:
        width, height = _number(data, 18, 4, "little"), abs(_number(data, 22, 4, "little", signed=True))
        depth, compression = _number(data, 28, 2, "little"), _number(data, 30, 4, "little")
    # Only uncompressed rows have a length that follows from the header; compressed ones just have to begin.
    needed = (width * depth + 31) // 32 * 4 * height if compression in (0, 3) else 1
    if len(data) < pixels + needed:
        raise TruncatedError
    return width, height


_READERS: tuple[tuple[bytes, int, ImageFormat, Callable[[bytes], tuple[int, int]]], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, "png", _png),
    (b"\xff\xd8\xff", 0, "jpeg", _jpeg),
    (b"GIF87a", 0, "gif", _gif),
    (b"GIF89a", 0, "gif", _gif),
    (b"WEBP", 8, "webp", _webp),
    (b"BM", 0, "bmp", _bmp),
)
