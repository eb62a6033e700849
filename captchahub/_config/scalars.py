"""Every kind of single value: how it is read, and its JSON Schema.

A reader takes what a file holds and returns the typed value, or raises InvalidValue. The readers are strict:
none turns ``"5"`` into 5, or 60 into ``60s``.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, tzinfo
from decimal import Decimal, InvalidOperation
from functools import cache, partial
from pathlib import Path
from typing import Any

import attrs

from captchahub._config.json_schema import Schema, any_of, text
from captchahub._config.problems import InvalidValue
from captchahub._http.certificates import bundle_fault
from captchahub._http.proxies import proxy_fault
from captchahub._support import database_address, notation
from captchahub._support.paths import anchored, expanded
from captchahub.provider import Secret
from captchahub.settings import Percentile, Rate

MAX_COUNT = 2**31 - 1
"""The largest count: it fits every database and every service's own number."""

MAX_SECONDS = 365 * 86_400.0
"""The longest duration: a longer one is a mistake."""

MAX_RATE = 1_000_000
"""The most jobs in one period of a rate."""

MAX_AMOUNT = 10**9
"""The largest amount of money, in any currency."""

NEVER = "never"
"""The word for a limit that is never reached."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")

_PERCENTAGE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s?%")

_PERCENTILE = re.compile(r"p([1-9][0-9]?)")

_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}

# A few digits only: int() refuses some thousands of them.
_RATE = re.compile(r"([0-9]{1,9})/(second|minute|hour|day)")

_AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]+)?")

_CURRENCY = re.compile(r"[A-Z]{3}")

# What database programs take for something else than the name of a file.
_DATABASE_ADDRESS = re.compile(r":memory:?$|(file|sqlite[0-9a-z+]*):", re.IGNORECASE)

_SHELL_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")

# Among the names of zones, and of another meaning on each machine.
_NOT_ZONES = frozenset({"Factory", "localtime"})

_RELATIVE = "relative paths begin at the configuration"


@attrs.frozen
class ReadContext:
    """What readers need to know of the configuration around a value."""

    base: Path = Path()
    """Where relative paths begin."""
    came_from_reference: Callable[[str], bool] = lambda _text: False
    """Whether a text came from a reference, so that it is meant even if it looks like a shell variable."""


def read_text(value: object) -> str:
    """Read text."""
    if not isinstance(value, str):
        raise InvalidValue("text", value, "put it in quotes" if isinstance(value, (int, float)) else "")
    return value


def read_whole_number(value: object) -> int:
    """Read a whole number."""
    # True is an int to Python, and "yes" is true to YAML.
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValue("a whole number", value, _unquote(value))
    return value


def read_number(value: object) -> float:
    """Read a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidValue("a number", value, _unquote(value))
    # Infinity too. Above 1.8e308, float() of a whole number raises OverflowError.
    if abs(value) > 1e300 or math.isnan(value):
        raise InvalidValue("a finite number", value)
    return float(value)


# What is a number or a flag in YAML if it is written without quotes.
_UNQUOTED = re.compile(r"[-+]?[0-9_]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?|true|false", re.IGNORECASE)


def _unquote(value: object) -> str:
    is_quoted = isinstance(value, str) and _UNQUOTED.fullmatch(value.strip())
    return "write it without quotes; a ${…} always gives text" if is_quoted else ""


