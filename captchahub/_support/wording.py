"""How messages quote values and suggest names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from datetime import date

# In characters. Values can be tokens or whole files, and an error has to fit on a line or two.
_SHOWN = 40


def quoted(text: str) -> str:
    """Return a text in quotes, shortened if it is long."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def shown(value: object) -> str:
    """Return any value in a few words, on one line."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (int, float)):
        # str() raises ValueError for an integer of more than 4300 digits.
        return "a huge number" if isinstance(value, int) and abs(value) > 10**30 else str(value)
    return _WORDS.get(type(value)) or f"a {type(value).__name__}"


_WORDS: Mapping[type, str] = {dict: "a mapping", list: "a list", tuple: "a list", date: "a date"}


# So many words do not hide the guess before them.
_FEW = 8


def advise(word: str, known: Iterable[str], label: str) -> str:
    """Return the known word that is similar to ``word``, or all known words, or both if few."""
    names = sorted(known)
    near = difflib.get_close_matches(word[:_SHOWN], names, n=1)
    listed = f"{label}: {', '.join(names) or 'none'}"
    if not near:
        return listed
    guess = f"did you mean {near[0]!r}?"
    return guess if len(names) > _FEW else f"{guess} {listed}"
