"""How the ledger counts: money as whole numbers, and time in slots and days.

Times are wall clock, in seconds since 1970.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal

SLOT = 900
"""The seconds that one row of the ledger adds up. In every time zone hours and days begin with a slot,
because all offsets from UTC are multiples of a quarter of an hour."""

DAY = 86_400
"""The seconds that a row for a whole day in UTC adds up, so that a month is the sum of few rows."""

# Amounts are kept in billionths of the currency's unit, because databases add up whole numbers exactly, and
# in 64 bits up to 9.2e18.
_UNITS = Decimal(10**9)

# A higher cost can only be a fault of the service, and is taken as this one, so that it fits into 64 bits.
_LARGEST = Decimal(10**9)

_UP = Context(prec=28, rounding=ROUND_CEILING)


def to_units(amount: Decimal) -> int:
    """Return an amount as the ledger keeps it. Finer amounts are rounded up: the ledger is never too low.

    An amount of more than a billion is taken as a billion. Raises ValueError if it is negative or not a
    number.
    """
    if amount.is_nan() or amount < 0:
        raise ValueError(f"an amount of money is 0 or more, not {amount}")
    return int(_UP.multiply(min(amount, _LARGEST), _UNITS).to_integral_value(ROUND_CEILING))


def from_units(units: int) -> Decimal:
    """Return the amount of :func:`to_units`, without trailing zeros."""
    amount = (Decimal(units) / _UNITS).normalize()
    return amount if amount != amount.to_integral_value() else amount.quantize(Decimal(1))


def slot_of(moment: float) -> int:
    """Return the beginning of the slot that a time falls into."""
    return int(moment // SLOT) * SLOT


def day_of(moment: float) -> int:
    """Return the beginning of the day in UTC that a time falls into."""
    return int(moment // DAY) * DAY