def read_flag(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise InvalidValue("true or false", value, _unquote(value))
    return value


def read_count(value: object, otherwise: str = "") -> int:
    """Read a whole number from 1; ``otherwise`` names what else may stand there."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_COUNT:
        expected = f"a whole number from 1 to {MAX_COUNT}{otherwise}"
        raise InvalidValue(expected, value, _unquote(value))
    return value


def read_weight(value: object) -> float:
    """Read a number from 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_COUNT:
        raise InvalidValue(f"a weight, which is a number from 0 to {MAX_COUNT}", value, _unquote(value))
    return float(value)


def read_share(value: object, otherwise: str = "") -> float:
    """Read a number from 0 to 1, or a percentage; ``otherwise`` names what else may stand there."""
    share = math.nan
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        share = value
    elif isinstance(value, str) and (match := _PERCENTAGE.fullmatch(value)):
        share = float(match[1]) / 100
    if not 0 <= share <= 1:
        raise InvalidValue(f"a share from 0 to 1, or such as 5%{otherwise}", value)
    return float(share)


def _or_never(read: Callable[[object, str], float]) -> Callable[[object], float]:
    """Return a reader of limits that nothing reaches if they are written as ``never``."""
    return lambda value: math.inf if value == NEVER else read(value, f" or {NEVER}")


def read_rate(value: object) -> Rate:
    """Read a rate such as ``20/second``."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 1 <= int(match[1]) <= MAX_RATE:
        units = ", ".join(f"5/{unit}" for unit in _PERIODS)
        raise InvalidValue(f"a rate such as {units}, with a whole number from 1 to {MAX_RATE}", value)
    return Rate(int(match[1]), _PERIODS[match[2]])


def read_hedge_delay(value: object) -> float | Percentile:
    """Read a duration, or a percentile such as ``p95``."""
    if isinstance(value, str) and (match := _PERCENTILE.fullmatch(value)):
        return Percentile(int(match[1]))
    try:
        return read_pause(value)
    except InvalidValue as error:
        # Its advice is kept: it names the unit that is missing.
        expected = "a duration such as 15s, or a percentile of what the provider needs, p1 to p99"
        raise InvalidValue(expected, value, error.advice) from None


def read_secret(value: object, context: ReadContext) -> Secret:
    """Read a secret. No message repeats the value."""
    if not isinstance(value, str):
        # A token of digits is a number to YAML, so this may be the secret itself.
        raise InvalidValue("text", value, "put it in quotes", hidden=True)
    if not value.strip():
        advice = "give it a value, best as ${env:NAME} or ${file:PATH}"
        raise InvalidValue("a secret", value, advice, hidden=True)
    if _SHELL_VARIABLE.fullmatch(value) and not context.came_from_reference(value):
        raise InvalidValue("a secret", value, "an environment variable is written ${env:NAME}", hidden=True)
    return Secret(value)


def unwritable(kind: str) -> Callable[[object, ReadContext], object]:
    """Return a reader that refuses every value, for a type that can't be written in a configuration."""

    def refuse(value: object, _context: ReadContext) -> object:
        expected = f"a {kind}, which a configuration can't hold"
        raise InvalidValue(
            expected, value, "leave the key out, and report this to the plugin's author", hidden=True
        )

    return refuse


def read_path(value: object, context: ReadContext) -> Path:
    """Read a path, relative to the base of the context."""
    # The system's calls end a path at a NUL, or refuse it.
    if not isinstance(value, str) or not value or "\0" in value:
        raise InvalidValue("a path", value)
    # Absolute, because the program, or a process that it forks, may change its working directory later.
    return anchored(context.base / expanded(value))


def read_certificates_path(value: object, context: ReadContext) -> Path:
    """Read the path of certificates that can be loaded."""
    path = read_path(value, context)
    # Read now, because otherwise the first request would fail, long after the program has started.
    fault = bundle_fault(path)
    if fault is not None:
        expected = "the path of a PEM file with certificates to trust, or of a folder of them"
        raise InvalidValue(expected, value, f"it {fault}; {_RELATIVE}")
    return path


def read_file_path(value: object, context: ReadContext) -> Path:
    """Read the path of a file that exists or can be created."""
    expected = "the path of a file such as jobs.db, in a folder that is there"
    if isinstance(value, str) and _DATABASE_ADDRESS.match(value):
        raise InvalidValue(expected, value, "write the path alone, or leave the key out for one in memory")
    if isinstance(value, str) and "://" in value:
        # It can hold a password.
        raise InvalidValue(expected, value, "of databases, only postgresql:// can be used", hidden=True)
    wrong = InvalidValue(expected, value, _RELATIVE)
    try:
        # A relative path can't be made absolute if the working directory has been deleted.
        path = read_path(value, context).absolute()
        # YAML can write half a character, "\\uD800", which is in no name of a file.
        os.fsencode(path)
        usable = path.is_file() if path.exists() else path.parent.is_dir()
    except (InvalidValue, OSError, ValueError):
        raise wrong from None
    if not usable:
        raise wrong
    return path


def read_database_address(value: object) -> Secret:
    """Read the address of a PostgreSQL database. No message repeats it, because it can hold a password."""
    if not isinstance(value, str) or not database_address.is_valid(value):
        expected = "an address such as postgresql://user:password@host/database"
        advice = "percent-encode special characters of the user and the password, as in %40 for @"
        raise InvalidValue(expected, value, advice, hidden=True)
    return Secret(value)


def read_duration(value: object) -> float:
    """Read a time above zero, in seconds."""
    seconds = _seconds(value)
    if not 0 < seconds <= MAX_SECONDS:
        raise InvalidValue("a duration above 0s and up to 365d", value)
    return seconds


def read_pause(value: object) -> float:
    """Read a time, in seconds."""
    seconds = _seconds(value)
    if seconds > MAX_SECONDS:
        raise InvalidValue("a duration up to 365d", value)
    return seconds


def _seconds(value: object) -> float:
    expected = "a duration such as 60s, 2m, 1.5s, 500ms, 1h or 30d"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        # The value is a number in the file itself, so the advice can't repeat a secret.
        advice = f"write {value}s" if 0 < value <= MAX_SECONDS else "write a number and its unit"
        raise InvalidValue(expected, value, advice)
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidValue(expected, value)
    return float(match[1]) * _UNITS[match[2]]


def read_header_text(value: object) -> str:
    """Read text for an HTTP header."""
    text = read_text(value)
    if not text.strip() or not text.isascii() or not text.isprintable():
        raise InvalidValue("printable ASCII text", value)
    return text


def read_proxy_address(value: object) -> str:
    """Read the address of a proxy. No message repeats it, because it can hold a password."""
    why = proxy_fault(value) if isinstance(value, str) else ""
    if not isinstance(value, str) or why is not None:
        raise InvalidValue(
            "the address of a proxy such as http://127.0.0.1:3128", value, why or "", hidden=True
        )
    return value


def read_amount(
    value: object, expected: str = "an amount such as 0.0005", least: int = -MAX_AMOUNT
) -> Decimal:
    """Read an amount of money that is not below ``least``."""
    is_number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and _AMOUNT.fullmatch(value)):
        # Python refuses to compare a NaN, and to write an integer of more than 4300 digits as text.
        with suppress(InvalidOperation, ValueError):
            # Through text: Decimal(0.1) would have the digits that a binary fraction adds.
            amount = Decimal(str(value))
            if least <= amount <= MAX_AMOUNT:
                return amount or amount.copy_abs()  # Decimal("-0") becomes 0
    raise InvalidValue(expected, value)


