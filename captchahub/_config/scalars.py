"""Single values, strictly: each function takes what a file holds and gives the typed value, or refuses it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NewType

from captchahub._config.problems import InvalidValue
from captchahub._http.certificates import bundle_fault
from captchahub._http.proxies import proxy_fault
from captchahub._support.paths import anchored, expanded
from captchahub.provider import Secret
from captchahub.settings import Percentile, Rate

Duration = NewType("Duration", float)
"""Seconds, written with a unit: ``60s``, ``2m``, ``1.5s``, ``500ms``, ``1h``, ``30d``."""

Pause = NewType("Pause", float)
"""Seconds as a Duration has them, or none at all: ``0s``."""

Count = NewType("Count", int)
"""A whole number from 1."""

Weight = NewType("Weight", float)
"""A number from 0."""

Share = NewType("Share", float)
"""A number from 0 to 1, or the same as ``5%``."""

FailureLimit = NewType("FailureLimit", float)
"""A Count, or ``never``, which is infinite."""

ShareLimit = NewType("ShareLimit", float)
"""A Share, or ``never``, which is infinite."""

HedgeDelay = NewType("HedgeDelay", object)
"""A Pause, or a Percentile, written ``p95``."""

HeaderText = NewType("HeaderText", str)
"""Text that can stand in an HTTP header."""

ProxyAddress = NewType("ProxyAddress", str)
"""The address of an HTTP proxy."""

CertificatesPath = NewType("CertificatesPath", Path)
"""The path of a PEM file with certificates, or of a folder of them."""

FilePath = NewType("FilePath", Path)
"""The path of a file that is there, or that can be made in a folder that is."""

MAX_COUNT = 2**31 - 1

MAX_SECONDS = 365 * 86_400.0

MAX_RATE = 1_000_000

NEVER = "never"

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")

_PERCENTAGE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)\s?%")

_PERCENTILE = re.compile(r"p([1-9][0-9]?)")

_PERIODS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}

_RATE = re.compile(r"([0-9]{1,9})/(second|minute|hour|day)")

# What database programs take for something else than the name of a file.
_DATABASE_ADDRESS = re.compile(r":memory:?$|(file|sqlite[0-9a-z+]*):", re.IGNORECASE)

_SHELL_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")


def scalar_readers(
    base: Path, is_followed: Callable[[str], bool]
) -> Mapping[Any, Callable[[object], object]]:
    """What reads each type; relative paths are taken from ``base``.

    ``is_followed`` tells whether a text came from a reference, and so is meant as it is.
    """
    return {
        str: _text,
        int: _whole,
        float: _number,
        bool: _flag,
        Decimal: read_amount,
        Secret: lambda value: _secret(value, is_followed),
        bytes: _bytes,
        Path: lambda value: _path(value, base),
        CertificatesPath: lambda value: _certificates(value, base),
        FilePath: lambda value: _file(value, base),
        Duration: _duration,
        Pause: _pause,
        Rate: _rate,
        HedgeDelay: _hedge_delay,
        Weight: _weight,
        Share: _share,
        FailureLimit: lambda value: math.inf if value == NEVER else _count(value, f" or {NEVER}"),
        ShareLimit: lambda value: math.inf if value == NEVER else _share(value, f" or {NEVER}"),
        Price: read_price,
        Limit: read_limit,
        Currency: read_currency,
        Count: _count,
        HeaderText: _header_text,
        ProxyAddress: _proxy,
    }


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidValue("text", value, "put it in quotes" if isinstance(value, (int, float)) else "")
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValue("a whole number", value, _unquote(value))
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidValue("a number", value, _unquote(value))
    if abs(value) > 1e300 or math.isnan(value):
        raise InvalidValue("a finite number", value)
    return float(value)


def _unquote(value: object) -> str:
    return "write it without quotes; a ${…} always gives text" if isinstance(value, str) else ""


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue("true or false", value, _unquote(value))
    return value


def _count(value: object, otherwise: str = "") -> Count:
    expected = f"a whole number from 1 to {MAX_COUNT}{otherwise}"
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValue(expected, value, _unquote(value))
    if not 1 <= value <= MAX_COUNT:
        raise InvalidValue(expected, value)
    return Count(value)


def _weight(value: object) -> Weight:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_COUNT:
        raise InvalidValue(f"a weight, which is a number from 0 to {MAX_COUNT}", value, _unquote(value))
    return Weight(float(value))


def _share(value: object, otherwise: str = "") -> Share:
    share = None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        share = value
    elif isinstance(value, str) and (match := _PERCENTAGE.fullmatch(value)):
        share = float(match[1]) / 100
    if share is None or not 0 <= share <= 1:
        raise InvalidValue(f"a share from 0 to 1, or such as 5%{otherwise}", value)
    return Share(float(share))


def _rate(value: object) -> Rate:
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 1 <= int(match[1]) <= MAX_RATE:
        units = ", ".join(f"5/{unit}" for unit in _PERIODS)
        raise InvalidValue(f"a rate such as {units}, with a whole number from 1 to {MAX_RATE}", value)
    return Rate(int(match[1]), _PERIODS[match[2]])


def _hedge_delay(value: object) -> float | Percentile:
    match = _PERCENTILE.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        return Percentile(int(match[1]))
    try:
        return _pause(value)
    except InvalidValue as misfit:
        expected = "a duration such as 15s, or a percentile of what the provider needs, p1 to p99"
        raise InvalidValue(expected, value, misfit.advice) from None


def _secret(value: object, is_followed: Callable[[str], bool]) -> Secret:
    if not isinstance(value, str):
        raise InvalidValue("text", value, "put it in quotes", hidden=True)
    if not value.strip():
        raise InvalidValue(
            "a secret", value, "give it a value, best as ${env:NAME} or ${file:PATH}", hidden=True
        )
    if _SHELL_VARIABLE.fullmatch(value) and not is_followed(value):
        raise InvalidValue("a secret", value, "an environment variable is written ${env:NAME}", hidden=True)
    return Secret(value)


def _bytes(value: object) -> bytes:
    raise unheld("bytes", value)


def unheld(kind: str, value: object) -> InvalidValue:
    """The refusal of any value for a type that can't be written in a configuration."""
    expected = f"a {kind}, which a configuration can't hold"
    return InvalidValue(expected, value, "leave the key out, and tell the plugin's author", hidden=True)


