"""The configured providers, ready to work: each one's plugin object, its transport, its places."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from captchahub._polling import Durations
from captchahub._secrets import mask, secrets_in
from captchahub._transport import HttpTransport, Transport
from captchahub._workers import Workers
from captchahub.config import HubSettings, ProviderSettings
from captchahub.errors import ConfigError, NotOffered, PluginFault, ProviderError, TaskError
from captchahub.provider import LocalProvider, Provider

__all__ = [
    "Account",
    "LocalAccount",
    "RemoteAccount",
    "TransportFactory",
    "http_transport",
    "open_accounts",
    "translate",
]

T = TypeVar("T")

TransportFactory = Callable[[ProviderSettings], Transport]

# A local engine is the user's own code: closing waits this long for a call of it to end, in seconds.
_LOCAL_PATIENCE = 2.0


def translate(settings: ProviderSettings, wanted: Any, method: Callable[..., T], *values: object) -> T:
    """What one of a plugin's methods makes of some values: an instance of ``wanted``, a type or several.

    Anything raised or returned that the contract does not know is a
    :class:`~captchahub.errors.PluginFault`. Secrets that a service repeated, and the plugin with it, are
    masked.
    """
    try:
        made = method(*values)
    except (ProviderError, TaskError, NotOffered) as error:
        _mask(error, settings)
        raise
    except (Exception, SystemExit) as error:
        _mask(error, settings)
        fault = f"{method.__name__} with {type(error).__name__}"
        raise PluginFault(f"the plugin {settings.plugin!r} failed in {fault}") from error
    if isinstance(made, wanted):
        return made
    raise PluginFault(
        f"the plugin {settings.plugin!r} returned a {type(made).__name__} from {method.__name__}"
    )


def _mask(error: BaseException, settings: ProviderSettings) -> None:
    secrets = list(secrets_in(settings.own))
    error.args = tuple(mask(arg, secrets) if isinstance(arg, str) else arg for arg in error.args)


def _places(settings: ProviderSettings) -> asyncio.Semaphore:
    return asyncio.Semaphore(settings.max_in_flight)


@attrs.define
class RemoteAccount:
    """An account at a service."""

    settings: ProviderSettings
    provider: Provider
    transport: Transport
    places: asyncio.Semaphore
    durations: dict[str, Durations] = attrs.field(factory=dict[str, Durations])
    """What is learned of its speed, by task kind."""

    async def aclose(self) -> None:
        """Let go of the transport."""
        await self.transport.aclose()


@attrs.define
class LocalAccount:
    """An engine in this process."""

    settings: ProviderSettings
    provider: LocalProvider
    workers: Workers
    places: asyncio.Semaphore

    async def aclose(self) -> None:
        """End the threads, where the engine lets them."""
        await self.workers.aclose(_LOCAL_PATIENCE)


Account = RemoteAccount | LocalAccount


def http_transport(settings: ProviderSettings) -> Transport:
    """The real transport for a provider."""
    return HttpTransport(settings.name, settings.http)


def open_accounts(settings: HubSettings, connect: TransportFactory) -> Mapping[str, Account]:
    """Build every configured provider.

    Raises :class:`~captchahub.errors.ConfigError` where one can't be built, or where a route names one that
    does not take its tasks.
    """
    accounts = {name: _open(one, connect) for name, one in settings.providers.items()}
    wrong = [
        f"routes.{kind}: the provider {name!r} does not take {kind} tasks; it takes {_kinds(accounts[name])}"
        for kind, names in settings.routes.items()
        for name in names
        if kind not in accounts[name].provider.kinds
    ]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return accounts


def _open(settings: ProviderSettings, connect: TransportFactory) -> Account:
    try:
        provider = settings.kind.build(settings.own)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        # The plugin's words may hold what it was given, a token among it; its type does not.
        raise ConfigError(
            f"providers.{settings.name}: the plugin {settings.plugin!r} could not be built "
            f"({type(error).__name__}); check its settings, or report it to the plugin's author"
        ) from None
    if isinstance(provider, LocalProvider):
        workers = Workers(settings.name, settings.max_in_flight)
        return LocalAccount(settings, provider, workers, _places(settings))
    return RemoteAccount(settings, provider, connect(settings), _places(settings))


def _kinds(account: Account) -> str:
    return ", ".join(sorted(account.provider.kinds)) or "none"
