"""BMP, as Windows and OS/2 write it."""

from __future__ import annotations

from captchahub._support.image_formats.numbers import Size, TruncatedError, number

__all__ = ["size_of"]

# The lengths of the header in use, from OS/2's to Windows' fifth version: two letters are little to know a
# picture by.
_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})

_DEPTHS = frozenset({1, 2, 4, 8, 16, 24, 32})

_ROWS = frozenset({0, 3, 6})

# Run lengths of 8 and of 4 bits: how many pixels a byte has.
_RUNS = {(1, 8): 1, (2, 4): 2}


def size_of(data: bytes) -> Size | None:
    """The size in pixels, None where it is no BMP."""
    pixels, header = number(data, 10, 4, "little"), number(data, 14, 4, "little")
    if header not in _HEADERS:
        return None
    if header == 12:
        width, height = number(data, 18, 2, "little"), number(data, 20, 2, "little")
        depth, compression = number(data, 24, 2, "little"), 0
    else:
        # A negative height says that the rows begin at the top.
        width, height = number(data, 18, 4, "little"), abs(number(data, 22, 4, "little", signed=True))
        depth, compression = number(data, 28, 2, "little"), number(data, 30, 4, "little")
    start = max(pixels, 14 + header)
    if compression in _ROWS:
        if depth not in _DEPTHS:
            return None
        is_whole = len(data) >= start + _needed(width, height, depth)
    elif (compression, depth) in _RUNS:
        is_whole = _has_runs(data, start, width, height, _RUNS[compression, depth])
    else:
        is_whole = len(data) >= start + max(1, number(data, 34, 4, "little"))
    if not is_whole:
        raise TruncatedError
    return width, height


def _needed(width: int, height: int, depth: int) -> int:
    """How many bytes the rows take; the last one need not be filled up to a multiple of four."""
    row = width * depth
    return (row + 31) // 32 * 4 * (height - 1) + (row + 7) // 8 if height else 0


def _has_runs(data: bytes, position: int, width: int, height: int, pixels: int) -> bool:
    """Whether runs fill the picture, or end with the mark that leaves the rest as it is."""
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
            x, y = x + number(data, position, 1, "little"), y + number(data, position + 1, 1, "little")
            position += 2
        else:
            x += value
            length = (value + pixels - 1) // pixels
            if position + length > len(data):
                return False
            position += length + length % 2
    return True
