"""JPEG, by ITU T.81."""

from __future__ import annotations

from captchahub._support.image_formats.jpeg_scans import has_all_blocks
from captchahub._support.image_formats.jpeg_segments import END, FRAMES, SCAN, segments
from captchahub._support.image_formats.numbers import Size, TruncatedError, number

__all__ = ["size_of"]


def size_of(data: bytes) -> Size:
    """The size in pixels."""
    size: Size | None = None
    has_pixels = is_ended = False
    for marker, start, end in segments(data):
        if marker in FRAMES and size is None:
            size = number(data, start + 3, 2, "big"), number(data, start + 1, 2, "big")
        has_pixels = has_pixels or marker == SCAN
        # A marker that damaged pixels seem to have can pass over the end mark.
        is_ended = marker == END or (has_pixels and end > len(data) and data.endswith(b"\xff\xd9"))
    if size is None or not has_pixels or not (is_ended or has_all_blocks(data)):
        raise TruncatedError
    return size