def read_currency(value: object) -> str:
    """Read the code of a currency."""
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise InvalidValue("the code of a currency, three capital letters such as USD", value)
    return value


# Kept, because it takes tens of milliseconds to find the files of all zones. A program can change where they
# are looked for.
@cache
def _time_zones(_path: Sequence[str]) -> frozenset[str]:
    """Return the names of all time zones; none if this machine has no time zone data."""
    return frozenset(zoneinfo.available_timezones()) - _NOT_ZONES


def read_time_zone(value: object) -> tzinfo:
    """Read the name of a time zone."""
    if value == "UTC":
        return UTC  # also if this machine has no time zone data
    # ZoneInfo itself is not tried with the name: some systems find 'europe/berlin' as well, others do not.
    known = _time_zones(zoneinfo.TZPATH)
    if isinstance(value, str) and value in known:
        return zoneinfo.ZoneInfo(value)
    advice, guess = "take a name of the IANA time zone database", ""
    if not known:
        advice = "this machine has no time zone data but UTC: install tzdata"
    elif isinstance(value, str):
        # Also by the last part of a name: 'berlin' means 'Europe/Berlin'.
        names = {zone.rpartition("/")[2].casefold(): zone for zone in sorted(known, reverse=True)}
        names |= {zone.casefold(): zone for zone in sorted(known, reverse=True)}
        # Comparing takes long for a long text, which is no zone anyway.
        near = difflib.get_close_matches(value[:40].casefold().replace(" ", "_"), names, n=1)
        guess = f"did you mean {names[near[0]]!r}?" if near else ""
    raise InvalidValue("a time zone such as Europe/Berlin", value, advice, guess=guess)


@attrs.frozen
class Scalar:
    """One kind of single value."""

    read: Callable[[object, ReadContext], object]
    """Returns the typed value. Raises :class:`captchahub._config.problems.InvalidValue`."""
    schema: Schema
    is_open: bool = False
    """Whether it can be any text, so that one from a reference may be a secret and is not shown."""


def _alone(read: Callable[[object], object]) -> Callable[[object, ReadContext], object]:
    """Return a reader that needs no context as one that takes it."""
    return lambda value, _context: read(value)


