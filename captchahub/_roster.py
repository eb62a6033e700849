"""The accounts of one hub by their names: those that it has, and those that it is letting go of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from captchahub._accounts import Account, RemoteAccount, TransportFactory, hand_on, open_accounts
from captchahub._aftercare import Aftercare
from captchahub._clock import now
from captchahub._feed import Feed
from captchahub._gate import Changes
from captchahub._identity import Identity
from captchahub._price_list import read_price_list
from captchahub._tokens import Token
from captchahub.errors import ConfigError, NotOffered
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
    def identities(self) -> Mapping[str, Identity]:
        """Which account at a service each name is."""
        there = self._there.items()
        return {name: account.identity for name, account in there if isinstance(account, RemoteAccount)}

    def holder(self, job: Token) -> RemoteAccount:
        """The account of a job. Raises ConfigError where it is not here."""
        names = [name for name, one in self.identities.items() if {*one.seals} & {*job.account}]
        if job.provider in names or not job.account:
            return remote(self.named(job.provider))
        if names:
            return remote(self.named(names[0]))
        name = remote(self.named(job.provider)).settings.name
        raise ConfigError(
            f"job {job.job_id} is of another account than {name!r} is here: the plugin, the address or the "
            "token is not the same; attach it where that account is configured"
        )

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
        needed = [
            read_price_list(one, self._aftercare)
            for one in known
            if isinstance(one, RemoteAccount) and one.prices.wants_list(kind, now())
        ]
        if needed and any(one.prices.of(kind) is None for one in known):
            await asyncio.wait(needed, timeout=patience)

    async def aclose(self) -> None:
        """Let go of all of them."""
        await asyncio.gather(*(account.aclose() for account in (*self._there.values(), *self._leaving)))


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
