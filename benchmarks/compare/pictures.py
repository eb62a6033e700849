"""The pictures that the clients have solved, and the answer to each."""

from __future__ import annotations

import functools
import hashlib
import math
import random
import struct
import zlib

# The bits of each pixel that are noise. The others are 0, so a picture is packed to less than half, as real
# ones are.
_NOISE = 0b111
_PACKED = 0.4


def picture(number: int, size: int) -> bytes:
    """Return a PNG of about ``size`` bytes. Each number gives other bytes, and the pixels are the same."""
    head, end = _picture(size)
    return head + _chunk(b"tEXt", b"Comment\0%d" % number) + end


def answer(data: bytes) -> str:
    """Return the answer to a picture, which is different for each."""
    return hashlib.sha256(data).hexdigest()[:10]


@functools.cache
def _picture(size: int) -> tuple[bytes, bytes]:
    side = max(8, math.isqrt(int(size / _PACKED)))
    noise = (
        random.Random(size).randbytes(side * side).translate(bytes(value & _NOISE for value in range(256)))
    )
    rows = b"".join(b"\0" + noise[start : start + side] for start in range(0, side * side, side))
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows))
    return head, _chunk(b"IEND", b"")


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
