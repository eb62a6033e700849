"""Values and near words in messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import date

_SHOWN = 40


def quoted(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def shown(value: object) -> str:
    """A value in a few words and on one line, whatever it is."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (int, float)):
        return _number(value)
    return _WORDS.get(type(value)) or f"a {type(value).__name__}"


def _number(value: float) -> str:
    # Python refuses to write out an integer of thousands of digits.
    return "a huge number" if isinstance(value, int) and abs(value) > 10**30 else str(value)


_WORDS: Mapping[type, str] = {dict: "a mapping", list: "a list", tuple: "a list", date: "a date"}


def advise(word: str, known: Iterable[str], label: str) -> str:
    """The nearest of the known words, if one is near, and all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word[:_SHOWN], names, n=1)
    listed = f"{label}: {', '.join(names) or 'none'}"
    return f"did you mean {near[0]!r}? {listed}" if near else listed
