"""The accounts of one hub by their names: those that it has, and those that it is letting go of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import urlsplit

import attrs

from captchahub._http.transport import HttpTransport, Transport
from captchahub._plugins.dispatcher import EventDispatcher
from captchahub._policy.account_identity import AccountIdentity, identity_of, polled_url
from captchahub._policy.job_token import Token
from captchahub._policy.pricing import Prices
from captchahub._providers.account import Account, LocalAccount, RemoteAccount
from captchahub._providers.admission import Admission, ChangeSignal
from captchahub._providers.calls import translate_beside
from captchahub._providers.price_list import read_price_list
from captchahub._support.background import BackgroundTasks
from captchahub._support.clock import now
from captchahub._support.guard import foreign_errors
from captchahub._support.threads import Workers
from captchahub.errors import CaptchaHubError, ConfigError, NotOffered, UnsupportedTask
from captchahub.extending import Candidate
from captchahub.provider import Job, LocalProvider, Provider, is_loopback
from captchahub.results import ProviderHealth
from captchahub.settings import HubSettings, ProviderSettings
from captchahub.tasks import Solution, Task

__all__ = [
    "ProviderRegistry",
    "TransportFactory",
    "candidate",
    "carry_over",
    "health_of",
    "http_transport",
    "offer",
    "open_accounts",
    "require_remote",
    "why_no_reports",
]


class ProviderRegistry(Mapping[str, Account]):
    """The accounts there are now.

    Raises :class:`~captchahub.errors.ConfigError` where one can't be built, or a route can't be gone by.
    """

    def __init__(
        self,
        settings: HubSettings,
        connect: TransportFactory,
        changes: ChangeSignal,
        dispatcher: EventDispatcher,
        background: BackgroundTasks,
    ) -> None:
        self._connect = connect
        self._changes = changes
        self._dispatcher = dispatcher
        self._background = background
        self._there = open_accounts(settings, connect, changes, dispatcher)
        self._leaving: set[Account] = set()

    def __getitem__(self, name: str) -> Account:
        return self._there[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._there)

    def __len__(self) -> int:
        return len(self._there)

    def named(self, name: str) -> Account:
        """The account of a name. Raises ConfigError where there is none."""
        if name not in self._there:
            raise ConfigError(f"there is no provider {name!r}; the providers are {', '.join(self._there)}")
        return self._there[name]

    @property
    def identities(self) -> Mapping[str, AccountIdentity]:
        """Which account at a service each name is."""
        there = self._there.items()
        return {name: account.identity for name, account in there if isinstance(account, RemoteAccount)}

    def holder(self, job: Token) -> RemoteAccount:
        """The account of a job. Raises ConfigError where it is not here."""
        names = [name for name, one in self.identities.items() if {*one.short_digests} & {*job.account}]
        if job.provider in names or not job.account:
            return require_remote(self.named(job.provider))
        if names:
            return require_remote(self.named(names[0]))
        name = require_remote(self.named(job.provider)).settings.name
        raise ConfigError(
            f"job {job.job_id} is of another account than {name!r} is here: the plugin, the address or the "
            "token is not the same; attach it where that account is configured"
        )

    def replace(self, settings: HubSettings) -> None:
        """Go by other settings. Raises ConfigError where they can't be gone by, and all stays as it was.

        What is in use of those that are gone or changed is let go of after its last use.
        """
        before = self._there
        self._there = open_accounts(settings, self._connect, self._changes, self._dispatcher, before)
        for name, account in before.items():
            after = self._there.get(name)
            if after is not None and after is not account:
                carry_over(account, after)
            if after is not account:
                self._leaving.add(account)
                self._background.track(asyncio.ensure_future(self._let_go(account)))

    async def _let_go(self, account: Account) -> None:
        await account.usage.ended()
        self._leaving.discard(account)
        await account.aclose()

    async def look_up_prices(self, kind: str, accounts: Iterable[Account], patience: float) -> None:
        """Read the price lists that are wanted; wait for those without which a price is not known."""
        known = list(accounts)
        needed = [
            read_price_list(one, self._background)
            for one in known
            if isinstance(one, RemoteAccount) and one.prices.wants_list(kind, now())
        ]
        if needed and any(one.prices.of(kind) is None for one in known):
            await asyncio.wait(needed, timeout=patience)

    async def aclose(self) -> None:
        """Let go of all of them."""
        await asyncio.gather(*(account.aclose() for account in (*self._there.values(), *self._leaving)))


def require_remote(account: Account) -> RemoteAccount:
    """An account as one at a service. Raises NotOffered where it is none."""
    if isinstance(account, RemoteAccount):
        return account
    if account.settings.unusable is not None:
        raise NotOffered(account.settings.unusable)
    raise NotOffered(f"{account.settings.name} works in this process: it has no account at a service")


def candidate(account: Account, kind: str) -> Candidate:
    """What is known of an account for tasks of a kind."""
    return Candidate(
        account.settings.name,
        account.settings.plugin,
        account.prices.of(kind),
        account.speeds[kind].seconds_per_answer(now()),
        account.admission.health.state_at(now()),
    )


def offer(account: Account) -> str:
    """Which kinds of task an account takes, for who has one that nobody takes."""
    name, unusable = account.settings.name, account.settings.unusable
    kinds = ", ".join(sorted(account.provider.kinds)) or "none"
    return f"{name} takes {kinds}" if unusable is None else f"{name} can't be asked: {unusable}"


def health_of(account: Account) -> ProviderHealth:
    """Whether an account is asked, with times on the wall."""
    moment, today = now(), datetime.now(UTC)
    health = account.admission.health.seen_at(moment)

    def on_the_wall(at: float | None) -> datetime | None:
        return None if at is None else today + timedelta(seconds=at - moment)

    return ProviderHealth(
        state=health.state_at(moment),
        reason=health.reason,
        since=on_the_wall(health.since),
        until=on_the_wall(health.until),
    )


TransportFactory = Callable[[ProviderSettings], Transport]


def http_transport(settings: ProviderSettings) -> Transport:
    """The real transport for a provider."""
    return HttpTransport(settings.name, settings.http)


def open_accounts(
    settings: HubSettings,
    connect: TransportFactory,
    changes: ChangeSignal,
    dispatcher: EventDispatcher,
    there: Mapping[str, Account] | None = None,
) -> Mapping[str, Account]:
    """Build every configured provider.

    ``changes`` is notified when a provider may be used again, ``dispatcher`` receives the events of its
    health. An account in ``there`` whose settings are the same is kept as it is.

    Raises :class:`~captchahub.errors.ConfigError` where one can't be built or can't report what it is to
    report, or where a route names one that does not take its tasks.
    """
    before = there or {}
    accounts = {
        name: before[name]
        if name in before and before[name].settings == one
        else _open(one, connect, Admission(one, changes, dispatcher))
        for name, one in settings.providers.items()
    }
    usable = {name: account for name, account in accounts.items() if account.settings.unusable is None}
    wrong = [*_misrouted(usable, settings), *_problems(usable, settings)]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return accounts


def _misrouted(usable: Mapping[str, Account], settings: HubSettings) -> Iterable[str]:
    """Where a route names an account that does not take its tasks."""
    for kind, route in settings.routes.items():
        for name in route.names:
            if name in usable and kind not in usable[name].provider.kinds:
                takes = _kinds(usable[name])
                yield f"routes.{kind}: the provider {name!r} does not take {kind} tasks; it takes {takes}"


def _problems(usable: Mapping[str, Account], settings: HubSettings) -> Iterable[str]:
    """What else the settings want of the accounts, and can't have."""
    for name, account in usable.items():
        if account.settings.report_wrong and (why := why_no_reports(account)) is not None:
            yield f"providers.{name}.report_wrong: {why}; leave it out"
    for name, account in usable.items():
        if isinstance(account, LocalAccount) and account.settings.budget is not None:
            yield (
                f"providers.{name}.budget: {account.settings.plugin} works in this process, where nobody "
                "charges anything; leave it out"
            )
    for account in usable.values():
        yield from _too_fast(account)
        yield from _unpriced(account, settings)