def _path(value: object, base: Path) -> Path:
    if not isinstance(value, str) or not value or "\0" in value:
        raise InvalidValue("a path", value)
    # Whatever the folder is that the program, or a process that it forks, works in later.
    return anchored(base / expanded(value))


def _certificates(value: object, base: Path) -> CertificatesPath:
    path = _path(value, base)
    fault = bundle_fault(path)
    if fault is not None:
        expected = "the path of a PEM file with certificates to trust, or of a folder of them"
        raise InvalidValue(expected, value, f"it {fault}; {_BASE}")
    return CertificatesPath(path)


_BASE = "relative paths begin at the configuration"


def _file(value: object, base: Path) -> FilePath:
    expected = "the path of a file such as jobs.db, in a folder that is there"
    if isinstance(value, str) and _DATABASE_ADDRESS.match(value):
        raise InvalidValue(expected, value, "write the path alone, or leave the key out for one in memory")
    wrong = InvalidValue(expected, value, _BASE)
    try:
        # Absolute, which it can't be made where the working directory is gone.
        path = _path(value, base).absolute()
        os.fsencode(path)
        usable = path.is_file() if path.exists() else path.parent.is_dir()
    except (InvalidValue, OSError, ValueError):
        raise wrong from None
    if not usable:
        raise wrong
    return FilePath(path)


def _duration(value: object) -> Duration:
    seconds = _seconds(value)
    if not 0 < seconds <= MAX_SECONDS:
        raise InvalidValue("a duration above 0s and up to 365d", value)
    return Duration(seconds)


def _pause(value: object) -> Pause:
    seconds = _seconds(value)
    if seconds > MAX_SECONDS:
        raise InvalidValue("a duration up to 365d", value)
    return Pause(seconds)


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


def _header_text(value: object) -> HeaderText:
    text = _text(value)
    if not text.strip() or not text.isascii() or not text.isprintable():
        raise InvalidValue("printable ASCII text", value)
    return HeaderText(text)


def _proxy(value: object) -> ProxyAddress:
    why = proxy_fault(value) if isinstance(value, str) else ""
    if not isinstance(value, str) or why is not None:
        raise InvalidValue(
            "the address of a proxy such as http://127.0.0.1:3128", value, why or "", hidden=True
        )
    return ProxyAddress(value)


Price = NewType("Price", Decimal)
"""What something costs: an amount of money that is not negative."""

Limit = NewType("Limit", Decimal)
"""The most that may be spent: an amount of money that is not negative."""

Currency = NewType("Currency", str)
"""The code of a currency: three capital letters."""

MAX_AMOUNT = 10**9

_AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]+)?")

_CURRENCY = re.compile(r"[A-Z]{3}")


def read_amount(value: object) -> Decimal:
    """The amount, without what a binary fraction would add."""
    wrong = InvalidValue("an amount such as 0.0005", value)
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        raise wrong
    if isinstance(value, str) and not _AMOUNT.fullmatch(value):
        raise wrong
    try:
        amount = Decimal(str(value))
    except (InvalidOperation, ValueError):
        raise wrong from None
    if not amount.is_finite() or abs(amount) > MAX_AMOUNT:
        raise wrong
    return amount


def read_price(value: object) -> Price:
    """The price."""
    return Price(_from_zero(value, "a price from 0, such as 0.0005"))


def read_limit(value: object) -> Limit:
    """The limit; 0 lets nothing be spent."""
    return Limit(_from_zero(value, "an amount from 0, such as 5.00"))


def read_currency(value: object) -> Currency:
    """The currency."""
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise InvalidValue("the code of a currency, three capital letters such as USD", value)
    return Currency(value)


def _from_zero(value: object, expected: str) -> Decimal:
    try:
        amount = read_amount(value)
    except InvalidValue:
        amount = None
    if amount is None or amount < 0:
        raise InvalidValue(expected, value)
    return amount.copy_abs()  # there is a Decimal("-0") as well
