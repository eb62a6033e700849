"""PNG with its animations: the W3C's PNG specification, third edition."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

# The values of a pixel, by colour type (section 11.2.1).
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

# Each pass of an interlaced picture: its first column and row, and the steps across and down (section 8).
_ADAM7 = (
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
)  # fmt: skip

_ONE_PASS = ((0, 0, 1, 1),)

# In bytes. A larger picture is not unpacked, because that would take a third of a second and more.
_MAX_UNPACKED = 100_000_000

# Bytes to unpack at a time, and of the result to have in memory.
_READ, _UNPACKED = 1 << 16, 1 << 20


class _Chunk(NamedTuple):
    kind: bytes
    body: bytes
    is_whole: bool
    """Whether the body has the length it should have."""


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return the size in pixels, or None if it is no PNG."""
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    if data[12:16] != b"IHDR" or colour not in _CHANNELS:
        return None
    chunks = list(_chunks(data))
    pixels = [chunk for chunk in chunks if chunk.kind == b"IDAT"]
    bits = depth * _CHANNELS[colour]
    needed = sum(
        _rows(len(range(x, width, across)), len(range(y, height, down)), bits)
        for x, y, across, down in (_ADAM7 if data[28] else _ONE_PASS)
    )
    if not pixels or (chunks[-1].kind != b"IEND" and _lacks_frames(chunks)):
        raise EOFError
    if needed > _MAX_UNPACKED:
        is_whole = all(chunk.is_whole for chunk in pixels)
    else:
        is_whole = _has_pixels(b"".join(chunk.body for chunk in pixels), needed)
    if not is_whole:
        raise EOFError
    return width, height


def _chunks(data: bytes) -> Iterator[_Chunk]:
    """Yield the chunks up to the end mark, or up to where the data end."""
    position = 8
    while len(kind := data[position + 4 : position + 8]) == 4:
        (length,) = struct.unpack_from(">I", data, position)
        body = data[position + 8 : position + 8 + length]
        yield _Chunk(kind, body, len(body) == length)
        if kind == b"IEND":
            return
        position += 12 + length


def _rows(width: int, height: int, bits: int) -> int:
    """Return the bytes of the rows, each of which begins with the number of its filter."""
    return height * (1 + (width * bits + 7) // 8) if width else 0


def _has_pixels(packed: bytes, needed: int) -> bool:
    """Return whether data unpack to all bytes, or end properly. Only a part of them is in memory.

    Raises zlib.error if they are damaged.
    """
    if not needed:
        return True
    if not packed or packed[0] & 15 != 8 or int.from_bytes(packed[:2], "big") % 31:
        return False
    # As a raw stream, because zlib would want the checksum at its end, which may be missing.
    stream, count = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for start in range(2, len(packed), _READ):
        part = packed[start : start + _READ]
        while part and count < needed and not stream.eof:
            count += len(stream.decompress(part, min(needed - count, _UNPACKED)))
            part = stream.unconsumed_tail
    if count < needed and not stream.eof:
        count += len(stream.flush())
    return stream.eof or count >= needed


def _lacks_frames(chunks: list[_Chunk]) -> bool:
    """Return whether an animation has fewer frames than it announces, or its last one is cut off."""
    announced = next(
        (struct.unpack_from(">I", chunk.body)[0] for chunk in chunks if chunk.kind == b"acTL"), 0
    )
    frames, is_new = 0, False
    for chunk in chunks:
        if chunk.kind == b"fcTL":
            is_new = True
        elif chunk.kind in {b"IDAT", b"fdAT"}:
            frames, is_new = frames + is_new, False
    last = chunks[-1]
    return frames < announced or (last.kind == b"fdAT" and not last.is_whole)
