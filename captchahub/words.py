"""What a service wrote: read with care, and made fit to show.

A reply can hold whatever JSON can: a number where a text was promised, a megabyte of text, half of a
character, the very token it was asked with. So every function here takes any value and raises nothing.
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

# What a signed 64-bit number holds, which is what databases keep.
_LARGEST_ID: Final = 2**63 - 1

# A shorter token can stand in a job's id by chance.
_TELLING: Final = 8

# JSON can carry half of a surrogate pair, which no file, terminal or database takes.
_HALF_A_PAIR: Final = re.compile("[\ud800-\udfff]")

# Python's own idea of a number is wider than any service's: 1_000, other scripts' digits, NaN.
_AMOUNT: Final = re.compile(r"[-+]?([0-9]{1,20}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][-+]?[0-9]{1,2})?")


def text_of(value: object) -> str:
    """A text without blanks at its ends, or a number written out; empty for anything else.

    So it is for NaN and infinity, for text with half of a character in it, and for a whole number of so many
    digits that Python refuses to write them (:func:`sys.set_int_max_str_digits`).
    """
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    text = value if isinstance(value, str) else _written(value)
    return "" if _HALF_A_PAIR.search(text) else text.strip()


def job_id_of(value: object) -> int | str | None:
    """A job's id, unchanged; None for what is none.

    An id is a whole number above 0 that 64 bits hold, or a printable text of up to 200 characters.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if 0 < value <= _LARGEST_ID else None
    if isinstance(value, str) and value.strip() and value.isprintable() and len(value) <= _LONGEST_ID:
        return value
    return None


def money(value: object) -> Decimal | None:
    """An amount as services write it, a number or text, or None where it is not one."""
    text = text_of(value)
    return Decimal(text) if _AMOUNT.fullmatch(text) else None


def fields_of(value: object) -> dict[str, object]:
    """The fields of a JSON object; none for anything else."""
    # JSON objects have text keys; pyright can't know it.
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


# Where services write what went wrong, the most telling names first, in small letters without underscores.
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

# What may hold an object with such a name.
_WRAPPINGS: Final = ("data", "result", "response")

# A yes or no is no reason.
_FLAGS: Final = frozenset({"true", "false", "yes", "no", "null", "none", "0", "1", "ok", "success", "fail"})

_DEEPEST: Final = 5

# Neither looks at a character twice, whatever a page has in it.
_TITLE: Final = re.compile(r"<title[^<>]*>([^<]*)", re.IGNORECASE)

_TAG: Final = re.compile(r"<[^<>]*>")

_LONGEST_PAGE: Final = 20_000

# In small letters, and letters only.
_ENDS: Final = re.compile(
    "fail(s|ed|ure)?|error(s|ed)?|cancell?(ed)?|abort(ed)?|reject(ed)?|refused|expired|time(d)?out|killed"
    "|terminated|unsolvable|unsolved|notsolved|unrecogni[sz]ed"
)

_IN_WORK: Final = re.compile(
    "(in)?(process|progress|queue|work)(ing|ed)?|pending|wait(ing)?|run(ning)?|queu(e)?ing|idle|new|created"
    "|start(ed|ing)|accepted|received|submitted|solving|notready|scheduled"
)


def says_failed(status: str) -> bool:
    """Whether a job's status, in English, says that it has ended without an answer."""
    return _ENDS.fullmatch(_letters(status)) is not None


def says_working(status: str) -> bool:
    """Whether a job's status, in English, says that it is not over."""
    return _IN_WORK.fullmatch(_letters(status)) is not None


def _letters(status: str) -> str:
    return "".join(filter(str.isalpha, status.lower()))


def reason_in(value: object) -> str:
    """A service's own words for what went wrong, in any JSON value; empty where there are none.

    They are looked for under the names that services use (``message``, ``error``, ``msg``, ``detail``), in
    objects and in the first items of a list. Laravel's ``{"message": ..., "errors": {field: [...]}}`` gives
    the message and the mistake of the first field. The words are as the service wrote them: show them with
    :class:`Words`.
    """
    return _reason(value, _DEEPEST)


