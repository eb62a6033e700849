"""GIF: the specification GIF89a of CompuServe."""

from __future__ import annotations

import struct

_FRAME, _EXTENSION, _END = 0x2C, 0x21, 0x3B

# The label of a graphic control extension, which belongs to the frame after it.
_ANNOUNCES_A_FRAME = b"\xf9"

# In bits (appendix F).
_LONGEST_CODE = 12


def size_of(data: bytes) -> tuple[int, int]:
    """Return the size in pixels."""
    width, height = struct.unpack_from("<HH", data, 6)
    position, has_pixels, is_announced = 13 + _palette(data[10]), False, False
    while position < len(data) and (kind := data[position]) != _END:
        if kind == _FRAME:
            x, y, across, down = struct.unpack_from("<HHHH", data, position + 1)
            if not has_pixels:
                # Decoders enlarge the screen for a first frame that does not fit.
                width, height, has_pixels = max(width, x + across), max(height, y + down), True
            pixels = position + 10 + _palette(data[position + 9])
            position = _after_blocks(data, pixels + 1)
            is_announced = False
            if position > len(data) and not _has_pixels(data, pixels, across * down):
                raise EOFError
        elif kind == _EXTENSION:
            is_announced = is_announced or data[position + 1 : position + 2] == _ANNOUNCES_A_FRAME
            position = _after_blocks(data, position + 2)
        else:
            # Some writers leave stray bytes between the blocks; decoders skip them.
            position += 1
    if not has_pixels or (is_announced and position >= len(data)):
        raise EOFError
    return width, height


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, position: int) -> int:
    """Return where the blocks end: beyond the data if their end mark is missing."""
    while position < len(data) and (length := data[position]):
        position += 1 + length
    return position + 1


def _has_pixels(data: bytes, position: int, needed: int) -> bool:
    """Return whether the blocks, as far as they are there, hold all pixels."""
    packed = bytearray()
    shortest, position = data[position], position + 1
    while position < len(data) and (length := data[position]):
        packed += data[position + 1 : position + 1 + length]
        position += 1 + length
    return 0 < shortest < _LONGEST_CODE and _has_codes(packed, shortest, needed)


def _has_codes(packed: bytearray, shortest: int, needed: int) -> bool:
    """Return whether the codes of LZW stand for as many pixels as are needed."""
    clear = 1 << shortest
    # The lengths of the strings that the codes stand for: one for each colour, and two codes without pixels.
    first = [1] * clear + [0, 0]
    lengths, width, before = [*first], shortest + 1, None
    held = bits = count = 0
    for byte in packed:
        held |= byte << bits
        bits += 8
        while bits >= width:
            code = held & ((1 << width) - 1)
            held >>= width
            bits -= width
            if code == clear:
                lengths, width, before = [*first], shortest + 1, None
                continue
            if code > len(lengths) or code == clear + 1 or (before is None and code > clear):
                return False
            if before is not None and len(lengths) < 1 << _LONGEST_CODE:
                lengths.append(lengths[before] + 1)
            count += lengths[code]
            if count >= needed:
                return True
            before = code
            # The table of strings has grown past this width. Encoders that wait with a clear code at the
            # limit go on with codes of 12 bits.
            if len(lengths) == 1 << width and width < _LONGEST_CODE:
                width += 1
    return False
