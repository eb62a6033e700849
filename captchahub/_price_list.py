"""Reading a service's price list: once for all who need it, and what a failure means for an order."""

from __future__ import annotations

import asyncio

from captchahub._accounts import RemoteAccount
from captchahub._aftercare import Aftercare
from captchahub._asking import let_go
from captchahub._calls import ask_services
from captchahub._clock import now
from captchahub.errors import (
    AuthenticationError,
    CaptchaHubError,
    InsufficientBalance,
    MalformedReply,
    NotOffered,
    PluginFault,
    ProviderError,
    RateLimited,
    ServiceUnavailable,
)

__all__ = ["know_price", "read_price_list"]


def read_price_list(account: RemoteAccount, aftercare: Aftercare) -> asyncio.Task[None]:
    """The one reading of a provider's price list that is under way, for all who need it; it never fails."""
    if account.price_list is None:
        reading = account.price_list = aftercare.begin(_read(account))

        def forget(_: object) -> None:
            account.price_list = None

        reading.add_done_callback(forget)
    return account.price_list


async def _read(account: RemoteAccount) -> None:
    try:
        account.prices.take_list(await ask_services(account), now())
    except NotOffered:
        account.prices.has_no_list(now())
    except CaptchaHubError as caught:
        error = caught if isinstance(caught, ProviderError) else ProviderError(str(caught))
        let_go(error)
        account.prices.has_no_list(now(), error)


async def know_price(account: RemoteAccount, kind: str, aftercare: Aftercare, patience: float) -> None:
    """Read the price list where an order has no price otherwise, for so many seconds at most.

    Raises the ProviderError for which it can't be read: it is the service, or the account, that keeps the
    order from being sent.
    """
    prices = account.prices
    if prices.needs_list(kind, now()):
        await asyncio.wait([read_price_list(account, aftercare)], timeout=max(0.0, patience))
        if account.price_list is not None and prices.of(kind) is None:
            raise ServiceUnavailable(f"{_WANTED}: not told within {patience:.1f} s", nothing_created=True)
    error = prices.fresh_error(now())
    if error is not None and prices.of(kind) is None:
        raise _of_an_order(error) from error


_WANTED = "there is a budget to keep, and the service was asked for its prices"


def _of_an_order(error: ProviderError) -> ProviderError:
    """The same for an order, which was not sent: an error of its own, as each attempt needs one."""
    said = f"{_WANTED}: {error}"
    if isinstance(error, RateLimited):
        return RateLimited(said, retry_after=error.retry_after)
    if isinstance(error, ServiceUnavailable):
        return ServiceUnavailable(said, nothing_created=True, retry_after=error.retry_after)
    kinds = (AuthenticationError, InsufficientBalance, PluginFault, MalformedReply)
    kind = next((one for one in kinds if isinstance(error, one)), ProviderError)
    return kind(said)
