"""GIF, by the specification of GIF89a."""

from __future__ import annotations

from collections.abc import Iterator

from captchahub._support.image_formats.numbers import Size, TruncatedError, number

__all__ = ["size_of"]

_FRAME, _EXTENSION, _END = 0x2C, 0x21, 0x3B

_ANNOUNCES_A_FRAME = b"\xf9"

_LONGEST_CODE = 12


def size_of(data: bytes) -> Size:
    """The size in pixels."""
    width, height = number(data, 6, 2, "little"), number(data, 8, 2, "little")
    position, has_pixels, is_announced = 13 + _palette(data[10]), False, False
    while position < len(data) and (kind := data[position]) != _END:
        if kind == _FRAME:
            x, y, across, down = (number(data, position + at, 2, "little") for at in (1, 3, 5, 7))
            if not has_pixels:
                # Decoders enlarge the screen for a first frame that does not fit.
                width, height, has_pixels = max(width, x + across), max(height, y + down), True
            pixels = position + 10 + _palette(data[position + 9])
            position = _after_blocks(data, pixels + 1)
            is_announced = False
            if position > len(data) and not _has_pixels(data, pixels, across * down):
                raise TruncatedError
        elif kind == _EXTENSION:
            is_announced = is_announced or data[position + 1 : position + 2] == _ANNOUNCES_A_FRAME
            position = _after_blocks(data, position + 2)
        else:
            # Some writers leave stray bytes between the blocks; decoders pass over them.
            position += 1
    if not has_pixels or (is_announced and position >= len(data)):
        raise TruncatedError
    return width, height


def _palette(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, position: int) -> int:
    """Where the blocks end; more than the length of the data where they end without their end mark."""
    while position < len(data) and (length := data[position]):
        position += 1 + length
    return position + 1


def _has_pixels(data: bytes, position: int, needed: int) -> bool:
    """Whether the blocks, as far as they go, hold so many pixels."""
    packed = bytearray()
    shortest, position = data[position], position + 1
    while position < len(data) and (length := data[position]):
        packed += data[position + 1 : position + 1 + length]
        position += 1 + length
    return 0 < shortest < _LONGEST_CODE and _unpacked(packed, shortest, needed) >= needed


def _unpacked(packed: bytes | bytearray, shortest: int, needed: int) -> int:
    """How many pixels the codes of LZW stand for, as soon as they are enough."""
    clear = 1 << shortest
    count = 0
    for code, lengths, before in _codes(packed, shortest):
        if code > len(lengths) or code == clear + 1 or (before is None and code > clear):
            break
        if before is not None and len(lengths) < 1 << _LONGEST_CODE:
            lengths.append(lengths[before] + 1)
        count += lengths[code]
        if count >= needed:
            break
    return count


def _codes(packed: bytes | bytearray, shortest: int) -> Iterator[tuple[int, list[int], int | None]]:
    """Each code with the lengths of the texts that the codes stand for, and the code before it.

    Whoever takes a code adds to the lengths, which says how many bits the next one has.
    """
    clear = 1 << shortest
    lengths, width, before = _first_codes(clear), shortest + 1, None
    held = bits = 0
    for byte in packed:
        held |= byte << bits
        bits += 8
        while bits >= width:
            code = held & ((1 << width) - 1)
            held >>= width
            bits -= width
            if code == clear:
                lengths, width, before = _first_codes(clear), shortest + 1, None
                continue
            yield code, lengths, before
            before = code
            if len(lengths) == 1 << width and width < _LONGEST_CODE:
                width += 1


def _first_codes(clear: int) -> list[int]:
    return [1] * clear + [0, 0]
