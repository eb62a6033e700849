"""What stands between a solve and one provider: its circuit breaker and its limits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import attrs

from captchahub._policy.error_table import HealthEffect, row_for
from captchahub._policy.health import Health, HealthPermit
from captchahub._policy.refusals import Refusals
from captchahub._providers.limits import RateLimiter, SharedTurns, Slots, Turn
from captchahub._support.clock import now
from captchahub._support.log import log
from captchahub.errors import AmbiguousCreate, NotAsked, RateLimited, ServiceUnavailable
from captchahub.events import CooledDown, Event, Recovered
from captchahub.provider import Balance
from captchahub.results import ProviderState
from captchahub.settings import ProviderSettings


class ChangeSignal:
    """Wakes the solves of a hub when the health of some provider has changed."""

    def __init__(self) -> None:
        # A dict keeps the order: solves wake in the order in which they began, not in that of addresses.
        self._solves: dict[asyncio.Event, None] = {}
        self._listeners: list[Callable[[], None]] = []

    def add(self, solve: asyncio.Event) -> None:
        """Set this event at every change from now on."""
        self._solves[solve] = None

    def remove(self, solve: asyncio.Event) -> None:
        """Stop setting this event."""
        self._solves.pop(solve, None)

    def call(self, listener: Callable[[], None]) -> None:
        """Call this at every change from now on."""
        self._listeners.append(listener)

    def notify(self) -> None:
        """Wake all solves, and call all listeners."""
        for solve in self._solves:
            solve.set()
        for listener in self._listeners:
            listener()


@attrs.define(eq=False)
class Permit:
    """One attempt's permission to use a provider, from its admission to its end.

    An attempt that reports nothing, because it was cancelled, says nothing about the provider.
    """

    admission: Admission
    given: HealthPermit
    waited_for: str | None = None
    """The limit that the attempt had to wait for, or None."""
    turn: Turn | None = None
    """What the rate allows the attempt to create and it has not created yet, or None."""
    busy: Future[Any] | None = None
    """Done when the attempt's thread is free again, which may be after the attempt; None without a thread."""
    effect: HealthEffect = HealthEffect.NONE
    error: Exception | None = None

    def job_created(self) -> None:
        """Note that the service has created the attempt's job."""
        self.admission.job_created(self.given)

    def refusal(self) -> NotAsked | None:
        """Return why the attempt may not create a job any more, or None if it may."""
        return self.admission.refusal(self.given)

    def report(self, error: Exception | None, effect: HealthEffect) -> None:
        """Report how the attempt ended, and what that does to the provider's health."""
        self.error, self.effect = error, effect