def _too_fast(account: Account) -> Iterable[str]:
    """A pace that the service does not allow; what stands in for it on this machine takes any."""
    own = account.settings
    if isinstance(account, LocalAccount) or own.poll_interval is None:
        return
    least = account.provider.min_poll_interval
    if own.poll_interval < least and not _is_here(account):
        yield (
            f"providers.{own.name}.poll_interval: {own.poll_interval:g}s is less than the {least:g}s that "
            "the service allows between two questions for a job; write at least that, or leave it out. Only "
            "a sandbox on this machine may be asked faster"
        )


def _is_here(account: RemoteAccount) -> bool:
    """Whether its questions go to this machine: the plugin is asked for one, which is not sent."""
    asked = polled_url(account.provider)
    # If the plugin names no address, or wants another id, its settings tell where it is.
    addresses = _addresses_in(account.settings.own) if asked is None else [asked]
    return bool(addresses) and all(map(_is_of_this_machine, addresses))


def _addresses_in(own: object) -> list[str]:
    values = attrs.astuple(own, recurse=False) if attrs.has(type(own)) else ()  # type: ignore[arg-type]  # it is one
    return [value for value in values if isinstance(value, str) and "://" in value]


def _is_of_this_machine(address: str) -> bool:
    try:
        return is_loopback(urlsplit(address).hostname)
    except ValueError:
        return False