_TIME = r"[0-9]+(\.[0-9]+)?(ms|s|m|h|d)"

# A digit that is not zero follows somewhere in the number.
_ABOVE_ZERO = "(?=[0.]*[1-9])"

_COUNT_SCHEMA: Schema = {"type": "integer", "minimum": 1, "maximum": MAX_COUNT}

_SHARE_SCHEMA = any_of({"type": "number", "minimum": 0, "maximum": 1}, text(r"[0-9]{1,3}(\.[0-9]{1,9})?\s?%"))

_PRICE_SCHEMA = any_of({"type": "number", "minimum": 0, "maximum": MAX_AMOUNT}, text(r"[0-9]+(\.[0-9]+)?"))

_PATH_SCHEMA: Schema = {"type": "string", "minLength": 1}

_SECRET_SCHEMA: Schema = {
    "type": "string",
    "pattern": r"\S",
    "not": {"pattern": f"^{_SHELL_VARIABLE.pattern}$"},
    "description": "A secret, best as ${env:NAME}.",
}

_ANYTHING = Scalar(_alone(lambda value: value), {}, is_open=True)

SCALARS: Mapping[Any, Scalar] = {
    object: _ANYTHING,
    Any: _ANYTHING,
    str: Scalar(_alone(read_text), {"type": "string"}, is_open=True),
    int: Scalar(_alone(read_whole_number), {"type": "integer"}),
    float: Scalar(_alone(read_number), {"type": "number"}),
    bool: Scalar(_alone(read_flag), {"type": "boolean"}),
    Decimal: Scalar(
        _alone(read_amount),
        any_of({"type": "number", "minimum": -MAX_AMOUNT, "maximum": MAX_AMOUNT}, text(_AMOUNT.pattern)),
    ),
    Secret: Scalar(read_secret, _SECRET_SCHEMA, is_open=True),
    bytes: Scalar(unwritable("bytes"), {"not": {}}),
    Path: Scalar(read_path, _PATH_SCHEMA, is_open=True),
    notation.CertificatesPath: Scalar(read_certificates_path, _PATH_SCHEMA, is_open=True),
    notation.DatabaseAddress: Scalar(
        _alone(read_database_address), text(database_address.PATTERN), is_open=True
    ),
    notation.FilePath: Scalar(read_file_path, _PATH_SCHEMA, is_open=True),
    notation.Duration: Scalar(_alone(read_duration), text(_ABOVE_ZERO + _TIME)),
    notation.Pause: Scalar(_alone(read_pause), text(_TIME)),
    Rate: Scalar(_alone(read_rate), text(_ABOVE_ZERO + "[0-9]{1,9}/(second|minute|hour|day)")),
    notation.HedgeDelay: Scalar(_alone(read_hedge_delay), text(f"{_TIME}|p[1-9][0-9]?")),
    notation.Weight: Scalar(_alone(read_weight), {"type": "number", "minimum": 0, "maximum": MAX_COUNT}),
    notation.Share: Scalar(_alone(read_share), _SHARE_SCHEMA),
    notation.FailureLimit: Scalar(_alone(_or_never(read_count)), any_of(_COUNT_SCHEMA, text(NEVER))),
    notation.ShareLimit: Scalar(_alone(_or_never(read_share)), any_of(_SHARE_SCHEMA, {"const": NEVER})),
    notation.Price: Scalar(
        _alone(partial(read_amount, expected="a price from 0, such as 0.0005", least=0)), _PRICE_SCHEMA
    ),
    # A limit of 0 lets nothing be spent.
    notation.Limit: Scalar(
        _alone(partial(read_amount, expected="an amount from 0, such as 5.00", least=0)), _PRICE_SCHEMA
    ),
    notation.Currency: Scalar(_alone(read_currency), text("[A-Z]{3}")),
    notation.TimeZone: Scalar(_alone(read_time_zone), {"type": "string", "minLength": 1}, is_open=True),
    notation.Count: Scalar(_alone(read_count), _COUNT_SCHEMA),
    notation.HeaderText: Scalar(_alone(read_header_text), text("[ -~]*[!-~][ -~]*"), is_open=True),
    notation.ProxyAddress: Scalar(
        _alone(read_proxy_address), text(r"https?://[!-\"$-.0->@-~]+/?"), is_open=True
    ),
}
"""By the type, or by the notation that a type names; see :mod:`captchahub._support.notation`."""
