"""Functions for plugins that read what a service wrote, and make it fit to be shown.

A reply can hold anything that JSON can: a number instead of a text, a megabyte of text, half of a character,
even the token of the request. So every function here accepts any value and never raises.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

import attrs

from captchahub._support.credentials import Secret

__all__ = [
    "Words",
    "fields_of",
    "job_id_of",
    "money",
    "reason_in",
    "reason_in_page",
    "says_failed",
    "says_working",
    "text_of",
]

_LONGEST_ID: Final = 200

# The largest signed 64-bit integer, which is also the largest that SQLite stores.
_LARGEST_ID: Final = 2**63 - 1

# In characters. A shorter token can be part of a job id by chance.
_SHORTEST_TOKEN: Final = 8

# JSON can hold half of a surrogate pair, which cannot be encoded as UTF-8 for a file, terminal or database.
_HALF_A_PAIR: Final = re.compile("[\ud800-\udfff]")

# Stricter than Decimal(), which also reads 1_000, NaN and the digits of other scripts, at any length.
_AMOUNT: Final = re.compile(r"[-+]?([0-9]{1,20}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][-+]?[0-9]{1,2})?")


def text_of(value: object) -> str:
    """Return a text without white space at its ends, or a number as text; empty for anything else.

    It is also empty for NaN and infinity, for text with half of a surrogate pair, and for an integer with
    more digits than Python converts (:func:`sys.set_int_max_str_digits`).
    """
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    text = value if isinstance(value, str) else _number(value)
    return "" if _HALF_A_PAIR.search(text) else text.strip()


def job_id_of(value: object) -> int | str | None:
    """Return a job id unchanged, or None if the value is not one.

    A job id is a positive integer of at most 64 bits (signed), or a printable text of at most 200 characters.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 < value <= _LARGEST_ID else None
    if isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= _LONGEST_ID:
        return value
    return None


def money(value: object) -> Decimal | None:
    """Return an amount of money from a number or a text, or None if it is not an amount."""
    text = text_of(value)
    return Decimal(text) if _AMOUNT.fullmatch(text) else None


def fields_of(value: object) -> dict[str, object]:
    """Return the fields of a JSON object, or an empty dict for anything else."""
    # The keys of a JSON object are strings, but the type checker does not know that it is one.
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


# The fields in which services write what went wrong, the most informative first, in lower case and without
# underscores.
_REASONS: Final = (
    "errordescription",
    "errormessage",
    "errortext",
    "message",
    "msg",
    "detail",
    "details",
    "description",
    "reason",
    "error",
    "errors",
    "title",
    "errorcode",
)

# The fields in which services wrap an object with such a field.
_WRAPPERS: Final = ("data", "result", "response")

# Values of such fields that are not a reason.
_FLAGS: Final = frozenset({"true", "false", "yes", "no", "null", "none", "0", "1", "ok", "success", "fail"})

_DEEPEST: Final = 5

# Both take linear time, whatever a page contains.
_TITLE: Final = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)

_TAG: Final = re.compile(r"<[^<>]*>")

_LONGEST_PAGE: Final = 20_000

# Both are matched against a status in lower case without anything but letters.
_FAILED: Final = re.compile(
    "fail(s|ed|ure)?|error(s|ed)?|cancell?(ed)?|abort(ed)?|reject(ed)?|refused|expired|time(d)?out|killed"
    "|terminated|unsolvable|unsolved|notsolved|unrecogni[sz]ed"
)

_WORKING: Final = re.compile(
    "(in)?(process|progress|queue|work)(ing|ed)?|pending|wait(ing)?|run(ning)?|queu(e)?ing|idle|new|created"
    "|start(ed|ing)|accepted|received|submitted|solving|notready|scheduled"
)


def says_failed(status: str) -> bool:
    """Whether a job's status, in English, says that the job ended without an answer."""
    return _FAILED.fullmatch(_letters(status)) is not None


def says_working(status: str) -> bool:
    """Whether a job's status, in English, says that the job is not done."""
    return _WORKING.fullmatch(_letters(status)) is not None


def _letters(status: str) -> str:
    return "".join(filter(str.isalpha, status.lower()))


