"""The solves under way in one hub. Equal tasks share one: the solve of the first answers them all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from decimal import Decimal
from typing import Any, TypeVar, cast

import attrs

from captchahub._support.background import cancel_all
from captchahub._support.clock import now
from captchahub.errors import (
    INSTEAD_OF_WAITING,
    Attempt,
    CaptchaHubError,
    HubClosed,
    NotAsked,
    SolveTimeout,
    TaskError,
)
from captchahub.results import Result
from captchahub.tasks import Solution
from captchahub.tickets import Progress

__all__ = ["CLOSED_MEANWHILE", "Sharing", "is_being_cancelled"]

CLOSED_MEANWHILE = "the hub was closed while it worked on this"

S = TypeVar("S", bound=Solution)

Begin = Callable[[float], Coroutine[Any, Any, Result[S]]]


@attrs.define(eq=False)
class _InFlight:
    """A solve under way, and how many callers wait for it. The last one drops the task."""

    fingerprint: str | None
    progress: Progress
    task: asyncio.Task[Result[Any]] | None
    waiting: int = 0


class Sharing:
    """The solves under way in one hub. Equal tasks share one, by their fingerprint."""

    def __init__(self) -> None:
        self._shared: dict[str, _InFlight] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    async def solve(
        self, fingerprint: str | None, timeout: float, begin: Begin[S], progress: Progress
    ) -> Result[S]:
        """Return the result of an equal solve that is under way, otherwise of one that starts here.

        ``fingerprint`` is None for a task that is not shared. ``begin`` makes a solve that may take so many
        seconds. If the other one fails, a solve of its own takes its place. ``progress`` receives the token
        of the job, whichever solve created it. Cancelling ends the solve only if no other caller waits for
        it. Raises HubClosed if the hub is closed.
        """
        left, begun = timeout, now()
        while fingerprint is not None and (shared := self._shared.get(fingerprint)) is not None:
            progress.followed = shared.progress
            result = await self._follow(shared, begun + timeout)
            if result is not None:
                return result
            left = begun + timeout - now()
            if left <= 0:
                raise _too_late(timeout)
            # It has failed, and its own caller may not have been woken yet.
            self._forget(shared)
        progress.followed = None
        if self._is_closed:
            raise HubClosed(CLOSED_MEANWHILE) if left < timeout else HubClosed
        started = _InFlight(fingerprint, progress, asyncio.get_running_loop().create_task(begin(left)))
        self._add(started)
        return cast("Result[S]", await self._wait(started))

    def _add(self, solve: _InFlight) -> None:
        if solve.fingerprint is not None:
            self._shared[solve.fingerprint] = solve
        if solve.task is not None:
            self._tasks.add(solve.task)
            solve.task.add_done_callback(self._tasks.discard)

    def _forget(self, solve: _InFlight) -> None:
        """Let the next caller of an equal task start a solve of its own."""
        # Another solve may have taken its place already.
        if solve.fingerprint is not None and self._shared.get(solve.fingerprint) is solve:
            del self._shared[solve.fingerprint]

    async def _follow(self, shared: _InFlight, deadline: float) -> Result[Any] | None:
        """Return the result of another caller's solve, or None if it brings none by the deadline."""
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

    async def _wait(self, solve: _InFlight) -> Result[Any]:
        assert solve.task is not None  # noqa: S101 - as long as it is shared
        solve.waiting += 1
        try:
            return await asyncio.shield(solve.task)
        finally:
            solve.waiting -= 1
            if not solve.waiting:
                await self._end(solve)

    async def _end(self, solve: _InFlight) -> None:
        self._forget(solve)
        if solve.task is not None and not solve.task.done():
            solve.task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await asyncio.wait([solve.task])
        # The task holds its error, whose frames hold this object.
        solve.task = None

    async def aclose(self) -> None:
        """Cancel all solves, and start no more."""
        self._is_closed = True
        await cancel_all(self._tasks)


def is_being_cancelled() -> bool:
    """Return whether the running task is cancelled, and not only something that it waits for."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


def _too_late(timeout: float) -> SolveTimeout:
    waited = NotAsked("an equal task of another solve was waited for", advice=INSTEAD_OF_WAITING)
    attempt = Attempt("another solve", timeout, error=waited)
    return SolveTimeout(f"this task was not solved within {timeout:g} s", [attempt])
