"""Lets equal tasks share one solve: the first caller's solve answers those who come while it is under way."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from decimal import Decimal
from typing import Any, TypeVar, cast

import attrs

from captchahub._support.clock import now
from captchahub.errors import (
    INSTEAD_OF_WAITING,
    Attempt,
    CaptchaHubError,
    NotAsked,
    SolveTimeout,
    TaskError,
)
from captchahub.results import Result
from captchahub.tasks import Solution
from captchahub.tickets import Progress

S = TypeVar("S", bound=Solution)


@attrs.define(eq=False)
class _InFlight:
    """A solve under way, and how many callers wait for it. The last one drops the task."""

    fingerprint: str | None
    progress: Progress
    task: asyncio.Task[Result[Any]] | None
    waiting: int = 0


class Sharing:
    """The solves under way in one hub that equal tasks share, by their fingerprint."""

    def __init__(self) -> None:
        self._shared: dict[str, _InFlight] = {}

    async def follow(
        self, fingerprint: str | None, timeout: float, progress: Progress
    ) -> Result[Any] | float:
        """Return the result of an equal solve, or the seconds that are left for one of the caller's own.

        ``fingerprint`` is None for a task that is not shared. ``progress`` receives the token of the job that
        is waited for. Raises SolveTimeout if no time is left.
        """
        left, begun = timeout, now()
        while fingerprint is not None and (shared := self._shared.get(fingerprint)) is not None:
            progress.followed = shared.progress
            result = await self._result_of(shared, begun + timeout)
            if result is not None:
                return result
            left = begun + timeout - now()
            if left <= 0:
                waited = NotAsked("an equal task of another solve was waited for", advice=INSTEAD_OF_WAITING)
                attempt = Attempt("another solve", timeout, error=waited)
                raise SolveTimeout(f"this task was not solved within {timeout:g} s", [attempt])
            # It has failed, and its own caller may not have been woken yet.
            self._forget(shared)
        progress.followed = None
        return left

    async def lead(
        self, fingerprint: str | None, task: asyncio.Task[Result[S]], progress: Progress
    ) -> Result[S]:
        """Return the result of a solve, which equal tasks follow from now on.

        Cancelling ends the solve only if no other caller waits for it.
        """
        solve = _InFlight(fingerprint, progress, task)
        # A task holds its error, and the error this frame: a cycle that would keep the picture.
        del task
        if fingerprint is not None:
            self._shared[fingerprint] = solve
        return cast("Result[S]", await self._wait(solve))

    def _forget(self, solve: _InFlight) -> None:
        """Let the next caller of an equal task start a solve of its own."""
        # Another solve may have taken its place already.
        if solve.fingerprint is not None and self._shared.get(solve.fingerprint) is solve:
            del self._shared[solve.fingerprint]

    async def _result_of(self, shared: _InFlight, deadline: float) -> Result[Any] | None:
        """Return the result of another caller's solve, or None if it brings none by the deadline."""
        try:
            async with asyncio.timeout_at(deadline):
                result = await self._wait(shared)
        except (TimeoutError, asyncio.CancelledError):
            if is_being_cancelled():
                raise
            return None
        except TaskError:
            # The task is the caller's own, too.
            raise
        except CaptchaHubError:
            return None
        return attrs.evolve(result, cost=Decimal(0), attempts=(), is_shared=True)

    async def _wait(self, solve: _InFlight) -> Result[Any]:
        task = solve.task
        assert task is not None  # noqa: S101 - as long as it is shared
        solve.waiting += 1
        try:
            # Other callers may wait for the same task, so cancelling one of them must not cancel it.
            return await asyncio.shield(task)
        finally:
            solve.waiting -= 1
            if not solve.waiting:
                self._forget(solve)
                if not task.done():
                    task.cancel()
                    with suppress(asyncio.CancelledError, Exception):
                        await asyncio.wait([task])
                solve.task = None
            # See lead().
            del task


def is_being_cancelled() -> bool:
    """Return whether the running task is cancelled, and not only something that it waits for."""
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0
