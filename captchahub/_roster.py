"""The accounts of one hub by their names: those that it has, and those that it is letting go of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from captchahub._accounts import Account, RemoteAccount, TransportFactory, hand_on, open_accounts
from captchahub._aftercare import Aftercare
from captchahub._calls import ask_services
from captchahub._clock import now
from captchahub._feed import Feed
from captchahub._gate import Changes
from captchahub.errors import CaptchaHubError, ConfigError, NotOffered
from captchahub.extending import Candidate
from captchahub.results import ProviderHealth
from captchahub.settings import HubSettings

__all__ = ["Roster", "candidate", "health_of", "offer", "remote"]


class Roster(Mapping[str, Account]):
    """The accounts there are now.

    Raises :class:`~captchahub.errors.ConfigError` where one can't be built, or a route can't be gone by.
    """

    def __init__(
        self,
        settings: HubSettings,
        connect: TransportFactory,
        changes: Changes,
        feed: Feed,
        aftercare: Aftercare,
    ) -> None:
        self._connect = connect
        self._changes = changes
        self._feed = feed
        self._aftercare = aftercare
        self._there = open_accounts(settings, connect, changes, feed)
        self._leaving: set[Account] = set()
        self._price_lists: dict[Account, asyncio.Task[None]] = {}

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

    def replace(self, settings: HubSettings) -> None:
        """Go by other settings. Raises ConfigError where they can't be gone by, and all stays as it was.

        What is in use of those that are gone or changed is let go of after its last use.
        """
        before = self._there
        self._there = open_accounts(settings, self._connect, self._changes, self._feed, before)
        for name, account in before.items():
            after = self._there.get(name)
            if after is not None and after is not account:
                hand_on(account, after)
            if after is not account:
                self._leaving.add(account)
                self._aftercare.adopt(asyncio.ensure_future(self._let_go(account)))

    async def _let_go(self, account: Account) -> None:
        await account.usage.ended()
        self._leaving.discard(account)
        await account.aclose()

    async def look_up_prices(self, kind: str, accounts: Iterable[Account], patience: float) -> None:
        """Read the price lists that are wanted; wait for those without which a price is not known."""
        known = list(accounts)
        asked = [self._price_list(one) for one in known if one.prices.wants_list(kind, now())]
        needed = [task for task in asked if task is not None]
        if needed and any(one.prices.of(kind) is None for one in known):
            await asyncio.wait(needed, timeout=patience)

    def _price_list(self, account: Account) -> asyncio.Task[None] | None:
        """The one reading of a provider's price list that is under way, for all who need it."""
        if isinstance(account, RemoteAccount) and account not in self._price_lists:
            reading = self._aftercare.begin(_read_price_list(account))
            self._price_lists[account] = reading
            reading.add_done_callback(lambda _: self._price_lists.pop(account))
        return self._price_lists.get(account)

    async def aclose(self) -> None:
        """Let go of all of them."""
        await asyncio.gather(*(account.aclose() for account in (*self._there.values(), *self._leaving)))


async def _read_price_list(account: RemoteAccount) -> None:
    try:
        account.prices.take_list(await ask_services(account), now())
    except CaptchaHubError:
        account.prices.has_no_list(now())


def remote(account: Account) -> RemoteAccount:
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
        account.speeds[kind].per_answer(now()),
        account.gate.health.state_at(now()),
    )


def offer(account: Account) -> str:
    """Which kinds of task an account takes, for who has one that nobody takes."""
    name, unusable = account.settings.name, account.settings.unusable
    kinds = ", ".join(sorted(account.provider.kinds)) or "none"
    return f"{name} takes {kinds}" if unusable is None else f"{name} can't be asked: {unusable}"


def health_of(account: Account) -> ProviderHealth:
    """Whether an account is asked, with times on the wall."""
    moment, today = now(), datetime.now(UTC)
    health = account.gate.health.seen_at(moment)

    def on_the_wall(at: float | None) -> datetime | None:
        return None if at is None else today + timedelta(seconds=at - moment)

    return ProviderHealth(
        state=health.state_at(moment),
        reason=health.reason,
        since=on_the_wall(health.since),
        until=on_the_wall(health.until),
    )
