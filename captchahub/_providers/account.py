"""The configured providers, ready to work: each one's plugin object, its transport, what is known of it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar

import attrs

from captchahub._http.transport import Transport
from captchahub._policy.account_identity import AccountIdentity
from captchahub._policy.latency import LatencyStats
from captchahub._policy.polling import JobDurations, last_poll_margin
from captchahub._policy.pricing import Prices
from captchahub._providers.admission import Admission
from captchahub._support.threads import Workers
from captchahub.provider import LocalProvider, Provider
from captchahub.settings import ProviderSettings

__all__ = ["Account", "LocalAccount", "RemoteAccount", "UseCount", "last_call", "least_time"]

T = TypeVar("T")

# A local engine is the user's own code: closing waits this long for a call of it to end, in seconds.
_LOCAL_PATIENCE = 2.0


class UseCount:
    """Counts users, in one event loop."""

    def __init__(self) -> None:
        self._users = 0
        self._leaving: asyncio.Event | None = None

    @contextmanager
    def hold(self) -> Generator[None]:
        """Work with it as long as this lasts."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._leaving is not None:
                self._leaving.set()

    async def ended(self) -> None:
        """Wait until nobody works with it."""
        while self._users:
            self._leaving = asyncio.Event()
            await self._leaving.wait()


@attrs.define(eq=False)
class RemoteAccount:
    """An account at a service. What is learned of its speed is kept by task kind."""

    settings: ProviderSettings
    provider: Provider
    transport: Transport
    admission: Admission
    prices: Prices
    identity: AccountIdentity
    durations: dict[str, JobDurations] = attrs.field(factory=dict[str, JobDurations])
    speeds: dict[str, LatencyStats] = attrs.field(factory=lambda: defaultdict(LatencyStats))
    usage: UseCount = attrs.field(factory=UseCount)
    price_list: asyncio.Task[None] | None = None
    """The reading of its price list, while one is under way."""

    @property
    def pace(self) -> tuple[float, float | None]:
        """The shortest times in seconds between two questions for a job, and between the order and the first.

        The second one is None where nobody has said it.
        """
        if self.settings.poll_interval is not None:
            return self.settings.poll_interval, None
        return self.provider.min_poll_interval, self.provider.min_first_poll_delay

    async def aclose(self) -> None:
        """Let go of the transport."""
        await self.transport.aclose()


@attrs.define(eq=False)
class LocalAccount:
    """An engine in this process. What is learned of its speed is kept by task kind."""

    settings: ProviderSettings
    provider: LocalProvider
    workers: Workers
    admission: Admission
    prices: Prices
    speeds: dict[str, LatencyStats] = attrs.field(factory=lambda: defaultdict(LatencyStats))
    usage: UseCount = attrs.field(factory=UseCount)

    async def aclose(self) -> None:
        """End the threads, where the engine lets them."""
        await self.workers.aclose(_LOCAL_PATIENCE)


Account = RemoteAccount | LocalAccount


def least_time(account: Account) -> float:
    """How much time must be left, in seconds, for a try to make sense."""
    if isinstance(account, LocalAccount):
        return 0.0
    gap, least = account.pace
    return (least or 0.0) + last_poll_margin(gap)


def last_call(account: Account) -> float:
    """How long before its end a job may be given up, in seconds, as no other question fits in."""
    return last_poll_margin(account.pace[0]) if isinstance(account, RemoteAccount) else 0.0
