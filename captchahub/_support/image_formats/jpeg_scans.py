"""Whether all blocks of a JPEG are there, where its end mark is not.

The pixels are packed in blocks of 8x8 by Huffman codes, of which only the lengths are read here. That is done
for a picture whose end mark is missing and for no other, since a megabyte takes a second. A progressive
picture is not looked into, for decoders want its end mark as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

from captchahub._support.image_formats.jpeg_segments import FRAMES, RESTARTS, SCAN, TABLES, segments

__all__ = ["has_all_blocks"]

_LONGEST_SCAN = 1_000_000

_SEQUENTIAL = frozenset({0xC0, 0xC1})

_SCAN_END = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")

_RESTART = re.compile(rb"\xff+[\xd0-\xd7]")

_BLOCK = 64

_Codes = list[int]
"""For each 16 bits: how many of them the code and the number after it take, plus 256 for each value set."""

_Unit = Sequence[tuple[_Codes, _Codes]]
"""The codes of each block of a unit: those of its first value, and those of the others."""


class _Component(NamedTuple):
    name: int
    across: int
    """How many blocks it has beside each other in a unit, as against the other components."""
    down: int


class _Frame(NamedTuple):
    width: int
    height: int
    components: dict[int, _Component]

    def units(self, scanned: Sequence[_Component]) -> int:
        """How many units a scan of these components has; where it is but one, a unit is a block."""
        across = max(component.across for component in self.components.values())
        down = max(component.down for component in self.components.values())
        if len(scanned) > 1:
            return ceil(self.width / (8 * across)) * ceil(self.height / (8 * down))
        [one] = scanned
        width, height = ceil(self.width * one.across / across), ceil(self.height * one.down / down)
        return ceil(width / 8) * ceil(height / 8)


def has_all_blocks(data: bytes) -> bool:
    """Whether every component of the picture has been scanned to its end."""
    try:
        return _has_all_blocks(data)
    except (IndexError, KeyError, ValueError, ZeroDivisionError):  # damaged tables and heads
        return False


def _has_all_blocks(data: bytes) -> bool:
    tables: dict[int, _Codes] = {}
    frame, restart, missing = _Frame(0, 0, {}), 0, set[int]()
    for marker, start, end in segments(data):
        content = data[start:end]
        if marker == TABLES:
            tables.update(_tables(content))
        elif marker == RESTARTS:
            restart = int.from_bytes(content[:2], "big")
        elif marker in FRAMES:
            if marker not in _SEQUENTIAL:
                return False
            frame = _frame(content)
            missing = {*frame.components}
        elif marker == SCAN:
            named = {content[at]: content[at + 1] for at in range(1, 1 + 2 * content[0], 2)}
            scanned = [frame.components[name] for name in named]
            unit = _unit(scanned, list(named.values()), tables)
            is_complete = _is_complete(_packed(data, end), unit, frame.units(scanned), restart)
            missing = missing - {*named} if is_complete else {-1}
            if not is_complete or not missing:
                return is_complete
    return False


def _frame(content: bytes) -> _Frame:
    components = [
        _Component(content[at], content[at + 1] >> 4, content[at + 1] & 15)
        for at in range(6, 6 + 3 * content[5], 3)
    ]
    height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
    return _Frame(width, height, {component.name: component for component in components})


def _unit(scanned: Sequence[_Component], chosen: Sequence[int], tables: dict[int, _Codes]) -> _Unit:
    pairs = [(tables[both >> 4], tables[0x10 | both & 15]) for both in chosen]
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
    """What a code says: how many values of the block it sets, and how many bits it takes with its number."""
    zeros, bits = symbol >> 4, symbol & 15
    if name < 0x10:
        return length + symbol
    values = zeros + 1 if bits or zeros == 15 else _BLOCK
    return values << 8 | length + bits


def _packed(data: bytes, start: int) -> bytes:
    """The packed pixels that start there, with the restart markers between them."""
    found = _SCAN_END.search(data, start)
    return data[start : found.start() if found else len(data)]


def _is_complete(packed: bytes, unit: _Unit, units: int, restart: int) -> bool:
    """Whether packed pixels have so many units, ``restart`` of them up to each restart marker."""
    if len(packed) > _LONGEST_SCAN:
        return False
    parts = [part.replace(b"\xff\x00", b"\xff") for part in _RESTART.split(packed)]
    if not restart:
        return _has_units(b"".join(parts), unit, units)
    for part in parts:
        if not _has_units(part, unit, min(restart, units)):
            return False
        units -= min(restart, units)
    return not units


def _has_units(packed: bytes, unit: _Unit, units: int) -> bool:
    position, end, padded = 0, len(packed) * 8, packed + b"\0\0\0"
    for _ in range(units):
        for first, others in unit:
            codes, values = first, 0
            while values < _BLOCK:
                shown = int.from_bytes(padded[position >> 3 : (position >> 3) + 3], "big")
                entry = codes[shown >> 8 - (position & 7) & 0xFFFF]
                position += entry & 0xFF
                if not entry or position > end:
                    return False
                values += entry >> 8 if codes is others else 1
                codes = others
    return True
