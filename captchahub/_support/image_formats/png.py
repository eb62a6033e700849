"""PNG, by the specification of the W3C, with its animations."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import NamedTuple

from captchahub._support.image_formats.numbers import Size, TruncatedError, number

__all__ = ["size_of"]

# By colour type: how many values a pixel has.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

# Of each pass of an interlaced picture: the first column and row, and the steps across and down.
_ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip

# A picture with more is not unpacked: that would take a third of a second and more.
_MOST_UNPACKED = 100_000_000

_READ, _UNPACKED = 1 << 16, 1 << 20


class _Chunk(NamedTuple):
    kind: bytes
    body: bytes
    is_whole: bool
    """Whether the body has the length it should have."""


def size_of(data: bytes) -> Size | None:
    """The size in pixels, None where it is no PNG."""
    width, height = number(data, 16, 4, "big"), number(data, 20, 4, "big")
    depth, colour, interlaced = data[24], data[25], data[28]
    if data[12:16] != b"IHDR" or colour not in _CHANNELS:
        return None
    chunks = list(_chunks(data))
    pixels = [chunk for chunk in chunks if chunk.kind == b"IDAT"]
    bits = depth * _CHANNELS[colour]
    needed = _rows(width, height, bits) if not interlaced else _interlaced(width, height, bits)
    if not pixels or (chunks[-1].kind != b"IEND" and _lacks_frames(chunks)):
        raise TruncatedError
    if needed > _MOST_UNPACKED:
        is_whole = all(chunk.is_whole for chunk in pixels)
    else:
        is_whole = _has_pixels(b"".join(chunk.body for chunk in pixels), needed)
    if not is_whole:
        raise TruncatedError
    return width, height


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """The chunks up to the end mark, or to where the data end."""
    position = 8
    while len(kind := data[position + 4 : position + 8]) == 4:
        length = number(data, position, 4, "big")
        body = data[position + 8 : position + 8 + length]
        yield _Chunk(kind, body, len(body) == length)
        if kind == b"IEND":
            return
        position += 12 + length


def _rows(width: int, height: int, bits: int) -> int:
    """How many bytes the rows have; each begins with the number of its filter."""
    return height * (1 + (width * bits + 7) // 8) if width else 0


def _interlaced(width: int, height: int, bits: int) -> int:
    return sum(
        _rows(len(range(x, width, across)), len(range(y, height, down)), bits)
        for x, y, across, down in _ADAM7
    )


def _has_pixels(packed: bytes, needed: int) -> bool:
    """Whether the data unpack to so many bytes, or end properly; no more than a part is in memory."""
    if not needed:
        return True
    if not packed or packed[0] & 15 != 8 or int.from_bytes(packed[:2], "big") % 31:
        return False
    # Without the head of the stream the checksum at its end, which may be missing, is not asked for.
    stream, count = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        for start in range(2, len(packed), _READ):
            part = packed[start : start + _READ]
            while part and count < needed and not stream.eof:
                count += len(stream.decompress(part, min(needed - count, _UNPACKED)))
                part = stream.unconsumed_tail
        if count < needed and not stream.eof:
            count += len(stream.flush())
    except zlib.error:
        return False
    return stream.eof or count >= needed


def _lacks_frames(chunks: list[_Chunk]) -> bool:
    """Whether an animation has fewer frames than it says, or its last one is cut."""
    promised = next((number(chunk.body, 0, 4, "big") for chunk in chunks if chunk.kind == b"acTL"), 0)
    frames, is_new = 0, False
    for chunk in chunks:
        if chunk.kind == b"fcTL":
            is_new = True
        elif chunk.kind in {b"IDAT", b"fdAT"}:
            frames, is_new = frames + is_new, False
    last = chunks[-1]
    return frames < promised or (last.kind == b"fdAT" and not last.is_whole)
