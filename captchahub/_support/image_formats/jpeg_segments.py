"""The segments that a JPEG is made of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["END", "FRAMES", "RESTARTS", "SCAN", "TABLES", "segments"]

END: Final = 0xD9

SCAN: Final = 0xDA

TABLES: Final = 0xC4

RESTARTS: Final = 0xDD

# DHT, JPG and DAC lie between them and mean something else (table B.1).
FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

# A marker that means something: no data byte (FF 00), no restart and no start, which have no length, and none
# that the standard reserves.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """The marker of each segment, and where its content starts and ends, up to the end mark.

    What lies between them is passed over: the pixels behind a scan's head, fill bytes, stray bytes. The last
    one may end after the data do.
    """
    position = 2
    while (found := _MARKER.search(data, position)) is not None:
        marker, start = found[1][0], found.end() + 2
        if marker == END:
            yield marker, found.end(), found.end()
            return
        if start > len(data):
            return
        position = found.end() + int.from_bytes(data[start - 2 : start], "big")
        yield marker, start, position
