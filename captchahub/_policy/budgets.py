"""Money: amounts as whole numbers, and the times that budgets are for. Pure: the caller passes the time.

Times are wall clock, in seconds since 1970.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from decimal import ROUND_CEILING, Context, Decimal
from typing import NamedTuple

from captchahub.errors import BudgetExceeded
from captchahub.settings import Budget, Period

__all__ = [
    "DAY",
    "SLOT",
    "BudgetScope",
    "day_of",
    "from_units",
    "period_of",
    "refusal_of",
    "slot_of",
    "to_units",
]

SLOT = 900
"""The ledger adds up what was ordered in so many seconds: every zone's hours and days begin with one."""

DAY = 86_400
"""And once more by days in UTC, so that a month is the sum of few rows."""

# Amounts are kept in billionths of the currency's unit: SQLite adds up whole numbers exactly, to 9.2e18.
_UNITS = Decimal(10**9)

_LARGEST = Decimal(10**9)

_UP = Context(prec=28, rounding=ROUND_CEILING)


class BudgetScope(NamedTuple):
    """A budget, what it is called, and whose it is: one provider's, or None for the whole hub's."""

    name: str
    provider: str | None
    budget: Budget


def to_units(amount: Decimal) -> int:
    """An amount as the ledger keeps it; what is finer is rounded up, for the ledger is never too low.

    An amount of more than a billion is taken as a billion. Raises ValueError where it is negative or not a
    number.
    """
    if amount.is_nan() or amount < 0:
        raise ValueError(f"an amount of money is 0 or more, not {amount}")
    return int(_UP.multiply(min(amount, _LARGEST), _UNITS).to_integral_value(ROUND_CEILING))


def from_units(units: int) -> Decimal:
    """The amount again, without needless zeros."""
    amount = (Decimal(units) / _UNITS).normalize()
    return amount if amount != amount.to_integral_value() else amount.quantize(Decimal(1))


def slot_of(moment: float) -> int:
    """The slot of the ledger that a time falls into."""
    return int(moment // SLOT) * SLOT


def day_of(moment: float) -> int:
    """The day in UTC that a time falls into."""
    return int(moment // DAY) * DAY


def period_of(budget: Budget, moment: float) -> tuple[int, int | None]:
    """When the budget's present period began, and when it ends, None for never.

    Every time is in exactly one period. A day or month is as long as its clocks make it; where they are
    changed within an hour, it is two.
    """
    if budget.per is Period.TOTAL:
        return 0, None
    if budget.per is Period.HOUR:
        return _hour(budget.zone, slot_of(moment))
    there = datetime.fromtimestamp(slot_of(moment), budget.zone)
    # The clock may show midnight twice, and the first one counts; or not at all, and Python takes it for the
    # moment that was left out.
    begin = there.replace(hour=0, minute=0, second=0, fold=0)
    if budget.per is Period.DAY:
        return _edge(begin), _edge(begin + timedelta(days=1))
    begin = begin.replace(day=1)
    return _edge(begin), _edge((begin + timedelta(days=32)).replace(day=1))


def _edge(begin: datetime) -> int:
    return -int(-begin.timestamp() // SLOT) * SLOT


def _hour(zone: tzinfo, slot: int) -> tuple[int, int]:
    hour = _shown(zone, slot)
    begin, end = slot, slot + SLOT
    while _shown(zone, begin - SLOT) == hour:
        begin -= SLOT
    while _shown(zone, end) == hour:
        end += SLOT
    return begin, end


def _shown(zone: tzinfo, slot: int) -> tuple[date, int, timedelta | None]:
    """What tells one hour from another, also in the night when clocks are set back."""
    there = datetime.fromtimestamp(slot, zone)
    return there.date(), there.hour, there.utcoffset()


def refusal_of(limit: BudgetScope, spent: int, price: Decimal, moment: float) -> BudgetExceeded | None:
    """Why an order of this price does not fit into a budget of which so many units are spent."""
    budget = limit.budget
    if from_units(spent + to_units(price)) <= budget.limit:
        return None
    _, end = period_of(budget, moment)
    if price > budget.limit:
        end, told = None, f"the price of {price:f} is more than the budget of {limit.name}, {budget}"
    else:
        told = (
            f"the budget of {limit.name}, {budget}, has no room for {price:f}: {from_units(spent):f} is spent"
        )
    frees = None if end is None else datetime.fromtimestamp(end, budget.zone)
    if frees is not None:
        told += f"; it begins anew at {frees.isoformat(' ', 'minutes')}"
    return BudgetExceeded(told, budget=limit.name, limit=budget.limit, spent=from_units(spent), frees=frees)
