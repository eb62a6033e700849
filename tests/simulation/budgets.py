"""Budgets as the simulation computes them, by the clocks of their zones and without the engine's ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import NamedTuple

import attrs

__all__ = ["Charge", "Limit"]


class Charge(NamedTuple):
    """What was reserved or charged for one job, in billionths; ``ordered_at`` is wall-clock time."""

    provider: str
    ordered_at: float
    units: int


# Return what is the same for all times of one period.
_PERIODS: Mapping[str, Callable[[datetime], object]] = {
    "hour": lambda shown: (shown.date(), shown.hour, shown.utcoffset()),
    "day": lambda shown: shown.date(),
    "month": lambda shown: (shown.year, shown.month),
    "total": lambda _: None,
}


@attrs.frozen
class Limit:
    """A budget of a provider, or of the hub if ``provider`` is None."""

    provider: str | None
    amount: Decimal
    per: str
    zone: tzinfo = UTC

    def most(self, charges: Iterable[Charge]) -> Decimal:
        """Return the highest sum of all periods."""
        sums = Counter[object]()
        for charge in charges:
            if self.provider in (None, charge.provider):
                shown = datetime.fromtimestamp(charge.ordered_at, self.zone)
                sums[_PERIODS[self.per](shown)] += charge.units
        return Decimal(max(sums.values(), default=0)) / 10**9
