"""Reading a service's price list: once for all who need it, and what a failure means for an order."""

from __future__ import annotations

import asyncio

from captchahub._policy.error_table import row_for
from captchahub._providers.account import RemoteAccount
from captchahub._providers.calls import ask_services
from captchahub._support.background import BackgroundTasks
from captchahub._support.clock import now
from captchahub._support.tracebacks import let_go
from captchahub.errors import CaptchaHubError, NotOffered, ProviderError, ServiceUnavailable

__all__ = ["know_price", "read_price_list"]


def read_price_list(account: RemoteAccount, background: BackgroundTasks) -> asyncio.Task[None]:
    """The one reading of a provider's price list that is under way, for all who need it; it never fails."""
    if account.price_list is None:
        reading = account.price_list = background.start(_read(account))

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


async def know_price(account: RemoteAccount, kind: str, background: BackgroundTasks, patience: float) -> None:
    """Read the price list where an order has no price otherwise, for so many seconds at most.

    Raises the ProviderError for which it can't be read: it is the service, or the account, that keeps the
    order from being sent.
    """
    prices = account.prices
    if prices.needs_list(kind, now()):
        await asyncio.wait([read_price_list(account, background)], timeout=max(0.0, patience))
        if account.price_list is not None and prices.of(kind) is None:
            raise ServiceUnavailable(f"{_WANTED}: not told within {patience:.1f} s", nothing_created=True)
    error = prices.fresh_error(now())
    if error is not None and prices.of(kind) is None:
        raise _of_an_order(error) from error


_WANTED = "there is a budget to keep, and the service was asked for its prices"


def _of_an_order(error: ProviderError) -> ProviderError:
    """A new error of the same class for an order that was not sent; each attempt needs one of its own."""
    said = f"{_WANTED}: {error}"
    # An error that is about a job or a task is not true for the order: TaskRefused would end the solve.
    if not row_for(error).of_every_call:
        return ProviderError(said)
    # Without __init__, because a plugin's own class may take other arguments.
    copy = type(error).__new__(type(error), said)
    vars(copy).update(vars(error))
    if isinstance(copy, ServiceUnavailable):
        copy.nothing_created = True
    return copy
