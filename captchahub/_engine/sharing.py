"""Equal tasks in flight in one hub: the first one's solve answers them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from decimal import Decimal
from typing import Any, TypeVar, cast

import attrs

from captchahub._support.clock import now
from captchahub.errors import INSTEAD_OF_WAITING, Attempt, CaptchaHubError, NotAsked, SolveTimeout, TaskError
from captchahub.results import Result
from captchahub.tasks import Solution
from captchahub.tickets import Progress

__all__ = ["Sharing", "is_being_cancelled"]

S = TypeVar("S", bound=Solution)

Begin = Callable[[float], Coroutine[Any, Any, Result[S]]]


@attrs.define(eq=False)
class _Shared:
    """A solve under way, and how many wait for it."""

    solve: asyncio.Task[Result[Any]]
    progress: Progress
    waiting: int = 0


class Sharing:
    """The solves under way that others may share, by the fingerprint of their task."""

    def __init__(self) -> None:
        self._under_way: dict[str, _Shared] = {}

    async def solve(self, fingerprint: str, timeout: float, begin: Begin[S], progress: Progress) -> Result[S]:
        """The result of an equal solve that is under way, else of one that is begun here.

        ``begin`` makes a solve that may take so many seconds. Where the other one fails, a solve of its own
        takes its place. ``progress`` receives the token of the job, whichever solve created it.
        Cancelling ends the solve only if no other caller waits for it.
        """
        left, deadline = timeout, now() + timeout
        while (shared := self._under_way.get(fingerprint)) is not None:
            progress.leader = shared.progress
            result = await self._follow(shared, deadline)
            if result is not None:
                return result
            left = deadline - now()
            if left <= 0:
                raise _too_late(timeout)
            # It brings nothing any more, and may be done without having been forgotten yet.
            self._forget(fingerprint, shared)
        progress.leader = None
        shared = _Shared(asyncio.ensure_future(begin(left)), progress)
        self._under_way[fingerprint] = shared
        shared.solve.add_done_callback(lambda _: self._forget(fingerprint, shared))
        return cast("Result[S]", await self._wait(shared))

    def _forget(self, fingerprint: str, shared: _Shared) -> None:
        # Another one may have taken its place.
        if shared.solve.done() and self._under_way.get(fingerprint) is shared:
            del self._under_way[fingerprint]

    async def _follow(self, shared: _Shared, deadline: float) -> Result[Any] | None:
        """The result of another's solve, None where it brings none by the deadline."""
        try:
            async with asyncio.timeout_at(deadline):
                result = await self._wait(shared)
        except (TimeoutError, asyncio.CancelledError):
            if is_being_cancelled():
                raise
            return None
        except TaskError:
            raise
        except CaptchaHubError:
            return None
        return attrs.evolve(result, cost=Decimal(0), attempts=(), is_shared=True)

    async def _wait(self, shared: _Shared) -> Result[Any]:
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.solve)
        finally:
            shared.waiting -= 1
            if not shared.waiting and not shared.solve.done():
                shared.solve.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await asyncio.wait([shared.solve])


def is_being_cancelled() -> bool:
    """Whether it is the running task that is cancelled, and not something it waits for."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


def _too_late(timeout: float) -> SolveTimeout:
    waited = NotAsked("an equal task of another solve was waited for", advice=INSTEAD_OF_WAITING)
    attempt = Attempt("another solve", timeout, error=waited)
    return SolveTimeout(f"this task was not solved within {timeout:g} s", [attempt])
