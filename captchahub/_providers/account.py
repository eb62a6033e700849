"""The configured providers, ready to work: accounts at services, and engines in this process.

What differs between the two is a method here, so that other modules need not distinguish them.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import attrs

from captchahub._policy.account_identity import AccountIdentity, identity_of, polled_url
from captchahub._policy.latency import LatencyStats
from captchahub._policy.polling import LearnedPolling, Pace
from captchahub._policy.pricing import Prices
from captchahub._providers.admission import Admission
from captchahub._providers.calls import PluginCaller
from captchahub._providers.price_list import PriceListReader
from captchahub._support.background import BackgroundTasks
from captchahub._support.clock import now
from captchahub._support.threads import Workers
from captchahub.errors import CaptchaHubError, NotAsked, NotOffered, PluginFault
from captchahub.extending import Candidate
from captchahub.provider import Balance, Job, LocalProvider, Provider, Reply, Request, Service, is_loopback
from captchahub.results import ProviderHealth
from captchahub.settings import HubSettings, ProviderSettings
from captchahub.tasks import Solution, Task

if TYPE_CHECKING:
    from captchahub._http.transport import Transport

T = TypeVar("T")

# A local engine is the user's own code: closing waits this long for a call of it to end, in seconds.
_LOCAL_PATIENCE = 2.0


class UseCount:
    """Counts who uses an account, so that one that was replaced is closed after its last use.

    ``with account.usage:`` uses the account as long as the block lasts.
    """

    def __init__(self) -> None:
        self._count = 0
        self._released: asyncio.Event | None = None

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if self._released is not None:
            self._released.set()

    async def ended(self) -> None:
        """Wait until the account is not used any more."""
        while self._count:
            self._released = asyncio.Event()
            await self._released.wait()


@attrs.define(eq=False)
class Speed:
    """What was learned of the speed of a provider with one kind of task."""

    latency: LatencyStats = attrs.field(factory=LatencyStats)
    polling: LearnedPolling = attrs.field(factory=LearnedPolling)
    is_restored: bool = False
    """Whether the journal was asked for what earlier processes have learned."""


@attrs.frozen(eq=False, kw_only=True)
class Account(ABC):
    """A configured provider."""

    settings: ProviderSettings
    provider: Provider | LocalProvider
    admission: Admission
    prices: Prices
    speed: defaultdict[str, Speed] = attrs.field(
        default=attrs.Factory(lambda self: defaultdict(self.new_speed), takes_self=True)
    )
    """By kind of task."""
    usage: UseCount = attrs.field(init=False, factory=UseCount)
    call_plugin: PluginCaller = attrs.field(
        init=False, default=attrs.Factory(lambda self: PluginCaller(self.settings), takes_self=True)
    )
    name: str = attrs.field(
        init=False, default=attrs.Factory(lambda self: self.settings.name, takes_self=True)
    )
    """The provider's name in the configuration."""
    secrets: Sequence[str] = attrs.field(
        init=False, default=attrs.Factory(lambda self: self.call_plugin.secrets, takes_self=True)
    )
    """The secrets of its settings, to be masked in whatever is shown of it."""

    least_time: float = attrs.field(init=False, default=0.0)
    """The shortest time in which a job may be created and polled, in seconds."""
    last_poll_margin: float = attrs.field(init=False, default=0.0)
    """How long before its deadline a job may be given up, in seconds, because no other poll fits in."""

    def new_speed(self) -> Speed:
        """Return what is known of the speed of the provider before its first job."""
        return Speed()

    @abstractmethod
    def remote(self) -> RemoteAccount:
        """Return the account as one at a service. Raises NotOffered for a local provider."""

    @abstractmethod
    def why_no_reports(self) -> str | None:
        """Return why wrong answers cannot be reported, or None if they can."""

    def problems(self, settings: HubSettings) -> Iterable[str]:  # noqa: ARG002 - for the subclasses
        """Yield what the settings want of the account that it can't do, each with its key."""
        if self.settings.report_wrong and (why := self.why_no_reports()) is not None:
            yield f"providers.{self.name}.report_wrong: {why}; leave it out"

    @abstractmethod
    async def aclose(self) -> None:
        """Close the account's connections or threads."""

    def too_short(self) -> NotAsked:
        """Return the error of an attempt for which too little time is left."""
        return NotAsked(f"less than {self.least_time:g} s was left, too little to create a job there")

    def sent_options(self, task: Task[Solution]) -> Collection[str]:
        """Return the names of the task's options that reach the provider."""
        return self.call_plugin(Collection, self.provider.sent_options, task)

    def start_reading_prices(
        self,
        kind: str,  # noqa: ARG002 - for accounts at a service
        background: BackgroundTasks,  # noqa: ARG002
    ) -> asyncio.Task[None] | None:
        """Start to read the price list if it is time for that, or return None."""
        return None

    def carried_over(self, before: Account) -> Account:
        """Return the account with what is known of the one that it replaces after a reload.

        That is nothing if the account is another one. If only its limits have changed, what is under way
        there still counts.
        """
        own, was = self.settings, before.settings
        if (own.plugin, own.own, own.unusable) != (was.plugin, was.own, was.unusable):
            self.admission.replace(before.admission)
            return self
        before.admission.follow(own)
        return attrs.evolve(self, admission=before.admission, speed=before.speed)

    def candidate(self, kind: str) -> Candidate:
        """Return what is known of the account for tasks of a kind."""
        moment = now()
        return Candidate(
            self.name,
            self.settings.plugin,
            self.prices.of(kind),
            self.speed[kind].latency.seconds_per_answer(moment),
            self.admission.health.state_at(moment),
        )

    def offer(self) -> str:
        """Return a phrase that says which kinds of task the account takes."""
        if self.settings.unusable is not None:
            return f"{self.name} can't be called: {self.settings.unusable}"
        return f"{self.name} takes {self.kinds_text}"

    @property
    def kinds_text(self) -> str:
        """The kinds of task that the account takes."""
        return ", ".join(sorted(self.provider.kinds)) or "none"

    def health(self) -> ProviderHealth:
        """Return whether the provider is called now, with times of the wall clock."""
        moment, today = now(), datetime.now(UTC)
        health = self.admission.health.seen_at(moment)

        def on_the_wall(at: float | None) -> datetime | None:
            return None if at is None else today + timedelta(seconds=at - moment)

        return ProviderHealth(
            state=health.state_at(moment),
            reason=health.reason,
            since=on_the_wall(health.since),
            until=on_the_wall(health.until),
        )


