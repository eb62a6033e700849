"""The two limits of one provider: how many attempts at a time, and how many new jobs in a given time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

import attrs

from captchahub._policy.rate import SlidingWindow
from captchahub._support.clock import now
from captchahub.errors import JournalError, NotAsked
from captchahub.settings import Rate

_FOR_ALL = ", for all processes of the journal"

_WHAT_HELPS = "raise that limit, give it more time, or add a provider to the route"


def too_late(limit: str) -> NotAsked:
    """Return the error of an attempt that waited for a limit until there was no time left for a job."""
    return NotAsked(f"waiting left no time for a job: {limit}", advice=_WHAT_HELPS)


def journal_too_slow() -> NotAsked:
    """Return the error of an attempt whose journal did not reply as long as there was time for a job."""
    see = "see which program keeps its file or database locked, and how busy the disk is"
    return NotAsked("the journal did not reply in time", advice=see)


class Slots:
    """At most ``limit`` attempts at a time. Attempts that wait get a slot in the order in which they came.

    If other processes share the limit, this one uses only those slots that it has leased.
    """

    # Not asyncio.Semaphore: it can't follow a limit that is lowered while more slots than that are taken.

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        """How many slots are taken."""
        self.peak = 0
        """How many were needed at the same time, since this was last set."""
        self.leased = limit
        """How many slots this process may use; as many as the limit if no other process shares it."""
        self.is_asking = False
        """Whether the journal is being asked for slots."""
        self._lease_change: Callable[[bool], None] | None = None
        self._room = limit
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def needed(self) -> int:
        """How many slots are taken or waited for, up to the limit."""
        return min(self.limit, self.taken + len(self._waiting))

    @property
    def is_waited_for(self) -> bool:
        """Whether an attempt waits for a slot."""
        return bool(self._waiting)

    def share(self, lease_change: Callable[[bool], None] | None) -> None:
        """Use only slots that are leased from now on, none at first; or all of the limit, if it is None.

        ``lease_change`` is called when more of them are needed, with True, and when one that is leased no
        more is free, with False.
        """
        self._lease_change = lease_change
        self.lease(self.limit if lease_change is None else 0)

    def lease(self, count: int) -> None:
        """Use at most so many slots from now on. Slots that are taken stay taken."""
        self.leased = count
        self._room = min(self.limit, count)
        self._grant()

    async def acquire(self, until: float) -> str | None:
        """Take a slot. Return the limit if the attempt had to wait for it, or None.

        ``until`` is in the loop's time. Raises :class:`~captchahub.errors.NotAsked` if none is free by then,
        or :class:`~captchahub.errors.JournalError` if none can be leased.
        """
        if self.taken < self._room:
            self._take()
            return None
        is_shared = self._lease_change is not None
        limit = f"max_in_flight is {self.limit}{_FOR_ALL if is_shared else ''}"
        slot = asyncio.get_running_loop().create_future()
        self._waiting.append(slot)
        self.peak = max(self.peak, self.needed)
        if self._lease_change is not None:
            self._lease_change(True)
        try:
            async with asyncio.timeout_at(until):
                await slot
        except BaseException as error:
            if slot.done() and not slot.cancelled() and slot.exception() is None:
                # It was granted in the moment in which the wait ended.
                self.release()
            elif slot in self._waiting:
                self._waiting.remove(slot)
            if isinstance(error, TimeoutError):
                if self.is_asking and not self.leased and not self.taken:
                    raise journal_too_slow() from None
                raise NotAsked(f"no slot came free in time: {limit}", advice=_WHAT_HELPS) from None
            raise
        return limit

    def release(self) -> None:
        """Give a slot back, to the attempt that has waited longest."""
        self.taken -= 1
        self._grant()
        if self._lease_change is not None and self.taken >= self.leased:
            self._lease_change(False)

    def follow(self, limit: int) -> None:
        """Change the limit. Slots that are taken stay taken, and count."""
        if self._lease_change is None:
            self.leased = limit
        self.limit = limit
        self._room = min(limit, self.leased)
        self._grant()

    def refuse(self, reason: str) -> None:
        """Raise JournalError from all attempts that wait, because the journal fails."""
        while self._waiting:
            slot = self._waiting.popleft()
            if not slot.done():
                # One for each, because an error that is raised changes.
                slot.set_exception(JournalError(reason))

    def _take(self) -> None:
        self.taken += 1
        self.peak = max(self.peak, self.taken)

    def _grant(self) -> None:
        while self._waiting and self.taken < self._room:
            slot = self._waiting.popleft()
            # The attempt may have been cancelled in this moment, and not have run since.
            if not slot.done():
                self._take()
                slot.set_result(None)


class SharedTurns(Protocol):
    """The jobs of a rate that other processes leave to this one."""

    async def take(self, rate: Rate, waiting: int, until: float) -> Callable[[], None]:
        """Wait for one more job. Return what gives it back. ``waiting`` is how many wait, with this one.

        Raises TimeoutError if there is known to be none before ``until``, and JournalError.
        """
        ...


@attrs.frozen(eq=False)
class Turn:
    """One job that a rate allows.

    ``waited_for`` is the limit that the attempt had to wait for, or None. ``give_back`` leaves the job to
    another attempt, if this one does not create it.
    """

    waited_for: str | None
    give_back: Callable[[], None]


class RateLimiter:
    """Limits the jobs in a given time. Attempts that wait are served in the order in which they came."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._window = SlidingWindow(rate)
        # asyncio.Lock wakes those who wait for it in their order of arrival.
        self._turn = asyncio.Lock()
        self._given_back = asyncio.Event()
        self._waiting = 0

    def follow(self, rate: Rate) -> None:
        """Change the rate. Recent jobs count, as far as they are known."""
        if rate != self._rate:
            self._rate, self._window = rate, SlidingWindow(rate, self._window)

    @property
    def opens_at(self) -> float:
        """When the rate allows the next job at the earliest, in the loop's time."""
        return self._window.opens_at(now())

    async def acquire(self, until: float, *, spare: float = 0.0, shared: SharedTurns | None = None) -> Turn:
        """Wait until one more job is allowed.

        ``shared`` are the jobs that other processes leave to this one, if they share the rate. Raises
        :class:`~captchahub.errors.NotAsked` if no job is allowed before ``until``, in the loop's time, or if
        it is known to leave less than ``spare`` seconds until then.
        """
        limit = f"the rate is {self._rate}{'' if shared is None else _FOR_ALL}"
        begun = now()
        must_wait = self._turn.locked() or self.opens_at > begun
        self._waiting += 1
        try:
            async with asyncio.timeout_at(until):
                give_back = await self._take(until - spare, shared)
        except TimeoutError:
            raise NotAsked(f"no job was allowed in time: {limit}", advice=_WHAT_HELPS) from None
        finally:
            self._waiting -= 1
        return Turn(limit if must_wait or now() > begun else None, give_back)

    async def _take(self, until: float, shared: SharedTurns | None) -> Callable[[], None]:
        """Count one more job, once it is allowed. Return what gives it back."""
        window, give_back_shared = self._window, None
        if _is_too_late(window, until):
            raise TimeoutError
        async with self._turn:
            # Attempts that were served meanwhile have moved it.
            if _is_too_late(window, until):
                raise TimeoutError
            # With the lock held, so that the next attempt sees the window as this one leaves it.
            opens_at = await self._opened(window)
            if shared is not None:
                give_back_shared = await shared.take(self._rate, self._waiting, until)
            taken = max(opens_at, now())
            window.take(taken)

        def give_back() -> None:
            window.give_back(taken)
            self._given_back.set()
            if give_back_shared is not None:
                give_back_shared()

        return give_back

    async def _opened(self, window: SlidingWindow) -> float:
        """Wait until the window allows a job. Return since when it does, in the loop's time."""
        while True:
            self._given_back.clear()
            opens_at = window.opens_at(now())
            if opens_at <= now():
                return opens_at
            try:
                async with asyncio.timeout_at(opens_at):
                    await self._given_back.wait()
            except TimeoutError:
                return opens_at


def _is_too_late(window: SlidingWindow, until: float) -> bool:
    """Return whether the window opens only after ``until``. An attempt never waits for one that is open."""
    moment = now()
    return window.opens_at(moment) > max(until, moment)
