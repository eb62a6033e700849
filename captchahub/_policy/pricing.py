"""What a job costs at one provider, as far as anybody says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal

from captchahub.errors import PluginFault, ProviderError
from captchahub.provider import Service

__all__ = ["Prices"]

# How long a service's price list is believed, and how long after a failure it is asked for again, in seconds:
# the first time, and at most.
_LIST_KEPT = 3600.0

_FIRST_PAUSE = 1.0

_RETRY_AFTER = 300.0

# So long, in seconds, a failure says something of an order that needs the list.
_FRESH = 1.0


class Prices:
    """Prices by task kind: as configured, else as its last reply said, else as the service's own list says.

    ``otherwise`` is the price of a kind that nobody names, None where it is not known.
    """

    def __init__(
        self,
        configured: Mapping[str, Decimal],
        *,
        currency: str | None = None,
        otherwise: Decimal | None = None,
    ) -> None:
        self.currency = currency
        """The account's currency, None where nobody has said it."""
        self._configured = configured
        self._otherwise = otherwise
        self._listed: dict[str, Decimal] = {}
        self._charged: dict[str, Decimal] = {}
        self._ask_list_from = 0.0
        self._failures = 0
        self._stands_until = -math.inf
        self._error: ProviderError | None = None

    def of(self, kind: str) -> Decimal | None:
        """The price of one job, None where nobody has said it."""
        return self._known(kind)[0]

    def source_of(self, kind: str) -> str | None:
        """Who says so: ``configuration``, ``reply`` or ``list``; None where nobody does."""
        return self._known(kind)[1]

    def _known(self, kind: str) -> tuple[Decimal | None, str | None]:
        for source, prices in (
            ("configuration", self._configured),
            ("reply", self._charged),
            ("list", self._listed),
        ):
            if kind in prices:
                return prices[kind], source
        return self._otherwise, None

    def wants_list(self, kind: str, now: float) -> bool:
        """Whether it is time to ask for the service's list."""
        return kind not in self._configured and self._otherwise is None and now >= self._ask_list_from

    def take_list(self, services: Iterable[Service], now: float) -> None:
        """Believe a list; what is closed has no price there, for it can't be had."""
        self._ask_list_from = now + _LIST_KEPT
        self._failures, self._error = 0, None
        self._listed = {}
        for line in services:
            if line.kind is not None and line.is_open is False:
                self._charged.pop(line.kind, None)
            elif line.kind is not None and line.price is not None:
                self._listed[line.kind] = line.price

    def has_no_list(self, now: float, error: ProviderError | None = None) -> None:
        """Leave the list alone for a while: ever longer after an error that may pass.

        ``error`` is None where the service has no list. A fault of the plugin does not pass.
        """
        self._failures += 1
        self._error = error
        doubled = _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10)
        passes = error is not None and not isinstance(error, PluginFault)
        self._ask_list_from = now + (min(doubled, _RETRY_AFTER) if passes else _RETRY_AFTER)
        self._stands_until = now + _FRESH if passes else self._ask_list_from

    def needs_list(self, kind: str, now: float) -> bool:
        """Whether an order has no price, and a list may tell it that was not just asked for in vain."""
        if self.of(kind) is not None or self.fresh_error(now) is not None:
            return False
        return self._error is not None or self.wants_list(kind, now)

    def fresh_error(self, now: float) -> ProviderError | None:
        """Why the list could not be read just now; None where it could, or where that was a while ago."""
        return self._error if now <= self._stands_until else None

    def take_charge(self, kind: str, cost: Decimal) -> None:
        """Note what a reply said that a job has cost."""
        self._charged[kind] = cost
