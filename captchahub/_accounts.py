"""The configured providers, ready to work: each one's plugin object, its transport, what is known of it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import attrs

from captchahub._feed import Feed
from captchahub._foreign import FAULTS
from captchahub._gate import Changes, Gate
from captchahub._identity import Identity, identity_of, polled_url
from captchahub._polling import Durations
from captchahub._prices import Prices
from captchahub._secrets import mask_error, secrets_in, tokens_in
from captchahub._speed import Speed
from captchahub._transport import HttpTransport, Transport
from captchahub._usage import Usage
from captchahub._workers import Workers
from captchahub.errors import (
    CaptchaHubError,
    ConfigError,
    NotAsked,
    NotOffered,
    Outvoted,
    Overtaken,
    PluginFault,
    ProviderError,
    TaskError,
    UnsupportedTask,
)
from captchahub.provider import Job, LocalProvider, Provider, Reply, is_loopback
from captchahub.settings import HubSettings, ProviderSettings
from captchahub.tasks import Solution, Task

__all__ = [
    "Account",
    "LocalAccount",
    "RemoteAccount",
    "TransportFactory",
    "hand_on",
    "http_transport",
    "is_of_contract",
    "open_accounts",
    "translate",
    "translate_beside",
    "why_no_reports",
]

T = TypeVar("T")

TransportFactory = Callable[[ProviderSettings], Transport]

# A local engine is the user's own code: closing waits this long for a call of it to end, in seconds.
_LOCAL_PATIENCE = 2.0
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
    """Whether a plugin may raise it: one of ``passing``, but none that only the core knows to be true."""
    return isinstance(error, passing) and not isinstance(error, (NotAsked, Outvoted, Overtaken))


def _translate(
    settings: ProviderSettings,
    wanted: Any,
    passing: tuple[type[Exception], ...],
    call: Callable[[], T],
    name: str,
) -> T:
    try:
        made = call()
    except KeyboardInterrupt:
        raise
    except FAULTS as error:
        mask_error(error, secrets_in(settings.own))
        if is_of_contract(error, passing):
            raise
        fault = f"{name} with {type(error).__name__}"
        raise PluginFault(f"the plugin {settings.plugin!r} failed in {fault}") from error
    if isinstance(made, wanted):
        return made
    raise PluginFault(f"the plugin {settings.plugin!r} returned a {type(made).__name__} from {name}")


@attrs.define(eq=False)
class RemoteAccount:
    """An account at a service. What is learned of its speed is kept by task kind."""

    settings: ProviderSettings
    provider: Provider
    transport: Transport
    gate: Gate
    prices: Prices
    identity: Identity
    durations: dict[str, Durations] = attrs.field(factory=dict[str, Durations])
    speeds: dict[str, Speed] = attrs.field(factory=lambda: defaultdict(Speed))
    usage: Usage = attrs.field(factory=Usage)
    price_list: asyncio.Task[None] | None = None
    """The reading of its price list, while one is under way."""

    @property
    def pace(self) -> tuple[float, float | None]:
        """The shortest times in seconds between two questions for a job, and between the order and the first.

        The second one is None where nobody has said it.
        """
        if self.settings.poll_interval is not None:
            return self.settings.poll_interval, None
        return self.provider.minimum_gap, self.provider.minimum_wait

    async def aclose(self) -> None:
        """Let go of the transport."""
        await self.transport.aclose()


@attrs.define(eq=False)
class LocalAccount:
    """An engine in this process. What is learned of its speed is kept by task kind."""

    settings: ProviderSettings
    provider: LocalProvider
    workers: Workers
    gate: Gate
    prices: Prices
    speeds: dict[str, Speed] = attrs.field(factory=lambda: defaultdict(Speed))
    usage: Usage = attrs.field(factory=Usage)

    async def aclose(self) -> None:
        """End the threads, where the engine lets them."""
        await self.workers.aclose(_LOCAL_PATIENCE)


Account = RemoteAccount | LocalAccount


def http_transport(settings: ProviderSettings) -> Transport:
    """The real transport for a provider."""
    return HttpTransport(settings.name, settings.http)


def open_accounts(
    settings: HubSettings,
    connect: TransportFactory,
    changes: Changes,
    feed: Feed,
    there: Mapping[str, Account] | None = None,
) -> Mapping[str, Account]:
    """Build every configured provider.

    ``changes`` is told where one may be asked again, ``feed`` of how their health changes. Of those that are
    ``there`` already, each whose settings are the same is left as it is.

    Raises :class:`~captchahub.errors.ConfigError` where one can't be built or can't report what it is to
    report, or where a route names one that does not take its tasks.
    """
    before = there or {}
    accounts = {
        name: before[name]
        if name in before and before[name].settings == one
        else _open(one, connect, Gate(one, changes, feed))
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
    least = account.provider.minimum_gap
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
    """In the place of a provider whose plugin can't be used. Its gate is never open."""

    kinds = frozenset()

    def solve(self, task: Task[Solution]) -> Solution:  # noqa: ARG002 - as its base has it
        """Nobody asks it."""
        raise UnsupportedTask("the plugin can't be used")


def _open(settings: ProviderSettings, connect: TransportFactory, gate: Gate) -> Account:
    try:
        provider: object = _Absent() if settings.unusable else settings.kind.build(settings.own)
        kinds: object = getattr(provider, "kinds", None)
    except KeyboardInterrupt:
        raise
    except FAULTS as error:
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
        return LocalAccount(settings, provider, workers, gate, Prices(settings.prices, otherwise=Decimal(0)))
    free = Decimal(0) if settings.kind.is_free else None
    prices = Prices(settings.prices, currency=settings.currency, otherwise=free)
    identity = identity_of(settings, provider)
    return RemoteAccount(settings, provider, connect(settings), gate, prices, identity)


def hand_on(before: Account, account: Account) -> None:
    """Let an account go on with what is known of the one in whose place it comes, if that is the same."""
    own, was = account.settings, before.settings
    if (own.plugin, own.own, own.unusable) != (was.plugin, was.own, was.unusable):
        account.gate.begin_anew(before.gate)
        return
    account.speeds = before.speeds
    if isinstance(account, RemoteAccount) and isinstance(before, RemoteAccount):
        account.durations = before.durations
    # The same one for both, so that what is still under way counts.
    account.gate = before.gate
    account.gate.follow(own)


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
