"""JPEG: ITU-T T.81.

Usually the end mark says that a picture is complete. Only if it is missing are the pixels looked at: they are
packed in blocks of 8x8 by Huffman codes, of which only the lengths are read here. That takes a second for a
megabyte. It is not done for a progressive picture, because decoders want its end mark as well.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from typing import Final, NamedTuple

# The markers that matter here: table B.1 of T.81.
_END: Final = 0xD9

_SCAN: Final = 0xDA

_TABLES: Final = 0xC4

_RESTARTS: Final = 0xDD

# DHT, JPG and DAC lie between them and mean something else.
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_SEQUENTIAL = frozenset({0xC0, 0xC1})

# A marker of a segment: no data byte (FF 00), no restart and no start of image, which have no length, and
# none that T.81 reserves.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")

_SCAN_END = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")

_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")

# The values of a block of 8x8.
_BLOCK = 64

# In bytes: about a second.
_MAX_SCAN = 1_000_000

_Codes = list[int]
"""For each 16 bits: how many of them a code and the number after it take, plus 256 for each value it sets."""

_Unit = Sequence[tuple[_Codes, _Codes]]
"""The codes of each block of a unit: those of its first value, and those of the others."""


def size_of(data: bytes) -> tuple[int, int]:
    """Return the size in pixels."""
    size: tuple[int, int] | None = None
    has_scan = is_ended = False
    for marker, start, end in _segments(data):
        if marker in _FRAMES and size is None:
            height, width = struct.unpack_from(">HH", data, start + 1)
            size = width, height
        has_scan = has_scan or marker == _SCAN
        # Damaged pixels can look like the marker of a segment that is longer than the rest of the data.
        is_ended = marker == _END or (has_scan and end > len(data) and data.endswith(b"\xff\xd9"))
    if size is None or not has_scan or not (is_ended or _has_all_blocks(data)):
        raise EOFError
    return size


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the marker of each segment, and where its content starts and ends, up to the end mark.

    What lies between segments is skipped: the pixels after a scan's header, fill bytes, stray bytes. The last
    one may end after the data.
    """
    position = 2
    while (found := _MARKER.search(data, position)) is not None:
        marker, start = found[1][0], found.end() + 2
        if marker == _END:
            yield marker, found.end(), found.end()
            return
        if start > len(data):
            return
        position = found.end() + int.from_bytes(data[start - 2 : start], "big")
        yield marker, start, position


class _Component(NamedTuple):
    across: int
    """How many blocks a unit has side by side, relative to the other components."""
    down: int


class _Frame(NamedTuple):
    width: int
    height: int
    components: dict[int, _Component]

    def units(self, scanned: Sequence[_Component]) -> int:
        """Return how many units a scan of these components has; a unit of a single one is a block (A.2)."""
        across = max(component.across for component in self.components.values())
        down = max(component.down for component in self.components.values())
        if len(scanned) > 1:
            return ceil(self.width / (8 * across)) * ceil(self.height / (8 * down))
        [one] = scanned
        width, height = ceil(self.width * one.across / across), ceil(self.height * one.down / down)
        return ceil(width / 8) * ceil(height / 8)


def _has_all_blocks(data: bytes) -> bool:
    """Return whether every component of the picture has been scanned to its end.

    Raises LookupError, ValueError or ZeroDivisionError if tables or headers are damaged.
    """
    tables: dict[int, _Codes] = {}
    frame, restart, missing = _Frame(0, 0, {}), 0, set[int]()
    for marker, start, end in _segments(data):
        content = data[start:end]
        if marker == _TABLES:
            tables.update(_tables(content))
        elif marker == _RESTARTS:
            restart = int.from_bytes(content[:2], "big")
        elif marker in _FRAMES:
            if marker not in _SEQUENTIAL:
                return False
            height, width, count = struct.unpack_from(">HHB", content, 1)
            parts = struct.iter_unpack("BBB", content[6 : 6 + 3 * count])
            components = {name: _Component(rate >> 4, rate & 15) for name, rate, _table in parts}
            frame, missing = _Frame(width, height, components), {*components}
        elif marker == _SCAN:
            tables_of = dict(struct.iter_unpack("BB", content[1 : 1 + 2 * content[0]]))
            scanned = [frame.components[name] for name in tables_of]
            unit = _unit(scanned, list(tables_of.values()), tables)
            found = _SCAN_END.search(data, end)
            packed = data[end : found.start() if found else len(data)]
            is_complete = _is_complete(packed, unit, frame.units(scanned), restart)
            missing -= {*tables_of}
            if not is_complete or not missing:
                return is_complete
    return False


def _unit(scanned: Sequence[_Component], selectors: Sequence[int], tables: dict[int, _Codes]) -> _Unit:
    pairs = [(tables[selector >> 4], tables[0x10 | selector & 15]) for selector in selectors]
    if len(scanned) == 1:
        return pairs
    return [
        pair
        for component, pair in zip(scanned, pairs, strict=True)
        for _ in range(component.across * component.down)
    ]


def _tables(content: bytes) -> Iterable[tuple[int, _Codes]]:
    position = 0
    while position < len(content):
        name, counts = content[position], content[position + 1 : position + 17]
        position += 17
        codes: _Codes = []
        for length, count in enumerate(counts, start=1):
            for symbol in content[position : position + count]:
                codes += [_entry(name, symbol, length)] * (1 << 16 - length)
            position += count
        yield name, [*codes[: 1 << 16], *[0] * ((1 << 16) - len(codes))]


def _entry(name: int, symbol: int, length: int) -> int:
    """Return how many values of the block a code sets, and how many bits it takes with its number (F.1.2)."""
    zeros, bits = symbol >> 4, symbol & 15
    if name < 0x10:
        return length + symbol
    values = zeros + 1 if bits or zeros == 15 else _BLOCK
    return values << 8 | length + bits


def _is_complete(packed: bytes, unit: _Unit, units: int, restart: int) -> bool:
    """Return whether packed pixels have all units, ``restart`` of them up to each restart marker."""
    if len(packed) > _MAX_SCAN:
        return False
    # A restart marker in a picture that announces none is a stray one, and is skipped.
    for part in _RESTART.split(packed) if restart else [_RESTART.sub(b"", packed)]:
        due = min(restart or units, units)
        # A data byte FF is followed by 00, which is no part of the data (B.1.1.5).
        if not _has_units(part.replace(b"\xff\x00", b"\xff"), unit, due):
            return False
        units -= due
    return not units


def _has_units(packed: bytes, unit: _Unit, units: int) -> bool:
    position, end, padded = 0, len(packed) * 8, packed + b"\0\0\0"
    for _ in range(units):
        for first, others in unit:
            codes, values = first, 0
            while values < _BLOCK:
                # The 16 bits at the position: of three bytes, as it can lie inside the first.
                bits = int.from_bytes(padded[position >> 3 : (position >> 3) + 3], "big")
                entry = codes[bits >> 8 - (position & 7) & 0xFFFF]
                position += entry & 0xFF
                if not entry or position > end:
                    return False
                values += entry >> 8 if codes is others else 1
                codes = others
    return True
