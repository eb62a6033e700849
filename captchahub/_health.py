"""Whether a provider may be asked: pure, and the caller passes the time.

A provider is healthy until it fails too often. Then it cools: nobody asks it for a time, and after that
exactly one attempt, the probe, finds out whether it works again. One that refuses the account is out: no
waiting mends that.
"""

from __future__ import annotations

import math
from enum import Enum

import attrs

from captchahub.errors import (
    AmbiguousCreate,
    AuthenticationError,
    InsufficientBalance,
    JobFailed,
    JobRefused,
    JobTimeout,
    MalformedReply,
    RateLimited,
    ServiceUnavailable,
    TaskError,
    WrongSolution,
)
from captchahub.results import State
from captchahub.settings import HealthSettings

__all__ = ["Effect", "Health", "Pass", "effect_of", "is_telling"]

_SLICES = 10
# In less time than this, in seconds, even a good service may fail to take an order.
_FAIR_FOR_CALL = 2.0
# Attempts end a moment before or after their time is up, in seconds.
_SLACK = 0.05


class Effect(Enum):
    """What the end of an attempt does to its provider's health."""

    WORKED = "it solved the task"
    ANSWERED = "it failed as a working service does: ends a probe well, else counts neither way"
    FAILED = "it counts to a cooldown"
    BUSY = "it cools at once"
    REFUSED = "it is out"
    NONE = "it says nothing of the provider"


_EFFECTS: tuple[tuple[type[Exception], Effect], ...] = (
    (TaskError, Effect.NONE),
    (AuthenticationError, Effect.REFUSED),
    (InsufficientBalance, Effect.REFUSED),
    (RateLimited, Effect.BUSY),
    (JobFailed, Effect.ANSWERED),
    (WrongSolution, Effect.ANSWERED),
    (JobRefused, Effect.ANSWERED),
    (JobTimeout, Effect.FAILED),
    (AmbiguousCreate, Effect.FAILED),
    (ServiceUnavailable, Effect.FAILED),
    (MalformedReply, Effect.FAILED),
)


def effect_of(error: Exception | None) -> Effect:
    """The last column of the design's table; None is an attempt that solved the task."""
    if error is None:
        return Effect.WORKED
    return next((effect for kind, effect in _EFFECTS if isinstance(error, kind)), Effect.NONE)


def is_telling(error: Exception, *, given: float, took: float, fair: float) -> bool:
    """Whether an error says something of the provider, and not only of the little time that it was given.

    ``given`` and ``took`` are the seconds that the attempt had and needed, ``fair`` what a job should have.
    """
    if isinstance(error, JobTimeout):
        return given >= fair
    return took < given - _SLACK or given >= _FAIR_FOR_CALL


@attrs.frozen
class Pass:
    """Leave for one attempt. ``is_probe`` where it is to find out whether the provider works again."""

    generation: int
    revivals: int
    is_probe: bool


@attrs.frozen
class _Samples:
    """How many attempts worked and failed of late, counted in slices of the window."""

    slices: tuple[tuple[int, int, int], ...] = ()

    def with_one(self, *, failed: bool, now: float, window: float) -> _Samples:
        """The same with one attempt more, and without what has left the window."""
        current = math.floor(now * _SLICES / max(window, 0.001))
        kept = [one for one in self.slices if one[0] > current - _SLICES]
        _, worked, broke = kept.pop() if kept and kept[-1][0] == current else (current, 0, 0)
        return _Samples((*kept, (current, worked + (not failed), broke + failed)))

    @property
    def failed(self) -> int:
        return sum(broke for _, _, broke in self.slices)

    @property
    def total(self) -> int:
        return sum(worked + broke for _, worked, broke in self.slices)


