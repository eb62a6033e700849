"""Budgets: the period that each is for, and whether a price fits. The caller passes the time.

Times are wall clock, in seconds since 1970.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import NamedTuple

from captchahub._policy.accounting import SLOT, from_units, slot_of, to_units
from captchahub.errors import BudgetExceeded
from captchahub.settings import Budget, Period

__all__ = ["BudgetScope", "period_of", "refusal_of"]


class BudgetScope(NamedTuple):
    """A budget, what it is called, and whose it is: one provider's, or None for the whole hub's."""

    name: str
    provider: str | None
    budget: Budget


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
