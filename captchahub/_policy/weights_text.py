"""Weights as a short text, for the journal: to a few per cent, and without those that hardly count. Pure."""

from __future__ import annotations

import json
import math
import string
from collections.abc import Sequence

# Another form, or other explanations for the same weights, need another number.
_VERSION = 1

# One character for each weight: "0" for one that does not count, then each character for a weight that is 9 %
# larger than that of the one before it, up to the largest weight. The least is half a per cent of that.
_CHARACTERS = string.digits + string.ascii_letters
_LEVELS = {character: level for level, character in enumerate(_CHARACTERS)}
_TOP = len(_CHARACTERS) - 1
_STEP = 0.0875


def to_text(rows: Sequence[Sequence[float]]) -> str:
    """Return rows of weights as a text. Of each row only the part that counts is written, and its place."""
    most = max(map(max, rows))
    return json.dumps(
        {"version": _VERSION, "rows": [_part(row, most) for row in rows]}, separators=(",", ":")
    )


def from_text(text: str, *, rows: int, length: int) -> list[list[float]] | None:
    """Return the rows of weights that a text has, or None if it is of another form.

    Each row is padded to the length. The largest weight is 1.
    """
    try:
        saved = json.loads(text)
        if saved["version"] != _VERSION or len(saved["rows"]) != rows:
            return None
        found = [_row(begin, part, length) for begin, part in saved["rows"]]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return found if any(map(any, found)) else None


def _part(row: Sequence[float], most: float) -> tuple[int, str]:
    line = "".join(_character(weight / most) for weight in row)
    part = line.lstrip("0")
    return len(line) - len(part), part.rstrip("0")


def _character(share: float) -> str:
    level = round(math.log(share) / _STEP) + _TOP if share > 0.0 else 0
    return _CHARACTERS[max(0, level)]


def _row(begin: object, part: object, length: int) -> list[float]:
    if not isinstance(begin, int) or not isinstance(part, str) or not 0 <= begin <= length - len(part):
        raise ValueError("not a part of a row")
    weights = [_weight(_LEVELS[character]) for character in part]
    return [0.0] * begin + weights + [0.0] * (length - begin - len(part))


def _weight(level: int) -> float:
    return math.exp((level - _TOP) * _STEP) if level else 0.0
