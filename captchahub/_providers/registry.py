"""The accounts of one hub by their names: those that it has, and those that it is closing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal

from captchahub._http.choice import http_transport
from captchahub._http.network import Network
from captchahub._http.transport import Transport
from captchahub._plugins.dispatcher import EventDispatcher
from captchahub._policy.account_identity import AccountIdentity
from captchahub._policy.job_token import Token
from captchahub._policy.pricing import Prices
from captchahub._providers.account import Account, LocalAccount, RemoteAccount
from captchahub._providers.admission import Admission, ChangeSignal
from captchahub._support.background import BackgroundTasks
from captchahub._support.guard import foreign_errors
from captchahub._support.threads import Workers
from captchahub.errors import ConfigError, UnsupportedTask
from captchahub.provider import LocalProvider, Provider
from captchahub.settings import HubSettings, ProviderSettings
from captchahub.tasks import Solution, Task

TransportFactory = Callable[[ProviderSettings], Transport]


class ProviderRegistry(Mapping[str, Account]):
    """The accounts that a hub has now.

    ``connect`` makes the transport of a provider; None is for HTTP. ``changes`` is notified when a provider
    may be called again; ``dispatcher`` receives the events of the providers' health. Raises
    :class:`~captchahub.errors.ConfigError` if an account can't be built or can't do what its settings want,
    or if a route names one that does not take its tasks.
    """

    def __init__(
        self,
        settings: HubSettings,
        connect: TransportFactory | None,
        changes: ChangeSignal,
        dispatcher: EventDispatcher,
        background: BackgroundTasks,
    ) -> None:
        self._network = Network()
        self._connect = self._over_http if connect is None else connect
        self._changes = changes
        self._dispatcher = dispatcher
        self._background = background
        self._closing: set[Account] = set()
        self._accounts = self._open(settings, {})

    def __getitem__(self, name: str) -> Account:
        return self._accounts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._accounts)

    def __len__(self) -> int:
        return len(self._accounts)

    @property
    def current(self) -> Mapping[str, Account]:
        """The accounts of this moment, for other threads: :meth:`replace` does not change this mapping."""
        return self._accounts

    def named(self, name: str) -> Account:
        """Return the account of a name. Raises ConfigError if there is none."""
        if name not in self._accounts:
            known = ", ".join(self._accounts)
            raise ConfigError(f"there is no provider {name!r}; the providers are {known}")
        return self._accounts[name]

    @property
    def identities(self) -> Mapping[str, AccountIdentity]:
        """Which account at a service each name is."""
        accounts = self._accounts.values()
        return {one.name: one.identity for one in accounts if isinstance(one, RemoteAccount)}

    def take_unsaved_times(self) -> Mapping[tuple[AccountIdentity, str], str]:
        """Return what was learned since the last call of how long jobs take, by account and kind."""
        return {
            (account.identity, kind): text
            for account in (*self._accounts.values(), *self._closing)
            if isinstance(account, RemoteAccount)
            for kind, speed in account.speed.items()
            if (text := speed.polling.take_unsaved()) is not None
        }

    def holder(self, job: Token) -> RemoteAccount:
        """Return the account of a job. Raises ConfigError if it is not configured here."""
        names = [name for name, one in self.identities.items() if {*one.short_digests} & {*job.account}]
        if job.provider in names or not job.account:
            return self.named(job.provider).remote()
        if names:
            return self.named(names[0]).remote()
        name = self.named(job.provider).remote().name
        raise ConfigError(
            f"job {job.job_id} is of another account than {name!r} is here: the plugin, the address or the "
            "token is not the same; attach it where that account is configured"
        )

    def replace(self, settings: HubSettings) -> None:
        """Keep other settings from now on. If that raises ConfigError, nothing has changed.

        Accounts that are gone or changed are closed after their last use. All others read the environment
        and the certificates again.
        """
        before = self._accounts
        after = self._open(settings, before)
        self._network.read_again()
        # Only now, because carrying over changes the accounts that it takes from.
        self._accounts = {
            name: account.carried_over(before[name])
            if name in before and account is not before[name]
            else account
            for name, account in after.items()
        }
        for name, account in before.items():
            if self._accounts.get(name) is not account:
                self._closing.add(account)
                self._background.track(asyncio.ensure_future(self._close(account)))

    async def _close(self, account: Account) -> None:
        await account.usage.ended()
        self._closing.discard(account)
        await account.aclose()

    async def aclose(self) -> None:
        """Close all accounts."""
        await asyncio.gather(*(account.aclose() for account in (*self._accounts.values(), *self._closing)))

    def _over_http(self, settings: ProviderSettings) -> Transport:
        return http_transport(settings.name, settings.http, self._network)

    def _open(self, settings: HubSettings, before: Mapping[str, Account]) -> dict[str, Account]:
        """Build every configured provider. One whose settings have not changed is kept as it is."""
        accounts = {
            name: before[name]
            if name in before and before[name].settings == own
            else _build(own, self._connect, Admission(own, self._changes, self._dispatcher.emit))
            for name, own in settings.providers.items()
        }
        usable = {name: account for name, account in accounts.items() if account.settings.unusable is None}
        wrong = [*_misrouted(usable, settings)]
        for account in usable.values():
            wrong += account.problems(settings)
        if wrong:
            raise ConfigError("\n".join(wrong))
        return accounts


def _misrouted(usable: Mapping[str, Account], settings: HubSettings) -> Iterable[str]:
    """Yield where a route names an account that does not take its tasks."""
    for kind, route in settings.routes.items():
        for name in route.names:
            if name in usable and kind not in usable[name].provider.kinds:
                takes = usable[name].kinds_text
                yield f"routes.{kind}: the provider {name!r} does not take {kind} tasks; it takes {takes}"


class _Unusable(LocalProvider):
    """Stands in for a provider whose plugin can't be used. Never called: its circuit is always open."""

    kinds = frozenset()

    def solve(self, task: Task[Solution]) -> Solution:  # noqa: ARG002 - as its base has it
        """Raise UnsupportedTask."""
        raise UnsupportedTask("the plugin can't be used")


def _build(settings: ProviderSettings, connect: TransportFactory, admission: Admission) -> Account:
    try:
        provider: object = _Unusable() if settings.unusable else settings.kind.build(settings.own)
        kinds: object = getattr(provider, "kinds", None)
    except foreign_errors() as error:
        # The plugin's words may hold what it was given, a token among it; its type does not.
        raise ConfigError(
            f"providers.{settings.name}: the plugin {settings.plugin!r} could not be built "
            f"({type(error).__name__}); check its settings, or report it to the plugin's author"
        ) from None
    # Plugins need not use a type checker.
    if not isinstance(provider, (Provider, LocalProvider)) or not isinstance(kinds, AbstractSet):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"providers.{settings.name}: the plugin {settings.plugin!r} builds a {type(provider).__name__}, "
            "which is no provider with a set of kinds; update it, or report it to its author"
        )
    if isinstance(provider, LocalProvider):
        return LocalAccount(
            settings=settings,
            provider=provider,
            admission=admission,
            prices=Prices(settings.prices, otherwise=Decimal(0)),
            workers=Workers(settings.name, settings.max_in_flight),
        )
    free = Decimal(0) if settings.kind.is_free else None
    return RemoteAccount(
        settings=settings,
        provider=provider,
        admission=admission,
        prices=Prices(settings.prices, currency=settings.currency, otherwise=free),
        transport=connect(settings),
    )
