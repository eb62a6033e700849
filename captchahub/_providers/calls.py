"""The calls beside the jobs: balance, price list, report. Each is asked once; all are free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

import attrs

from captchahub._policy.error_table import row_for
from captchahub._providers.account import RemoteAccount
from captchahub._support.guard import foreign_errors
from captchahub._support.redaction import mask_error, secrets_in, tokens_in
from captchahub.errors import NotOffered, PluginFault, ProviderError, TaskError
from captchahub.provider import Balance, Job, Reply, Request, Service
from captchahub.settings import ProviderSettings

__all__ = ["ask_balance", "ask_services", "is_of_contract", "report", "translate", "translate_beside"]

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
    with account.usage.hold():
        reply = await account.transport.send(request, timeout=account.settings.poll_timeout)
    return translate_beside(account.settings, wanted, read, reply)


# What a plugin may raise of a job.
_OF_JOBS = (ProviderError, TaskError)


def translate(settings: ProviderSettings, wanted: Any, method: Callable[..., T], *values: object) -> T:
    """What one of a plugin's methods makes of some values: an instance of ``wanted``, a type or several.

    Anything raised or returned that the contract does not know is a
    :class:`~captchahub.errors.PluginFault`. Secrets that a service repeated, and the plugin with it, are
    masked.
    """
    call = partial(method, *_without_secrets(settings, values))
    return _translate(settings, wanted, _OF_JOBS, call, method.__name__)


def translate_beside(
    settings: ProviderSettings, wanted: Any, method: Callable[..., T], *values: object, **named: object
) -> T:
    """The same for the calls beside the jobs, which a service need not have: NotOffered passes, too."""
    passing = (*_OF_JOBS, NotOffered)
    call = partial(method, *_without_secrets(settings, values), **named)
    return _translate(settings, wanted, passing, call, method.__name__)


def _without_secrets(settings: ProviderSettings, values: Iterable[object]) -> Iterable[object]:
    """The values for a method, where a reply does not show what secrets the service has repeated."""
    return (
        attrs.evolve(one, hidden=tokens_in(settings.own)) if isinstance(one, Reply) else one for one in values
    )


def is_of_contract(error: BaseException, passing: tuple[type[Exception], ...] = _OF_JOBS) -> bool:
    """Whether a plugin may raise it: one of ``passing``, but none that only the engine may raise."""
    return isinstance(error, passing) and row_for(error).of_plugins


def _translate(
    settings: ProviderSettings,
    wanted: Any,
    passing: tuple[type[Exception], ...],
    call: Callable[[], T],
    name: str,
) -> T:
    try:
        made = call()
    except foreign_errors() as error:
        mask_error(error, secrets_in(settings.own))
        if is_of_contract(error, passing):
            raise
        fault = f"{name} with {type(error).__name__}"
        raise PluginFault(f"the plugin {settings.plugin!r} failed in {fault}") from error
    if isinstance(made, wanted):
        return made
    raise PluginFault(f"the plugin {settings.plugin!r} returned a {type(made).__name__} from {name}")