def reason_in(value: object) -> str:
    """Return a service's own words for what went wrong, from any JSON value; empty if there are none.

    They are looked for in fields that services use (``message``, ``error``, ``msg``, ``detail``), in objects
    and in the first items of lists. For ``{"message": ..., "errors": {field: [...]}}``, the format of the
    Laravel framework, the result is the message and the mistake in the first field.

    The words are returned as the service wrote them; use :class:`Words` to show them.
    """
    return _reason(value, _DEEPEST)


def _reason(value: object, depth: int) -> str:
    if isinstance(value, str):
        text = value.strip()
        return "" if text.lower() in _FLAGS else text
    original = fields_of(value)
    # The depth is limited because a hostile reply can be nested very deeply.
    if depth == 0 or not (original or isinstance(value, list)):
        return ""
    if isinstance(value, list):
        items: list[object] = value[:_DEEPEST]  # pyright: ignore[reportUnknownVariableType] - any JSON
        return next((reason for item in items if (reason := _reason(item, depth - 1))), "")
    fields = {name.lower().replace("_", ""): field for name, field in original.items()}
    reasons = (_reason(fields[name], depth - 1) for name in _REASONS if name in fields)
    reason = next(filter(None, reasons), "")
    mistake = _mistake_in(fields_of(fields.get("errors")), depth - 1)
    if mistake and mistake not in reason:
        return f"{reason} ({mistake})" if reason else mistake
    if reason:
        return reason
    wrapped = [fields[name] for name in _WRAPPERS if isinstance(fields.get(name), (dict, list))]
    return _reason(wrapped, depth - 1) or _mistake_in(original, depth - 1, only_lists=True)


def _mistake_in(fields: Mapping[str, object], depth: int, *, only_lists: bool = False) -> str:
    """Return the first entry of an object that maps the names of fields to the mistakes in them."""
    kinds = list if only_lists else (list, str)
    listed = (name for name, field in fields.items() if depth > 0 and isinstance(field, kinds))
    return next((f"{name}: {reason}" for name in listed if (reason := _reason(fields[name], depth))), "")


def reason_in_page(body: bytes) -> str:
    """Return the reason in a body that is not JSON: the title of a page, else its text; empty if none."""
    text = body[:_LONGEST_PAGE].decode("utf-8", "replace").strip("\ufeff \t\r\n")
    if text.startswith("<"):
        title = _TITLE.search(text)
        text = html.unescape(title[1] if title else _TAG.sub(" ", text))
    # Binary data says nothing to a person.
    is_text = "\ufffd" not in text and "\0" not in text
    return " ".join(text.split()) if is_text else ""


@attrs.frozen
class Words:
    """Makes what a service wrote fit for an error message: one line, short, and without the token."""

    service: str
    """The name of the service in error messages."""
    secret: Secret = attrs.field(factory=lambda: Secret(""))
    """The token of the request, which is masked in upper and lower case if the service repeats it."""
    longest: int = 200
    """The longest text, in characters."""

    def of(self, text: str) -> str:
        """Return a text on one line, without the token and control characters, cut to ``longest``."""
        token = self.secret.reveal()
        masked = re.sub(re.escape(token), "***", text, flags=re.IGNORECASE) if token else text
        # Nearly every text is printable, and a hostile one may be long.
        if not masked.isprintable():
            masked = "".join(character if character.isprintable() else " " for character in masked)
        line = " ".join(masked.split())
        return line if len(line) <= self.longest else line[: self.longest - 1] + "…"

    def said(self, text: str) -> str:
        """Return the service's reason for a failure as a message: ``Example says: no such key``."""
        return f"{self.service} says: {self.of(text) or 'no reason'}"

    def shown(self, value: object) -> str:
        """Return any JSON value as it can be shown in an error; of a list or an object only the type."""
        if isinstance(value, str):
            return repr(self.of(value))
        if value is None:
            return "nothing"
        if isinstance(value, (bool, int, float)):
            return self.of(str(value) if isinstance(value, bool) else _number(value)) or "a vast number"
        return "a list" if isinstance(value, list) else "an object"

    def has_secret(self, value: int | str) -> bool:
        """Whether the token is part of a value that will be stored unmasked, such as a job id.

        A token of fewer than 8 characters is not looked for, because an id can contain one by chance.
        """
        token = self.secret.reveal()
        text = value if isinstance(value, str) else _number(value)
        return len(token) >= _SHORTEST_TOKEN and token.lower() in text.lower()


def _number(value: object) -> str:
    """Return a number as Python writes it; empty for anything else, or if it has too many digits."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    try:
        return str(value)
    except ValueError:
        return ""