@attrs.frozen(eq=False, kw_only=True)
class RemoteAccount(Account):
    """An account at a service."""

    provider: Provider
    transport: Transport
    identity: AccountIdentity = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: identity_of(self.settings, self.provider), takes_self=True),
    )
    """Which account at the service it is."""
    short_digests: tuple[str, ...] = attrs.field(
        init=False, default=attrs.Factory(lambda self: self.identity.short_digests, takes_self=True)
    )
    """Those of its identity; computed once, because each of them is a hash."""
    price_list: PriceListReader = attrs.field(
        init=False, default=attrs.Factory(lambda self: PriceListReader(self.prices), takes_self=True)
    )
    pace: Pace = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: _pace_of(self.settings, self.provider), takes_self=True),
    )
    """How its jobs may be polled."""
    # Computed once, because each solve needs them several times.
    least_time: float = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: (self.pace.min_first_delay or 0.0) + self.pace.margin, takes_self=True
        ),
    )
    last_poll_margin: float = attrs.field(
        init=False, default=attrs.Factory(lambda self: self.pace.margin, takes_self=True)
    )

    def new_speed(self) -> Speed:
        """Return what is known of the speed of the provider before its first job."""
        return Speed(polling=LearnedPolling(self.provider.usual_job_time))

    def remote(self) -> RemoteAccount:
        """Return the account."""
        return self

    # The calls that are not about jobs. All are free, and none is repeated.

    async def balance(self) -> Balance:
        """Return what is left on the account. Raises NotOffered or a ProviderError."""
        request = self.call_plugin(Request, self.provider.ask_balance, optional=True)
        return await self._call(request, Balance, self.provider.read_balance)

    async def services(self) -> tuple[Service, ...]:
        """Return the service's price list. Raises NotOffered or a ProviderError."""
        request = self.call_plugin(Request, self.provider.ask_services, optional=True)
        services = tuple(await self._call(request, Sequence, self.provider.read_services))
        # Plugins need not use a type checker.
        if not all(isinstance(line, Service) for line in services):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise PluginFault(f"the plugin {self.settings.plugin!r} returned a price list of other things")
        for line in services:
            if line.kind is not None and line.average_time is not None:
                self.speed[line.kind].polling.expect(line.average_time)
        return services

    async def report(self, job: Job, *, correct: bool) -> None:
        """Report to the service whether a job's answer was right. Raises NotOffered or a ProviderError."""
        provider = self.provider
        request = self.call_plugin(Request, provider.ask_report, job, optional=True, correct=correct)
        await self._call(request, type(None), provider.read_report)

    async def _call(self, request: Request, wanted: Any, read: Callable[[Reply], T]) -> T:
        with self.usage:
            reply = await self.transport.send(request, timeout=self.settings.poll_timeout)
        return self.call_plugin(wanted, read, reply, optional=True)

    def start_reading_prices(self, kind: str, background: BackgroundTasks) -> asyncio.Task[None] | None:
        """Start to read the price list if it is time for that, or return None."""
        if not self.prices.wants_list(kind, now()):
            return None
        return self.price_list.start(self.services, background)

    async def ensure_price(self, kind: str, background: BackgroundTasks, patience: float) -> None:
        """Read the price list if a job needs it. See :meth:`PriceListReader.ensure_price`."""
        await self.price_list.ensure_price(kind, self.services, background, patience)

    def why_no_reports(self) -> str | None:
        """Return why wrong answers cannot be reported, or None if they can."""
        return self._why_not(self.provider.ask_report, Job("1", ""), correct=False)

    def _why_not(self, ask: Callable[..., object], *values: object, **named: object) -> str | None:
        """Return why the service has no such call, in the plugin's words, or None. Nothing is sent."""
        try:
            self.call_plugin(object, ask, *values, optional=True, **named)
        except NotOffered as error:
            return str(error) or f"{self.settings.plugin} has no such call"
        except CaptchaHubError:
            # It has the call. That it refuses the made-up job of this check is no surprise.
            return None
        return None

    def problems(self, settings: HubSettings) -> Iterable[str]:
        """Yield what the settings want of the account that it can't do, each with its key."""
        yield from super().problems(settings)
        yield from self._unpriced(settings)
        yield from self._too_hasty()

    def _too_hasty(self) -> Iterable[str]:
        """Yield each time of a poll that is sooner than the service allows."""
        poll, provider = self.settings.poll, self.provider
        for key, seconds, least, between in (
            ("every", poll.every, provider.min_poll_interval, "between two polls of a job"),
            ("first", poll.first, provider.min_first_poll_delay, "before the first poll of a job"),
        ):
            if (
                seconds is not None
                and least is not None
                and seconds < least
                and not self._is_on_this_machine()
            ):
                yield (
                    f"providers.{self.name}.poll.{key}: {seconds:g}s is less than the {least:g}s that "
                    f"the service allows {between}; write at least that, or leave it out. "
                    "Only a sandbox on this machine may be polled faster"
                )

    def _is_on_this_machine(self) -> bool:
        """Return whether the service stands in for the real one on this machine, as a sandbox does."""
        # The plugin makes the request of a poll, which is not sent.
        url = polled_url(self.provider)
        # If the plugin names no address, or wants another job id, its settings say where the service is.
        addresses = _addresses_in(self.settings.own) if url is None else [url]
        return bool(addresses) and all(map(_is_of_this_machine, addresses))

    def _unpriced(self, settings: HubSettings) -> Iterable[str]:
        """Yield each task kind that has no price, ever, though there is a budget to keep."""
        own = self.settings
        if (own.budget or settings.budget) is None or own.kind.is_free:
            return
        if self._why_not(self.provider.ask_services) is None:
            return
        for kind in sorted(self.provider.kinds):
            route = settings.routes.get(kind)
            if kind not in own.prices and (route is None or own.name in route.names):
                unknown = f"the price of {kind} there is unknown, and there is a budget to keep"
                yield f"providers.{own.name}.prices: {unknown}; write the price"

    async def aclose(self) -> None:
        """Close the account's connections."""
        await self.transport.aclose()


