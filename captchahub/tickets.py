"""Tickets for solves under way: wait for one, look at it, cancel it."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

import attrs

from captchahub._support.forking import process, refuse_elsewhere
from captchahub.errors import SolveCancelled
from captchahub.results import Result
from captchahub.tasks import Solution

__all__ = ["AsyncTicket", "Progress", "Ticket"]

S = TypeVar("S", bound=Solution)

_TICKET = "a ticket"


class Ticket(Generic[S]):
    """A solve submitted to a :class:`~captchahub.hub.Hub`; any thread of the process may use it.

    A forked child can't wait for it. Solve the task there, which shares the job, or attach its token.
    """

    def __init__(self, future: concurrent.futures.Future[Result[S]], progress: Progress) -> None:
        self._future = future
        self._progress = progress
        self._home = process()

    @property
    def token(self) -> str | None:
        """The job as a text for ``hub.attach``, here or elsewhere, or None if there is no job yet.

        If several jobs were created, it is the latest. It holds no secret.
        """
        return self._progress.token

    def result(self, timeout: float | None = None) -> Result[S]:
        """Wait for the result, for at most ``timeout`` seconds, and return it.

        Raises TimeoutError if the result is not there by then (the solve goes on),
        :class:`~captchahub.errors.SolveCancelled`, whatever the solve raised, or RuntimeError in a forked
        child.
        """
        refuse_elsewhere(self._home, _TICKET)
        try:
            return self._future.result(timeout)
        except concurrent.futures.CancelledError:
            raise SolveCancelled("this solve was cancelled") from None

    def done(self) -> bool:
        """Return whether the solve has ended, in whatever way."""
        return self._future.done()

    def cancel(self) -> bool:
        """Cancel the solve. Return False if it has already ended. A job that was created stays paid for.

        Does nothing in a forked child.
        """
        return process() == self._home and self._future.cancel()

    def when_done(self, call: Callable[[], object]) -> None:
        """Call ``call()`` once the solve has ended; at once if it has.

        The call is made in this thread or in the hub's own, which it must not block.
        """
        refuse_elsewhere(self._home, _TICKET)
        self._future.add_done_callback(lambda _: call())


class AsyncTicket(Generic[S]):
    """A solve submitted to an :class:`~captchahub.async_hub.AsyncHub`: ``await`` it for the result."""

    def __init__(self, task: asyncio.Task[Result[S]], progress: Progress) -> None:
        self._task = task
        self._progress = progress
        self._home = process()
        task.add_done_callback(_look_at)

    @property
    def token(self) -> str | None:
        """As :attr:`Ticket.token`."""
        return self._progress.token

    async def result(self, timeout: float | None = None) -> Result[S]:
        """As :meth:`Ticket.result`. Cancelling the wait does not cancel the solve."""
        refuse_elsewhere(self._home, _TICKET)
        # Not wait_for(), which cancels what it waits for when the time is up.
        await asyncio.wait([self._task], timeout=timeout)
        if not self._task.done():
            raise TimeoutError
        if self._task.cancelled():
            raise SolveCancelled("this solve was cancelled")
        return self._task.result()

    def __await__(self) -> Generator[Any, None, Result[S]]:
        return self.result().__await__()

    def done(self) -> bool:
        """Return whether the solve has ended, in whatever way."""
        return self._task.done()

    def cancel(self) -> bool:
        """As :meth:`Ticket.cancel`."""
        return process() == self._home and self._task.cancel()


def _look_at(task: asyncio.Task[Any]) -> None:
    # A ticket may be dropped, and asyncio logs errors that were never retrieved.
    if not task.cancelled():
        task.exception()


@attrs.define
class Progress:
    """Where a solve leaves the token of its latest job for the ticket."""

    job: object = None
    """The latest job, whose ``str()`` is its token, or None. Made a text on demand, which is seldom."""
    followed: Progress | None = None
    """The progress of the solve for an equal task that this one waits for, or None."""

    @property
    def token(self) -> str | None:
        """The token of the latest job, or None if there is none yet."""
        if self.followed is not None:
            return self.followed.token
        return None if self.job is None else str(self.job)
