"""Normalizes the text of an answer: no full-width characters, no invisible marks.

Services answer with what their workers type, which can be the full-width digits of an East Asian keyboard,
and with what they copy, which can have zero-width marks in it. Both look right, and no site accepts them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final

# NFKC takes Thai and Lao vowels apart, and makes of Korean letters what no keyboard types. The others are
# format characters that are seen: number signs of Arabic and Kaithi, and the Mongolian vowel separator.
_UNCHANGED: Final = re.compile(
    "[\u0e33\u0eb3\u3131-\u318e\uffa0-\uffdc"
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u180e\U000110bd\U000110cd]"
)

_JOINERS: Final = frozenset("\u200c\u200d")

_VIRAMA: Final = 9

_MARKS: Final = frozenset("\u034f\ufe0e\ufe0f")

_MINUSES: Final = str.maketrans(dict.fromkeys("\u2010\u2012\u2013\u2014\u2212", "-"))

_NUMBER: Final = re.compile(r"\s*([-+]?)\s*(\d+)\s*")


def plain(text: str, kept: Collection[str] = ()) -> str:
    """Return the text in NFKC, without format characters and outer blanks; ``kept`` characters stay."""
    # Most answers are ASCII, which NFKC does not change and which has no format characters.
    if text.isascii():
        return text.strip()
    folded = "".join(_folded(character, kept) for character in text)
    return unicodedata.normalize("NFC", without_marks(folded, kept))


def without_marks(text: str, kept: Collection[str] = ()) -> str:
    """Return the text without format characters and outer blanks.

    A joiner stays where it changes how the text is written: in Arabic and Persian, in the scripts of India,
    and in emoji.
    """
    if text.isascii():
        return text.strip()
    around = f" {text} "
    return "".join(
        character
        for before, character, after in zip(around, text, around[2:], strict=False)
        if character in kept or not _is_mark(before, character, after)
    ).strip()


def _folded(character: str, kept: Collection[str]) -> str:
    if character in kept or _UNCHANGED.match(character):
        return character
    folded = unicodedata.normalize("NFKC", character)
    # An accent that stands alone would become a space and a mark over it.
    return character if len(folded) > 1 and folded.startswith(" ") else folded


def _is_mark(before: str, character: str, after: str) -> bool:
    """Return whether a character is invisible at its place."""
    if character in _JOINERS:
        return not _joins(before, after)
    if character in _MARKS:
        return before.isalnum()
    return unicodedata.category(character) == "Cf" and not _UNCHANGED.match(character)


def _joins(before: str, after: str) -> bool:
    if unicodedata.combining(before) == _VIRAMA:
        return True
    if unicodedata.bidirectional(before) == "AL":
        return unicodedata.bidirectional(after) == "AL"
    return unicodedata.category(after) == "So"


def with_digits_of(text: str, allowed: Collection[str]) -> str:
    """Return the text with ASCII digits instead of those of other scripts that are not allowed."""
    if text.isascii():
        return text
    return "".join(
        character if character in allowed or (digit := _digit(character)) not in allowed else digit
        for character in text
    )


def result_of_sum(text: str) -> str:
    """Return the only number of ``5+3=8``, in ASCII digits, or the text if it has none or several."""
    sides = "".join(map(_digit, text.translate(_MINUSES))).split("=")
    found = [number for side in sides if (number := _NUMBER.fullmatch(side))]
    numbers = {number[1] + number[2] for number in found}
    return numbers.pop() if len(numbers) == 1 else text


def _digit(character: str) -> str:
    """Return the ASCII digit for one of any script, and any other character as it is."""
    return str(unicodedata.decimal(character)) if character.isdecimal() else character