def _unpriced(account: Account, settings: HubSettings) -> Iterable[str]:
    """What keeps the budgets from being kept: a task kind whose price nobody will ever tell."""
    own = account.settings
    if isinstance(account, LocalAccount) or (own.budget or settings.budget) is None:
        return
    if own.kind.is_free or _why_not(account, account.provider.ask_services) is None:
        return
    for kind in sorted(account.provider.kinds):
        route = settings.routes.get(kind)
        if kind not in own.prices and (route is None or own.name in route.names):
            unknown = f"nobody says what {kind} costs there, and there is a budget to keep"
            yield f"providers.{own.name}.prices: {unknown}; write the price"


class _Absent(LocalProvider):
    """In the place of a provider whose plugin can't be used. Its admission is never open."""

    kinds = frozenset()

    def solve(self, task: Task[Solution]) -> Solution:  # noqa: ARG002 - as its base has it
        """Nobody asks it."""
        raise UnsupportedTask("the plugin can't be used")


def _open(settings: ProviderSettings, connect: TransportFactory, admission: Admission) -> Account:
    try:
        provider: object = _Absent() if settings.unusable else settings.kind.build(settings.own)
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
        workers = Workers(settings.name, settings.max_in_flight)
        return LocalAccount(
            settings, provider, workers, admission, Prices(settings.prices, otherwise=Decimal(0))
        )
    free = Decimal(0) if settings.kind.is_free else None
    prices = Prices(settings.prices, currency=settings.currency, otherwise=free)
    identity = identity_of(settings, provider)
    return RemoteAccount(settings, provider, connect(settings), admission, prices, identity)


def carry_over(before: Account, account: Account) -> None:
    """Let an account go on with what is known of the one in whose place it comes, if that is the same."""
    own, was = account.settings, before.settings
    if (own.plugin, own.own, own.unusable) != (was.plugin, was.own, was.unusable):
        account.admission.begin_anew(before.admission)
        return
    account.speeds = before.speeds
    if isinstance(account, RemoteAccount) and isinstance(before, RemoteAccount):
        account.durations = before.durations
    # The same one for both, so that what is still under way counts.
    account.admission = before.admission
    account.admission.follow(own)


def why_no_reports(account: Account) -> str | None:
    """Why its service can't be told of a wrong answer; None where it can."""
    if isinstance(account, LocalAccount):
        return f"{account.settings.plugin} works in this process: there is no service to tell"
    return _why_not(account, account.provider.ask_report, Job("1", ""), correct=False)


def _why_not(
    account: RemoteAccount, ask: Callable[..., object], *values: object, **named: object
) -> str | None:
    """Why a service has not got a call, in the plugin's words: it is asked, and sends nothing."""
    try:
        translate_beside(account.settings, object, ask, *values, **named)
    except NotOffered as error:
        return str(error) or f"{account.settings.plugin} has no such call"
    except CaptchaHubError:
        # It offers the call; that there is nothing to ask about is no surprise.
        return None
    return None


def _kinds(account: Account) -> str:
    return ", ".join(sorted(account.provider.kinds)) or "none"
