"""What a job costs at one provider, and when its price list is read. The caller passes the time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal

from captchahub.errors import PluginFault, ProviderError
from captchahub.provider import Service

# How long a price list is valid, in seconds: services change prices on some days of a year.
_LIST_VALID = 3600.0

# When a list that could not be read is read again, in seconds: the pause doubles from the first to the
# longest. The longest is also the pause if the service has no list, or its plugin can't read it.
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 300.0

# For this time, in seconds, a failure to read the list answers for a create that needs a price as well: the
# create would only repeat the failed call.
_ERROR_VALID = 1.0


class Prices:
    """Prices by task kind: from the configuration, else from the last reply, else from the price list.

    ``otherwise`` is the price of all other kinds, or None if it is unknown.
    """

    def __init__(
        self,
        configured: Mapping[str, Decimal],
        *,
        currency: str | None = None,
        otherwise: Decimal | None = None,
    ) -> None:
        self.currency = currency
        """The currency of the account, or None if unknown."""
        self._configured = configured
        self._otherwise = otherwise
        self._listed: dict[str, Decimal] = {}
        self._charged: dict[str, Decimal] = {}
        self._read_list_from = 0.0
        self._failures = 0
        self._error: ProviderError | None = None
        self._error_until = -math.inf

    def of(self, kind: str) -> Decimal | None:
        """Return the price of one job, or None if unknown."""
        return self._price_and_source(kind)[0]

    def source_of(self, kind: str) -> str | None:
        """Return where the price is from (``configuration``, ``reply`` or ``list``), or None for none."""
        return self._price_and_source(kind)[1]

    def _price_and_source(self, kind: str) -> tuple[Decimal | None, str | None]:
        # A reply states what this account was charged; the list may be for everybody.
        for source, prices in (
            ("configuration", self._configured),
            ("reply", self._charged),
            ("list", self._listed),
        ):
            if kind in prices:
                return prices[kind], source
        return self._otherwise, None

    def wants_list(self, kind: str, now: float) -> bool:
        """Return whether it is time to read the price list for a kind."""
        return kind not in self._configured and self._otherwise is None and now >= self._read_list_from

    def take_list(self, services: Iterable[Service], now: float) -> None:
        """Replace the price list. A service that is closed there has no price, because it cannot be used."""
        self._read_list_from = now + _LIST_VALID
        self._failures, self._error = 0, None
        self._listed = {}
        for line in services:
            if line.kind is not None and line.is_open is False:
                self._charged.pop(line.kind, None)
            elif line.kind is not None and line.price is not None:
                self._listed[line.kind] = line.price

    def has_no_list(self, now: float, error: ProviderError | None = None) -> None:
        """Do not read the list again for a while, and for longer after each failure.

        ``error`` is why it could not be read, or None if the service has no list. A fault of the plugin has
        the longest pause at once, because it does not pass.
        """
        self._failures += 1
        self._error = error
        doubled = _FIRST_PAUSE * 2.0 ** min(self._failures - 1, 10)
        passes = error is not None and not isinstance(error, PluginFault)
        self._read_list_from = now + (min(doubled, _LONGEST_PAUSE) if passes else _LONGEST_PAUSE)
        self._error_until = now + _ERROR_VALID if passes else self._read_list_from

    def needs_list(self, kind: str, now: float) -> bool:
        """Return whether a job has no price, and the list may have it.

        After a failure the list is read again before the pause is over: the pause is for reading ahead, not
        for a create that would otherwise be refused.
        """
        if self.of(kind) is not None or self.fresh_error(now) is not None:
            return False
        return self._error is not None or self.wants_list(kind, now)

    def fresh_error(self, now: float) -> ProviderError | None:
        """Return why the list could not be read just now, or None if it could, or if that was a while ago."""
        return self._error if now <= self._error_until else None

    def take_charge(self, kind: str, cost: Decimal) -> None:
        """Record the cost of a job as a reply stated it."""
        self._charged[kind] = cost
