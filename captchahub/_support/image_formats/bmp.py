"""BMP, as Windows and OS/2 write it: BITMAPFILEHEADER and its successors in the Windows API."""

from __future__ import annotations

import struct

# The lengths of the second header, from that of OS/2 to the fifth version of Windows. They are checked,
# because the signature has two letters only.
_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})

_DEPTHS = frozenset({1, 2, 4, 8, 16, 24, 32})

# Kinds of compression: none, and none with masks for the colours.
_ROWS = frozenset({0, 3, 6})

# Run lengths of 8 and of 4 bits: by compression and bits per pixel, the pixels in a byte.
_RUNS = {(1, 8): 1, (2, 4): 2}


def size_of(data: bytes) -> tuple[int, int] | None:
    """Return the size in pixels, or None if it is no BMP."""
    pixels, header = struct.unpack_from("<II", data, 10)
    if header not in _HEADERS:
        return None
    if header == 12:
        width, height, _planes, depth = struct.unpack_from("<HHHH", data, 18)
        compression = 0
    else:
        width, height, _planes, depth, compression = struct.unpack_from("<IiHHI", data, 18)
        height = abs(height)  # a negative one means that the rows begin at the top
    start = max(pixels, 14 + header)
    if compression in _ROWS:
        if depth not in _DEPTHS:
            return None
        is_whole = len(data) >= start + _needed(width, height, depth)
    elif (compression, depth) in _RUNS:
        is_whole = _has_runs(data, start, width, height, _RUNS[compression, depth])
    else:
        (length,) = struct.unpack_from("<I", data, 34)
        is_whole = len(data) >= start + max(1, length)
    if not is_whole:
        raise EOFError
    return width, height


def _needed(width: int, height: int, depth: int) -> int:
    """Return the bytes of the rows, which have multiples of four; the last one may be shorter."""
    row = width * depth
    return (row + 31) // 32 * 4 * (height - 1) + (row + 7) // 8 if height else 0


def _has_runs(data: bytes, position: int, width: int, height: int, pixels: int) -> bool:
    """Return whether runs fill the picture, or end with the mark that leaves the rest as it is."""
    x = y = 0
    while y * width + x < width * height:
        if position + 2 > len(data):
            return False
        count, value = data[position], data[position + 1]
        position += 2
        if count:
            x += count
        elif value == 0:
            x, y = 0, y + 1
        elif value == 1:
            return True
        elif value == 2:
            x, y = x + data[position], y + data[position + 1]
            position += 2
        else:
            x += value
            length = (value + pixels - 1) // pixels
            if position + length > len(data):
                return False
            position += length + length % 2
    return True
