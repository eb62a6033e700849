"""What stands between a solve and one provider: its health and its limits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

import attrs

from captchahub._plugins.dispatcher import EventDispatcher
from captchahub._policy.error_table import HealthEffect
from captchahub._policy.health import Health, Pass
from captchahub._policy.rate import SlidingWindow
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub.errors import AmbiguousCreate, NotAsked, RateLimited, ServiceUnavailable
from captchahub.events import CooledDown, Event, Recovered
from captchahub.provider import Balance
from captchahub.results import ProviderState
from captchahub.settings import ProviderSettings

__all__ = ["Admission", "ChangeSignal", "Permit", "Slot", "too_late"]

_TOO_FULL = "raise that limit, give it more time, or add a provider to the route"


class ChangeSignal:
    """Tells whoever waits that some provider may be asked again."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def next(self) -> asyncio.Future[None]:
        """Done at the next change; cancel it when it is no longer wanted."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return future

    def notify(self) -> None:
        """Something changed."""
        for future in list(self._waiting):
            if not future.done():
                future.set_result(None)


@attrs.define
class Permit:
    """One attempt's leave to send, and what its provider's health is to learn of how it ended.

    An attempt that does not say how it ended, because it was cancelled, says nothing of the provider.
    """

    given: Pass
    effect: HealthEffect = HealthEffect.NONE
    error: Exception | None = None

    def end(self, error: Exception | None, effect: HealthEffect) -> None:
        """Note how the attempt ended."""
        self.error, self.effect = error, effect


class Slot:
    """One of the places at a provider, held until it is left; longer where something still works there."""

    def __init__(self, waited_for: str | None = None) -> None:
        self.waited_for = waited_for
        """The limit that had to be waited for; None where none had."""
        self.busy: Future[Any] | None = None


def too_late(limit: str) -> NotAsked:
    """What to say where waiting for a limit left no time for an order."""
    return NotAsked(f"waiting left no time to order anything, where {limit}", advice=_TOO_FULL)


def _is_too_late(rate: SlidingWindow, until: float) -> bool:
    """Whether the next turn is only after ``until``; one that is there now is not waited for."""
    moment = now()
    return rate.opens_at(moment) > max(until, moment)


class Admission:
    """The way to one provider, for all solves of a hub."""

    def __init__(
        self, settings: ProviderSettings, changes: ChangeSignal, dispatcher: EventDispatcher
    ) -> None:
        self._settings: ProviderSettings = settings
        self._name = settings.name
        self._changes = changes
        self._dispatcher = dispatcher
        self._places = asyncio.Semaphore(settings.max_in_flight)
        self._surplus = 0
        """Places that a newer limit takes away, as soon as they come free."""
        self._is_retired = False
        self._turns = asyncio.Lock()
        self._rate = None if settings.rate is None else SlidingWindow(settings.rate)
        self.health = Health(settings.health)
        if settings.unusable is not None:
            self.health = Health(settings.health, ProviderState.OUT, settings.unusable)

    @asynccontextmanager
    async def slot(self, until: float) -> AsyncGenerator[Slot]:
        """Hold one of the places, which go to those who wait in the order of their coming.

        Raises :class:`~captchahub.errors.NotAsked` where none is free by ``until``, in the loop's time.
        """
        limit, was_full = f"max_in_flight is {self._settings.max_in_flight}", self._places.locked()
        try:
            async with asyncio.timeout_at(until):
                await self._take_place()
        except TimeoutError:
            raise NotAsked(f"no place came free in time, where {limit}", advice=_TOO_FULL) from None
        place = Slot(limit if was_full else None)
        try:
            yield place
        finally:
            self._leave(place)

    async def _take_place(self) -> None:
        await self._places.acquire()
        while self._surplus:
            self._surplus -= 1
            await self._places.acquire()

    def _leave(self, place: Slot) -> None:
        if place.busy is None or place.busy.done():
            self._places.release()
            return
        loop = asyncio.get_running_loop()

        def release(_: object) -> None:
            # Called in the thread that was busy, which may outlive the hub.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._places.release)

        place.busy.add_done_callback(release)

    async def rate_permit(self, until: float, place: Slot | None = None, *, spare: float = 0.0) -> None:
        """Wait for the rate to allow one more order; those who wait are served in the order of their coming.

        ``place`` is told where there was anything to wait for.

        Raises :class:`~captchahub.errors.NotAsked` where that is not by ``until``, in the loop's time, or is
        known to leave less than ``spare`` seconds until then.
        """
        if self._rate is None:
            return
        limit, moment = f"the rate is {self._settings.rate}", now()
        if place is not None and (self._turns.locked() or self._rate.opens_at(moment) > moment):
            place.waited_for = limit
        try:
            async with asyncio.timeout_at(until):
                await self._wait_for_turn(self._rate, until - spare)
        except TimeoutError:
            raise NotAsked(f"no turn came in time, where {limit}", advice=_TOO_FULL) from None

    async def _wait_for_turn(self, rate: SlidingWindow, until: float) -> None:
        if _is_too_late(rate, until):
            raise TimeoutError
        async with self._turns:
            if _is_too_late(rate, until):
                raise TimeoutError
            opens_at = rate.opens_at(now())
            await asyncio.sleep(opens_at - now())
            rate.take(max(opens_at, now()))

    @property
    def next_turn(self) -> float:
        """When the rate allows the next order at the soonest."""
        return now() if self._rate is None else self._rate.opens_at(now())

    @property
    def is_open(self) -> bool:
        """Whether its health lets it be asked now."""
        return self.health.admits(now())

    def admits(self, *, is_early: bool) -> bool:
        """The same; ``is_early`` where it is by a solve that has nobody else to ask."""
        return self.health.admits(now(), is_early=is_early)

    @contextmanager
    def permit(self, *, is_early: bool = False) -> Generator[Permit | None]:
        """Leave for one attempt, None where the provider may not be asked now.

        ``is_early`` is as for :meth:`admits`.
        """
        health, given = self.health.admit(now(), is_early=is_early)
        if given is None:
            yield None
            return
        if not given.is_probe:
            self._set(health)
        else:
            self.health = health
            log.info("%s is half-open: this attempt, the probe, finds out whether it works", self._name)
        permit = Permit(given)
        try:
            yield permit
        finally:
            self._learn(permit)

    def created(self, given: Pass) -> None:
        """Note that the service took a job."""
        self._set(self.health.created(given, now()), is_probe=given.is_probe)

    def follow(self, settings: ProviderSettings) -> None:
        """Keep to other limits and rules from now on; what is under way counts for them."""
        more = settings.max_in_flight - self._settings.max_in_flight
        kept = max(self._surplus - more, 0)
        for _ in range(max(more - self._surplus, 0)):
            self._places.release()
        self._surplus = kept
        if settings.rate != self._settings.rate:
            self._rate = None if settings.rate is None else SlidingWindow(settings.rate, self._rate)
        self._settings = settings
        self.health = attrs.evolve(self.health, rules=settings.health)

    def begin_anew(self, before: Admission) -> None:
        """Come in the place of another account's admission, which has nothing more to tell."""
        before.retire()
        anew, self.health = self.health, before.health
        self._set(anew)

    def retire(self) -> None:
        """Tell nobody any more of the health of an account that is gone."""
        self._is_retired = True

    def revive(self) -> None:
        """Ask the provider again from now on, whatever was wrong with it."""
        self._set(self.health.revived(now()))

    def take_balance(self, balance: Balance) -> None:
        """Ask it again from now on, where it was out and this balance says that the account is good."""
        if self.health.state is ProviderState.OUT and balance.can_pay:
            self.revive()

    def _learn(self, permit: Permit) -> None:
        error = permit.error
        is_probe = permit.given.is_probe and self.health.state is ProviderState.HALF_OPEN
        after = self.health.after(
            permit.given,
            permit.effect,
            now(),
            reason="" if error is None else f"{type(error).__name__}: {error}",
            retry_after=_pause_of(error),
        )
        self._set(after, is_probe=is_probe, is_early=permit.given.is_early)

    def _set(self, health: Health, *, is_probe: bool = False, is_early: bool = False) -> None:
        before, self.health = self.health, health
        if before.state is not health.state and not self._is_retired:
            self._tell(health, is_probe=is_probe, is_early=is_early)
            self._dispatcher.emit(partial(_event, self._name, health, now()))
        if before.opens_at != health.opens_at:
            self._changes.notify()

    def _tell(self, health: Health, *, is_probe: bool, is_early: bool) -> None:
        name, pause = self._name, 0.0 if health.until is None else health.until - now()
        if health.state is ProviderState.OUT:
            log.error("%s is out until hub.revive(%r): %s", name, name, health.reason)
        elif health.state is ProviderState.HEALTHY:
            log.info("%s is asked again%s", name, ": the probe found that it works" if is_probe else "")
        elif not is_probe:
            log.warning("%s is left alone for %.1f s, %s", name, pause, health.reason)
        elif is_early and pause > 0:
            opens = health.opens_early_at(math.inf)
            again = pause if opens is None else opens - now()
            told = "the probe failed, %s; where nobody else can be asked, the next one goes in %.1f s"
            log.info(f"%s: {told}", name, health.reason, again)
        elif pause > 0:
            log.warning(
                "%s is left alone for another %.1f s: the probe failed, %s", name, pause, health.reason
            )
        else:
            log.info("%s: the probe told nothing of it, so that the next attempt is one", name)

    def refusal(self, given: Pass | None = None) -> NotAsked | None:
        """Why the provider may not be asked now, or None if it may.

        ``given`` is the pass of the attempt that wants to ask it, or None if there is no attempt yet.
        """
        health = self.health
        if self.is_open if given is None else health.allows(given, now()):
            return None
        if self._settings.unusable is not None:
            return NotAsked(self._settings.unusable, advice="")
        if health.state is ProviderState.OUT:
            name = self._settings.name
            return NotAsked(f"it is out: {health.reason}", advice=f"mend that, then hub.revive({name!r})")
        if health.until is None:
            return NotAsked(f"one attempt is finding out whether it works again, after {health.reason}")
        left = health.until - now()
        if left <= 0:
            return NotAsked(f"its next order has to be a probe, after {health.reason}")
        return NotAsked(f"it is cooling for another {left:.1f} s, after {health.reason}")


def _pause_of(error: Exception | None) -> float | None:
    """The pause that the service asked for, in seconds, also where nobody knows what became of the order."""
    told = error.__cause__ if isinstance(error, AmbiguousCreate) else error
    return told.retry_after if isinstance(told, (RateLimited, ServiceUnavailable)) else None


def _event(provider: str, health: Health, moment: float, at: float) -> Event:
    """What observers are told of a provider's health; ``moment`` is the loop's time for ``at``."""
    if health.state is ProviderState.HEALTHY:
        return Recovered(at=at, provider=provider)
    until = None if health.until is None else at + health.until - moment
    return CooledDown(at=at, provider=provider, state=health.state, reason=health.reason or "", until=until)
