"""Budgets: the period of each, and whether a job fits into it.

Pure: the caller passes the time. Times are wall clock, in seconds since 1970.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import NamedTuple

from captchahub._policy.accounting import SLOT, from_units, slot_of, to_units
from captchahub.errors import BudgetExceeded
from captchahub.settings import Budget, Period


class BudgetScope(NamedTuple):
    """A budget, its name, and its provider, or None for a budget of the whole hub.

    ``spent_before`` is what was spent in its period before the budget began, and is not counted.
    """

    name: str
    provider: str | None
    budget: Budget
    spent_before: Decimal = Decimal(0)

    def counted(self, spent: int) -> Decimal:
        """Return what counts of the units that were spent in the period."""
        return from_units(spent) - self.spent_before


def period_of(budget: Budget, moment: float) -> tuple[int, int | None]:
    """Return when the budget's present period began, and when it ends, or None if it never ends.

    Every time belongs to exactly one period. A day or month is as long as the clocks of its zone make it. An
    hour in which they are changed is two periods.
    """
    if budget.per is Period.TOTAL:
        return 0, None
    if budget.per is Period.HOUR:
        return _hour(budget.zone, slot_of(moment))
    local = datetime.fromtimestamp(slot_of(moment), budget.zone)
    # A clock that is set back around midnight shows it twice, and the first one counts. One that is set
    # forward may not show midnight at all, and Python takes it for the time of the change.
    midnight = local.replace(hour=0, minute=0, second=0, fold=0)
    if budget.per is Period.DAY:
        return _first_slot(midnight), _first_slot(midnight + timedelta(days=1))
    first = midnight.replace(day=1)
    # 32 days after the first is always in the next month.
    return _first_slot(first), _first_slot((first + timedelta(days=32)).replace(day=1))


def _first_slot(begin: datetime) -> int:
    """Return the start of the first slot that does not begin before a time."""
    return -int(-begin.timestamp() // SLOT) * SLOT


def _hour(zone: tzinfo, slot: int) -> tuple[int, int]:
    hour = _hour_on_the_clock(zone, slot)
    begin, end = slot, slot + SLOT
    while _hour_on_the_clock(zone, begin - SLOT) == hour:
        begin -= SLOT
    while _hour_on_the_clock(zone, end) == hour:
        end += SLOT
    return begin, end


def _hour_on_the_clock(zone: tzinfo, slot: int) -> tuple[date, int, timedelta | None]:
    """Return what distinguishes one hour from another, even in the night when clocks are set back."""
    local = datetime.fromtimestamp(slot, zone)
    return local.date(), local.hour, local.utcoffset()


def refusal_of(limit: BudgetScope, spent: int, price: Decimal, moment: float) -> BudgetExceeded | None:
    """Return why a job does not fit into a budget of which ``spent`` units are spent, or None if it fits.

    A job that is free fits into a budget that is used up.
    """
    budget, spent_amount = limit.budget, limit.counted(spent)
    if price == 0 or limit.counted(spent + to_units(price)) <= budget.limit:
        return None
    if price > budget.limit:
        # No new period helps.
        end, why = None, f"the price of {price:f} is more than the budget of {limit.name}, {budget}"
    else:
        _, end = period_of(budget, moment)
        spent_of_it = f"{spent_amount:f} of it is spent"
        why = f"the budget of {limit.name}, {budget}, has no room for {price:f}: {spent_of_it}"
    frees = None if end is None else datetime.fromtimestamp(end, budget.zone)
    if frees is not None:
        why += f"; the next period begins at {frees.isoformat(' ', 'minutes')}"
    return BudgetExceeded(why, budget=limit.name, limit=budget.limit, spent=spent_amount, frees=frees)