def _reason(value: object, depth: int) -> str:
    if isinstance(value, str):
        text = value.strip()
        return "" if text.lower() in _FLAGS else text
    given = fields_of(value)
    if depth == 0 or not (given or isinstance(value, list)):
        return ""
    if isinstance(value, list):
        items: list[object] = value[:_DEEPEST]  # pyright: ignore[reportUnknownVariableType] - any JSON
        return next((said for item in items if (said := _reason(item, depth - 1))), "")
    fields = {name.lower().replace("_", ""): field for name, field in given.items()}
    told = (_reason(fields[name], depth - 1) for name in _REASONS if name in fields)
    said = next(filter(None, told), "")
    mistake = _mistake_in(fields_of(fields.get("errors")), depth - 1)
    if mistake and mistake not in said:
        return f"{said} ({mistake})" if said else mistake
    if said:
        return said
    wrapped = [fields[name] for name in _WRAPPINGS if isinstance(fields.get(name), (dict, list))]
    return _reason(wrapped, depth - 1) or _mistake_in(given, depth - 1, only_lists=True)


def _mistake_in(fields: Mapping[str, object], depth: int, *, only_lists: bool = False) -> str:
    """The first of the mistakes that are told by the names of fields."""
    kinds = list if only_lists else (list, str)
    listed = (name for name, field in fields.items() if depth > 0 and isinstance(field, kinds))
    return next((f"{name}: {said}" for name in listed if (said := _reason(fields[name], depth))), "")


def reason_in_page(body: bytes) -> str:
    """The same in what is no JSON: the title of a page, or else its text; empty where there is none."""
    text = body[:_LONGEST_PAGE].decode("utf-8", "replace").strip("\ufeff \t\r\n")
    if text.startswith("<"):
        title = _TITLE.search(text)
        text = html.unescape(title[1] if title else _TAG.sub(" ", text))
    # What is not text is not for people either.
    is_text = "\ufffd" not in text and "\0" not in text
    return " ".join(text.split()) if is_text else ""


@attrs.frozen
class Words:
    """Makes what a service wrote fit for an error: one line, short, and never with the token in it."""

    service: str
    """What errors call the service."""
    secret: Secret = attrs.field(factory=lambda: Secret(""))
    """The token that may be repeated in its replies, found in any case; left out where there is none."""
    longest: int = 200
    """In characters."""

    def of(self, text: str) -> str:
        """The text with the token masked, on one line without control characters, and cut to ``longest``."""
        token = self.secret.reveal()
        masked = re.sub(re.escape(token), "***", text, flags=re.IGNORECASE) if token else text
        # Nearly every text is printable, and a hostile one may be long.
        if not masked.isprintable():
            masked = "".join(character if character.isprintable() else " " for character in masked)
        line = " ".join(masked.split())
        return line if len(line) <= self.longest else line[: self.longest - 1] + "…"

    def said(self, text: str) -> str:
        """The service's own reason for a failure, as an error tells it: ``Example says: no such key``."""
        return f"{self.service} says: {self.of(text) or 'no reason'}"

    def shown(self, value: object) -> str:
        """Any JSON value as it can stand in an error; a list or an object is only named as one."""
        if isinstance(value, str):
            return repr(self.of(value))
        if value is None:
            return "nothing"
        if isinstance(value, (bool, int, float)):
            return self.of(str(value) if isinstance(value, bool) else _written(value)) or "a vast number"
        return "a list" if isinstance(value, list) else "an object"

    def has_secret(self, value: int | str) -> bool:
        """Whether the token stands in a value that will be carried around unmasked, such as a job's id.

        A token of fewer than 8 characters is not looked for: an id can hold one by chance.
        """
        token = self.secret.reveal()
        text = value if isinstance(value, str) else _written(value)
        return len(token) >= _TELLING and token.lower() in text.lower()


def _written(value: object) -> str:
    """A number as Python writes it; empty for what is none, or of too many digits to be written."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    try:
        return str(value)
    except ValueError:
        return ""
