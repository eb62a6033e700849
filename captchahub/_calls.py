"""The calls beside the jobs: balance, price list, report. Each is asked once; all are free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from captchahub._accounts import RemoteAccount, translate_beside
from captchahub.errors import PluginFault
from captchahub.provider import Balance, Job, Reply, Request, Service

__all__ = ["ask_balance", "ask_services", "report"]

T = TypeVar("T")


async def ask_balance(account: RemoteAccount) -> Balance:
    """What is left on the account. Raises NotOffered or a ProviderError."""
    provider = account.provider
    request = translate_beside(account.settings, Request, provider.ask_balance)
    return await _answer(account, request, Balance, provider.read_balance)


async def ask_services(account: RemoteAccount) -> tuple[Service, ...]:
    """The service's price list. Raises NotOffered or a ProviderError."""
    provider = account.provider
    request = translate_beside(account.settings, Request, provider.ask_services)
    services = tuple(await _answer(account, request, Sequence, provider.read_services))
    # Plugins need not use a type checker.
    if not all(isinstance(line, Service) for line in services):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise PluginFault(f"the plugin {account.settings.plugin!r} returned a price list of other things")
    return services


async def report(account: RemoteAccount, job: Job, *, correct: bool) -> None:
    """Tell the service whether a job's answer was right. Raises NotOffered or a ProviderError."""
    provider = account.provider
    request = translate_beside(account.settings, Request, provider.ask_report, job, correct=correct)
    await _answer(account, request, type(None), provider.read_report)


async def _answer(account: RemoteAccount, request: Request, wanted: Any, read: Callable[[Reply], T]) -> T:
    with account.usage.by_one():
        reply = await account.transport.send(request, timeout=account.settings.poll_timeout)
    return translate_beside(account.settings, wanted, read, reply)