@attrs.frozen(eq=False, kw_only=True)
class LocalAccount(Account):
    """The account of a local provider, which solves in this process."""

    provider: LocalProvider
    workers: Workers

    def remote(self) -> RemoteAccount:
        """Raise NotOffered."""
        if self.settings.unusable is not None:
            raise NotOffered(self.settings.unusable)
        raise NotOffered(f"{self.name} works in this process: it has no account at a service")

    def why_no_reports(self) -> str:
        """Return why wrong answers cannot be reported."""
        return f"{self.settings.plugin} works in this process: no service takes reports"

    def problems(self, settings: HubSettings) -> Iterable[str]:
        """Yield what the settings want of the account that it can't do, each with its key."""
        yield from super().problems(settings)
        if self.settings.budget is not None:
            yield (
                f"providers.{self.name}.budget: {self.settings.plugin} works in this process, where no "
                "service charges anything; leave it out"
            )

    async def aclose(self) -> None:
        """End the threads, if the engine lets them."""
        await self.workers.aclose(_LOCAL_PATIENCE)


async def read_due_price_lists(
    kind: str, accounts: Sequence[Account], background: BackgroundTasks, patience: float
) -> None:
    """Read the price lists that are due. Wait for them only if some price is not known without."""
    started = (account.start_reading_prices(kind, background) for account in accounts)
    readings = [reading for reading in started if reading is not None]
    if readings and any(account.prices.of(kind) is None for account in accounts):
        await asyncio.wait(readings, timeout=patience)


def _pace_of(settings: ProviderSettings, provider: Provider) -> Pace:
    poll = settings.poll
    return Pace(
        interval=provider.min_poll_interval if poll.every is None else poll.every,
        min_first_delay=provider.min_first_poll_delay if poll.first is None else None,
        first=poll.first,
        has_fixed_gaps=poll.every is not None,
        aim=poll.aim,
    )


def _addresses_in(own: object) -> list[str]:
    values = attrs.astuple(own, recurse=False) if attrs.has(type(own)) else ()  # type: ignore[arg-type]  # it is one
    return [value for value in values if isinstance(value, str) and "://" in value]


def _is_of_this_machine(address: str) -> bool:
    try:
        return is_loopback(urlsplit(address).hostname)
    except ValueError:
        return False
