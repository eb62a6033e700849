"""Amounts of money, exactly, and what they are counted in."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import NewType

from captchahub._config.problems import Misfit

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
    wrong = Misfit("an amount such as 0.0005", value)
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
        raise Misfit("the code of a currency, three capital letters such as USD", value)
    return Currency(value)


def _from_zero(value: object, expected: str) -> Decimal:
    try:
        amount = read_amount(value)
    except Misfit:
        amount = None
    if amount is None or amount < 0:
        raise Misfit(expected, value)
    return amount.copy_abs()  # there is a Decimal("-0") as well
