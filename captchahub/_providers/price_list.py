"""Reading a service's price list: once for all solves that need it, and what a failure means for a job."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from captchahub._policy.error_table import row_for
from captchahub._policy.pricing import Prices
from captchahub._providers.calls import as_provider_error
from captchahub._support.background import BackgroundTasks
from captchahub._support.clock import now
from captchahub._support.tracebacks import drop_traceback
from captchahub.errors import (
    CaptchaHubError,
    NotOffered,
    ProviderError,
    ServiceUnavailable,
)
from captchahub.provider import Service

_WHY = "there is a budget to keep, and the service was asked for its prices"

Fetch = Callable[[], Coroutine[Any, Any, Sequence[Service]]]
"""The call that fetches the price list."""


class PriceListReader:
    """Reads the price list of one account into its prices. Solves that need it at once share a call."""

    def __init__(self, prices: Prices) -> None:
        self._prices = prices
        self._reading: asyncio.Task[None] | None = None

    def start(self, fetch: Fetch, background: BackgroundTasks) -> asyncio.Task[None]:
        """Return the reading that is under way, or start one. It never fails."""
        if self._reading is None or self._reading.done():
            self._reading = background.start(self._read(fetch))
        return self._reading

    async def _read(self, fetch: Fetch) -> None:
        try:
            self._prices.take_list(await fetch(), now())
        except NotOffered:
            self._prices.has_no_list(now())
        except CaptchaHubError as caught:
            error = as_provider_error(caught)
            drop_traceback(error)
            self._prices.has_no_list(now(), error)

    async def ensure_price(
        self, kind: str, fetch: Fetch, background: BackgroundTasks, patience: float
    ) -> None:
        """Read the list if a job of this kind has no price without it, for at most ``patience`` seconds.

        Raises the ProviderError for which the list can't be read, because a job without a price can't be
        created while there is a budget to keep.
        """
        prices = self._prices
        if prices.needs_list(kind, now()):
            reading = self.start(fetch, background)
            await asyncio.wait([reading], timeout=max(0.0, patience))
            if not reading.done() and prices.of(kind) is None:
                raise ServiceUnavailable(
                    f"{_WHY}: no list came within {patience:.1f} s", nothing_created=True
                )
        error = prices.fresh_error(now())
        if error is not None and prices.of(kind) is None:
            raise _for_a_job(error) from error


def _for_a_job(error: ProviderError) -> ProviderError:
    """Return an error of the same class for a job that was not created. Each attempt needs one of its own."""
    message = f"{_WHY}: {error}"
    # An error that is about a job or a task is not true for the create: TaskRefused would end the solve.
    if not row_for(error).of_every_call:
        return ProviderError(message)
    # Without __init__, because a plugin's own class may take other arguments.
    copy = type(error).__new__(type(error), message)
    vars(copy).update(vars(error))
    if isinstance(copy, ServiceUnavailable):
        copy.nothing_created = True
    return copy
