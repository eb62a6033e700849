"""WebP: RFC 9649.

Decoders refuse a WebP that is shorter than its RIFF header says, and so does this module.
"""

from __future__ import annotations

import struct
from collections.abc import Callable


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return the size in pixels, or None if it is no WebP."""
    if not data.startswith(b"RIFF"):
        return None
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    canvas: tuple[int, int] | None = None
    position = 12
    while position < min(end, len(data)):
        kind, length = struct.unpack_from("<4sI", data, position)
        position += 8
        if kind == b"VP8X":
            # Flags, and twice 24 bits.
            _flags, across, across_high, down, down_high = struct.unpack_from("<IHBHB", data, position)
            canvas = 1 + (across_high << 16 | across), 1 + (down_high << 16 | down)
        elif kind in _PIXELS and position + length <= end <= len(data):
            return canvas or _PIXELS[kind](data, position)
        position += length + length % 2
    raise EOFError


def _lossy(data: bytes, position: int) -> tuple[int, int] | None:
    # The upper two bits of each say how to enlarge the picture (RFC 6386, section 9.1).
    start_code, width, height = struct.unpack_from("<3sHH", data, position + 3)
    return (width & 0x3FFF, height & 0x3FFF) if start_code == b"\x9d\x01\x2a" else None


def _lossless(data: bytes, position: int) -> tuple[int, int] | None:
    signature, bits = struct.unpack_from("<BI", data, position)
    return (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)) if signature == 0x2F else None


def _animation(_data: bytes, _position: int) -> None:
    """Return None: a frame can be smaller than the canvas, whose size every animation has."""


_PIXELS: dict[bytes, Callable[[bytes, int], tuple[int, int] | None]] = {
    b"VP8 ": _lossy,
    b"VP8L": _lossless,
    b"ANMF": _animation,
}
