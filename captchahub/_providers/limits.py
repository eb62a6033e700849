"""The two limits of one provider: how many attempts at a time, and how many new jobs in a given time."""

from __future__ import annotations

import asyncio
from collections import deque

from captchahub._policy.rate import SlidingWindow
from captchahub._support.clock import now
from captchahub.errors import NotAsked
from captchahub.settings import Rate

_WHAT_HELPS = "raise that limit, give it more time, or add a provider to the route"


def too_late(limit: str) -> NotAsked:
    """Return the error of an attempt that waited for a limit until there was no time left for a job."""
    return NotAsked(f"waiting left no time for a job: {limit}", advice=_WHAT_HELPS)


class Slots:
    """At most ``limit`` attempts at a time. Attempts that wait get a slot in the order in which they came."""

    # Not asyncio.Semaphore: it can't follow a limit that is lowered while more slots than that are taken.

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.taken = 0
        """How many slots are taken."""
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self, until: float) -> str | None:
        """Take a slot. Return the limit if the attempt had to wait for it, or None.

        ``until`` is in the loop's time. Raises :class:`~captchahub.errors.NotAsked` if none is free by then.
        """
        if self.taken < self._limit:
            self.taken += 1
            return None
        limit = f"max_in_flight is {self._limit}"
        slot = asyncio.get_running_loop().create_future()
        self._waiting.append(slot)
        try:
            async with asyncio.timeout_at(until):
                await slot
        except BaseException as error:
            if slot.done() and not slot.cancelled():
                # It was granted in the moment in which the wait ended.
                self.release()
            elif slot in self._waiting:
                self._waiting.remove(slot)
            if isinstance(error, TimeoutError):
                raise NotAsked(f"no slot came free in time: {limit}", advice=_WHAT_HELPS) from None
            raise
        return limit

    def release(self) -> None:
        """Give a slot back, to the attempt that has waited longest."""
        self.taken -= 1
        self._grant()

    def follow(self, limit: int) -> None:
        """Change the limit. Slots that are taken stay taken, and count."""
        self._limit = limit
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self.taken < self._limit:
            slot = self._waiting.popleft()
            # The attempt may have been cancelled in this moment, and not have run since.
            if not slot.done():
                self.taken += 1
                slot.set_result(None)


class RateLimiter:
    """Limits the jobs in a given time. Attempts that wait are served in the order in which they came."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._window = SlidingWindow(rate)
        # asyncio.Lock wakes those who wait for it in their order of arrival.
        self._turn = asyncio.Lock()

    def follow(self, rate: Rate) -> None:
        """Change the rate. Recent jobs count, as far as they are known."""
        if rate != self._rate:
            self._rate, self._window = rate, SlidingWindow(rate, self._window)

    @property
    def opens_at(self) -> float:
        """When the rate allows the next job at the earliest, in the loop's time."""
        return self._window.opens_at(now())

    async def acquire(self, until: float, *, spare: float = 0.0) -> str | None:
        """Wait until one more job is allowed. Return the limit if the attempt had to wait for it, or None.

        Raises :class:`~captchahub.errors.NotAsked` if that is not before ``until``, in the loop's time, or if
        it is known to leave less than ``spare`` seconds until then.
        """
        limit = f"the rate is {self._rate}"
        must_wait = self._turn.locked() or self.opens_at > now()
        try:
            async with asyncio.timeout_at(until):
                await self._take(until - spare)
        except TimeoutError:
            raise NotAsked(f"no job was allowed in time: {limit}", advice=_WHAT_HELPS) from None
        return limit if must_wait else None

    async def _take(self, until: float) -> None:
        window = self._window
        if _is_too_late(window, until):
            raise TimeoutError
        async with self._turn:
            # Attempts that were served meanwhile have moved it.
            if _is_too_late(window, until):
                raise TimeoutError
            opens_at = window.opens_at(now())
            # With the lock held, so that the next attempt sees the window as this one leaves it.
            await asyncio.sleep(opens_at - now())
            window.take(max(opens_at, now()))


def _is_too_late(window: SlidingWindow, until: float) -> bool:
    """Return whether the window opens only after ``until``. An attempt never waits for one that is open."""
    moment = now()
    return window.opens_at(moment) > max(until, moment)
