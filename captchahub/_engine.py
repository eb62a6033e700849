"""Everything a hub does, for one event loop. Asyncio, and only asyncio.

Time comes from the event loop; chance and transports are passed in. So the whole engine runs on a virtual
clock as well.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from captchahub._accounts import (
    Account,
    RemoteAccount,
    TransportFactory,
    http_transport,
    open_accounts,
    translate,
)
from captchahub._routing import order
from captchahub._solve import Solve
from captchahub.config import HubSettings
from captchahub.errors import CaptchaHubError, ConfigError, HubClosed, NotOffered, TaskError
from captchahub.provider import Balance, Reply, Request, Service
from captchahub.results import Result
from captchahub.tasks import Solution, Task

__all__ = ["Engine"]

S = TypeVar("S", bound=Solution)
T = TypeVar("T")


class Engine:
    """The accounts, and the solves under way on them."""

    def __init__(
        self,
        settings: HubSettings,
        *,
        connect: TransportFactory = http_transport,
        chance: Callable[[], float] = random.random,
    ) -> None:
        # Callers need not use a type checker, and a path is a likely slip.
        if not isinstance(settings, HubSettings):  # pyright: ignore[reportUnnecessaryIsInstance]
            found = type(settings).__name__
            raise TypeError(f"a hub takes HubSettings, not {found}: use from_yaml(path) or from_mapping(...)")
        self._settings = settings
        self._accounts = open_accounts(settings, connect)
        self._chance = chance
        self._under_way: set[asyncio.Task[object]] = set()
        self._closing: asyncio.Task[None] | None = None

    async def solve(self, task: Task[S], timeout: float | None) -> Result[S]:
        """See :meth:`captchahub.hub.Hub.solve`."""
        accounts = self._route(task)
        seconds = self._settings.timeout if timeout is None else timeout
        return await self._while_open(Solve(task, accounts, seconds, self._chance).run())

    def _route(self, task: object) -> Sequence[Account]:
        if not isinstance(task, Task):
            raise TaskError(f"a task is an ImageToText or a PhoneSlide, not {type(task).__name__}")
        offers = {name: account.provider.kinds for name, account in self._accounts.items()}
        names = order(task.kind, self._settings.routes, offers)
        if not names:
            offered = "; ".join(f"{name} takes {', '.join(sorted(kinds))}" for name, kinds in offers.items())
            raise ConfigError(f"no provider takes {task.kind} tasks ({offered}); add one that does")
        return [self._accounts[name] for name in names]

    @property
    def is_closed(self) -> bool:
        """Whether closing has begun."""
        return self._closing is not None

    async def balances(self) -> dict[str, Balance | CaptchaHubError]:
        """See :meth:`captchahub.hub.Hub.balances`."""
        found = await self._while_open(_all(self._balance(one) for one in self._accounts.values()))
        return dict(zip(self._accounts, found, strict=True))

    async def _balance(self, account: Account) -> Balance | CaptchaHubError:
        try:
            remote = _remote(account)
            provider = remote.provider
            return await _ask(remote, provider.ask_balance, Balance, provider.read_balance)
        except CaptchaHubError as error:
            return error

    async def services(self, name: str) -> tuple[Service, ...]:
        """See :meth:`captchahub.hub.Hub.services`."""
        if name not in self._accounts:
            raise ConfigError(f"there is no provider {name!r}; the providers are {', '.join(self._accounts)}")
        remote = _remote(self._accounts[name])
        provider = remote.provider
        lines = await self._while_open(_ask(remote, provider.ask_services, Sequence, provider.read_services))
        return tuple(lines)

    async def _while_open(self, work: Coroutine[Any, Any, T]) -> T:
        """The value of some work, which closing the engine cancels."""
        if self.is_closed:
            work.close()
            raise HubClosed
        child = asyncio.ensure_future(work)
        self._under_way.add(child)
        try:
            return await child
        except asyncio.CancelledError:
            if self.is_closed and not _is_being_cancelled():
                raise HubClosed("the hub was closed while it worked on this") from None
            raise
        finally:
            self._under_way.discard(child)
            del child  # it holds the error, and the error this frame

    async def aclose(self) -> None:
        """Cancel what is under way and let go of threads and sockets; a second call waits for the first."""
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        for child in self._under_way:
            child.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)
        await asyncio.gather(*(account.aclose() for account in self._accounts.values()))


def _is_being_cancelled() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


def _remote(account: Account) -> RemoteAccount:
    if isinstance(account, RemoteAccount):
        return account
    raise NotOffered(f"{account.settings.name} works in this process: it has no account at a service")


async def _all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    return await asyncio.gather(*work)


async def _ask(
    account: RemoteAccount, ask: Callable[[], Request], wanted: Any, read: Callable[[Reply], T]
) -> T:
    settings = account.settings
    request = translate(settings, Request, ask)
    reply = await account.transport.send(request, timeout=settings.poll_timeout)
    return translate(settings, wanted, read, reply)