class Admission:
    """Decides when an attempt may use a provider, for all solves of a hub.

    ``changes`` is notified when the provider may be called again; ``emit`` reports its health to observers.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        changes: ChangeSignal,
        emit: Callable[[Callable[[float], Event]], None],
    ) -> None:
        self.slots = Slots(settings.max_in_flight)
        self.health = Health(settings.health)
        if settings.unusable is not None:
            self.health = Health(settings.health, ProviderState.OUT, settings.unusable)
        self.error: str | None = None
        """The class of the error that led to the present health, as the table of errors names it, or None."""
        self._settings = settings
        self._name = settings.name
        self._changes = changes
        self._emit = emit
        self._rate = None if settings.rate is None else RateLimiter(settings.rate)
        self._is_retired = False
        self.shared_turns: SharedTurns | None = None
        """The jobs of the rate that other processes leave to this one, or None if they do not share it."""
        self.on_use_while_out: Callable[[], None] | None = None
        """Called when the provider is wanted and is out, or None; other processes may have used it again."""

    async def acquire(self, until: float, *, spare: float = 0.0, is_early: bool = False) -> Permit | None:
        """Return a permit for one attempt, or None if the circuit breaker does not allow the attempt now.

        Waits for a slot and for the rate. The caller passes the permit to :meth:`release` when the attempt
        has ended. ``is_early`` is true if the solve has no other provider to call, so that it may probe this
        one before its cooldown is over. Raises :class:`~captchahub.errors.NotAsked` if there is no slot or
        rate before ``until``, in the loop's time, or only so late that less than ``spare`` seconds are left
        until then.
        """
        # The slot first: a job that the rate allows is lost to others if its attempt then waits for a slot.
        waited_for, turn, given = await self.slots.acquire(until), None, None
        try:
            turn = await self.wait_for_rate(until, spare=spare)
            given = self._admit(is_early=is_early)
        finally:
            if given is None:
                self.slots.release()
                _give_back(turn)
        if given is None:
            return None
        return Permit(self, given, waited_for if turn is None else turn.waited_for or waited_for, turn)

    def release(self, permit: Permit) -> None:
        """Release the slot of an attempt, and learn from how the attempt ended."""
        # Also after a cancellation, so that the next attempt may probe instead of this one.
        self._learn(permit)
        self._release_slot(permit.busy)
        _give_back(permit.turn)

    async def wait_for_rate(self, until: float, *, spare: float = 0.0) -> Turn | None:
        """Wait until the rate allows one more job. See :meth:`RateLimiter.acquire`."""
        if self._rate is None:
            return None
        return await self._rate.acquire(until, spare=spare, shared=self.shared_turns)

    def _release_slot(self, busy: Future[Any] | None) -> None:
        """Release a slot, once the thread that works in it is free."""
        if busy is None or busy.done():
            self.slots.release()
            return
        loop = asyncio.get_running_loop()

        def release(_: object) -> None:
            # Called in the thread that was busy, which may outlive the hub.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self.slots.release)

        busy.add_done_callback(release)

    def _admit(self, *, is_early: bool) -> HealthPermit | None:
        health, given = self.health.admit(now(), is_early=is_early)
        if given is not None and given.is_probe:
            # Not reported to observers: they get what the probe finds.
            self.health = health
            log.info("%s is half-open: this attempt, the probe, finds out whether it works", self._name)
        elif given is not None:
            self._set(health)
        return given

    @property
    def next_turn(self) -> float:
        """When the rate allows the next job at the earliest, in the loop's time."""
        return now() if self._rate is None else self._rate.opens_at

    def admits(self, *, is_early: bool = False) -> bool:
        """Return whether the circuit breaker allows an attempt now; ``is_early`` as for :meth:`acquire`."""
        if self.on_use_while_out is not None and self.health.state is ProviderState.OUT:
            self.on_use_while_out()
        return self.health.admits(now(), is_early=is_early)

    def job_created(self, given: HealthPermit) -> None:
        """Note that the service has created a job for an attempt."""
        self._set(self.health.created(given, now()), is_probe=given.is_probe)

    def follow(self, settings: ProviderSettings) -> None:
        """Keep other limits and rules from now on. The attempts under way count towards them."""
        self.slots.follow(settings.max_in_flight)
        if settings.rate is None:
            self._rate = None
        elif self._rate is None:
            self._rate = RateLimiter(settings.rate)
        else:
            self._rate.follow(settings.rate)
        self._settings = settings
        self.health = attrs.evolve(self.health, rules=settings.health)

    def replace(self, before: Admission) -> None:
        """Take the place of the admission of another account, whose health says nothing about this one."""
        before.retire()
        own, self.health = self.health, before.health
        # If the former account was not healthy, solves and observers learn that this one is.
        self._set(own)

    def retire(self) -> None:
        """Report nothing any more, because the account is gone."""
        self._is_retired = True

    def revive(self) -> None:
        """Call the provider again from now on, whatever its health was."""
        self._set(self.health.revived(now()))

    def is_revived_by(self, balance: Balance) -> bool:
        """Return whether the provider is out, and this balance shows that the account can pay."""
        return self.health.state is ProviderState.OUT and balance.can_pay

    def take_refusals(self, refusals: Refusals, wall: float) -> None:
        """Learn what other processes have found out about the account, at a time of the wall clock."""
        self._set(self.health.with_refusals(refusals, now(), wall))

    def _learn(self, permit: Permit) -> None:
        error, given = permit.error, permit.given
        is_probe = given.is_probe and self.health.state is ProviderState.HALF_OPEN
        after = self.health.after(
            given,
            permit.effect,
            now(),
            reason="" if error is None else f"{type(error).__name__}: {error}",
            retry_after=_pause_of(error),
        )
        self._set(after, is_probe=is_probe, is_early=given.is_early, error=error)

    def _set(
        self,
        health: Health,
        *,
        is_probe: bool = False,
        is_early: bool = False,
        error: Exception | None = None,
    ) -> None:
        before, self.health = self.health, health
        if before is health:
            return
        if before.state is not health.state and not self._is_retired:
            self._log(health, is_probe=is_probe, is_early=is_early)
            moment = now()
            self._emit(lambda at: _event(self._name, health, moment, at))
        if before.opens_at != health.opens_at:
            # The class in the table, because a plugin may have a subclass of its own.
            self.error = None if error is None else row_for(error).error.__name__
            self._changes.notify()

    def _log(self, health: Health, *, is_probe: bool, is_early: bool) -> None:
        name, pause = self._name, 0.0 if health.until is None else health.until - now()
        if health.state is ProviderState.OUT:
            log.error("%s is out until hub.revive(%r): %s", name, name, health.reason)
        elif health.state is ProviderState.HEALTHY:
            log.info("%s is called again%s", name, ": the probe found that it works" if is_probe else "")
        elif not is_probe:
            log.warning("%s cools down for %.1f s, %s", name, pause, health.reason)
        elif is_early and pause > 0:
            opens = health.opens_early_at(math.inf)
            again = pause if opens is None else opens - now()
            log.info(
                "%s: the probe failed, %s; "
                "if no other provider can be called, the next one is sent in %.1f s",
                name,
                health.reason,
                again,
            )
        elif pause > 0:
            log.warning("%s cools down for another %.1f s: the probe failed, %s", name, pause, health.reason)
        else:
            log.info("%s: the probe said nothing about it, so that the next attempt is a probe", name)

    def refusal(self, given: HealthPermit | None = None) -> NotAsked | None:
        """Return why the provider may not be called now, or None if it may.

        ``given`` is the permit of the attempt that wants to call it, or None if there is no attempt yet.
        """
        health = self.health
        if self.admits() if given is None else health.allows(given, now()):
            return None
        if self._settings.unusable is not None:
            return NotAsked(self._settings.unusable, advice="")
        if health.state is ProviderState.OUT:
            name = self._settings.name
            return NotAsked(f"it is out: {health.reason}", advice=f"fix that, then call hub.revive({name!r})")
        if health.until is None:
            return NotAsked(f"one attempt is finding out whether it works again, after {health.reason}")
        left = health.until - now()
        if left <= 0:
            return NotAsked(f"its next job has to be a probe, after {health.reason}")
        return NotAsked(f"it cools down for another {left:.1f} s, after {health.reason}")


def _pause_of(error: Exception | None) -> float | None:
    """Return the pause that the service requested, in seconds, or None."""
    # An ambiguous create is raised from the service's own error.
    cause = error.__cause__ if isinstance(error, AmbiguousCreate) else error
    return cause.retry_after if isinstance(cause, (RateLimited, ServiceUnavailable)) else None


def _event(provider: str, health: Health, moment: float, at: float) -> Event:
    """Return the event of a change of health. ``moment`` is the loop's time for the wall clock's ``at``."""
    if health.state is ProviderState.HEALTHY:
        return Recovered(at=at, provider=provider)
    until = None if health.until is None else at + health.until - moment
    return CooledDown(at=at, provider=provider, state=health.state, reason=health.reason or "", until=until)


def _give_back(turn: Turn | None) -> None:
    if turn is not None:
        turn.give_back()