@attrs.frozen
class Health:
    """What is known of one provider, and whether it may be asked. Times are those the caller passes."""

    rules: HealthSettings
    state: State = State.HEALTHY
    reason: str | None = None
    """What put it into this state; None while it is healthy."""
    since: float | None = None
    """When it was put into this state, None where it always was."""
    until: float | None = None
    """When it may be tried again, None where that is not a matter of time."""
    _in_a_row: int = 0
    _samples: _Samples = _Samples()
    _is_only_busy: bool = False
    # A pass of an earlier generation speaks of a state that is over; one from before a revival, of a provider
    # that a person has mended since.
    _generation: int = 0
    _revivals: int = 0

    @property
    def opens_at(self) -> float | None:
        """From when it may be asked; infinity while another's probe is out, None where no waiting helps."""
        match self.state:
            case State.HEALTHY:
                return -math.inf
            case State.COOLING:
                return self.until
            case State.HALF_OPEN:
                return math.inf
            case State.OUT:
                return None

    def state_at(self, now: float) -> State:
        """How it stands at a time: once it has cooled, it waits for its probe."""
        is_due = self.state is State.COOLING and self.until is not None and self.until <= now
        return State.HALF_OPEN if is_due else self.state

    def admit(self, now: float) -> tuple[Health, Pass | None]:
        """The health from now on, and a pass for one attempt, None where it may not be asked now."""
        if self.opens_at is None or self.opens_at > now:
            return self, None
        if self.state is State.HEALTHY:
            return self, Pass(self._generation, self._revivals, is_probe=False)
        probed = self._moved(State.HALF_OPEN, self.since, self.reason, is_only_busy=self._is_only_busy)
        return probed, Pass(self._generation + 1, self._revivals, is_probe=True)

    def created(self, given: Pass, now: float) -> Health:
        """After a job of this pass was created: all the proof that a provider which was only busy needs."""
        if given.is_probe and given.generation == self._generation and self._is_only_busy:
            return self._healed(now)
        return self

    def after(
        self,
        given: Pass,
        effect: Effect,
        now: float,
        *,
        reason: str = "",
        retry_after: float | None = None,
    ) -> Health:
        """After the attempt of this pass ended. ``retry_after`` is what the service asked for, in seconds."""
        if effect is Effect.REFUSED:
            return self._refused(given, now, reason)
        if effect is Effect.BUSY:
            return self._busy(given, now, reason, retry_after)
        if given.generation != self._generation:
            return self
        if given.is_probe:
            return self._probed(effect, now, reason)
        return self._counted(effect, now, reason)

    def revived(self, now: float) -> Health:
        """After a person, or a look at the balance, said that all is well again."""
        return attrs.evolve(self._healed(now), revivals=self._revivals + 1)

    def _refused(self, given: Pass, now: float, reason: str) -> Health:
        if given.revivals != self._revivals or self.state is State.OUT:
            return self
        return self._moved(State.OUT, now, reason)

    def _busy(self, given: Pass, now: float, reason: str, retry_after: float | None) -> Health:
        # While a probe is out, what it finds is newer than what an earlier attempt was told.
        is_outdated = self.state is State.HALF_OPEN and given.generation != self._generation
        if self.state is State.OUT or is_outdated:
            return self
        until = now + (self.rules.busy_cooldown if retry_after is None else retry_after)
        if self.state is not State.COOLING:
            is_only_busy = self.state is State.HEALTHY or self._is_only_busy
            return self._moved(State.COOLING, now, reason, until=until, is_only_busy=is_only_busy)
        if self.until is None or self.until >= until:
            return self
        return attrs.evolve(self, until=until)

    def _probed(self, effect: Effect, now: float, reason: str) -> Health:
        if effect in (Effect.WORKED, Effect.ANSWERED):
            return self._healed(now)
        if effect is Effect.FAILED:
            return self._moved(State.COOLING, now, reason, until=now + self.rules.cooldown)
        # The probe came to nothing, so that the next attempt is one.
        return self._moved(State.COOLING, self.since, self.reason, until=now, is_only_busy=self._is_only_busy)

    def _counted(self, effect: Effect, now: float, reason: str) -> Health:
        if effect not in (Effect.WORKED, Effect.FAILED):
            return self
        failed = effect is Effect.FAILED
        in_a_row = self._in_a_row + 1 if failed else 0
        samples = self._samples.with_one(failed=failed, now=now, window=self.rules.window)
        why = self._too_much(in_a_row, samples) if failed else None
        if why is None:
            return attrs.evolve(self, in_a_row=in_a_row, samples=samples)
        told = f"{why}, the last one {reason}"
        return self._moved(State.COOLING, now, told, until=now + self.rules.cooldown)

    def _too_much(self, in_a_row: int, samples: _Samples) -> str | None:
        """Which rule so many failures have broken, None for none."""
        rules = self.rules
        if in_a_row >= rules.failures:
            return f"{in_a_row} failures in a row"
        if samples.total >= rules.min_samples and samples.failed > rules.error_rate * samples.total:
            return f"{samples.failed} of {samples.total} attempts failed within {rules.window:g} s"
        return None

    def _healed(self, now: float) -> Health:
        return self._moved(State.HEALTHY, now, None)

    def _moved(
        self,
        state: State,
        since: float | None,
        reason: str | None,
        *,
        until: float | None = None,
        is_only_busy: bool = False,
    ) -> Health:
        """In another state, where the counting begins anew; passes given until now speak of the old one."""
        return attrs.evolve(
            Health(self.rules, state, reason, since, until),
            is_only_busy=is_only_busy,
            generation=self._generation + 1,
            revivals=self._revivals,
        )
